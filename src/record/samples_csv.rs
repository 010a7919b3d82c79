//! `samples.csv`: one row per sample and cell.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use csv::StringRecord;

use super::fields::Fields;
use super::intern::Interner;
use super::rows::{Subject, read_outcome, write_outcome};
use super::table::{TableReader, TableWriter};
use super::{Cell, Record, StoreError};
use crate::terms::{Epsilon, LayerName};

/// The columns of `samples.csv`, in order. `target` is the index of the class that the sample was driven to.
pub const SAMPLES_COLUMNS: &[&str] = &[
    "run",
    "model",
    "dataset",
    "sample_id",
    "label",
    "clean_pred",
    "clean_correct",
    "attack",
    "kind",
    "target",
    "layer",
    "unit",
    "norm",
    "epsilon",
    "steps",
    "forwards",
    "backwards",
    "adv_pred",
    "flipped",
    "flipped_u8",
    "target_hit",
    "margin_clean",
    "margin_adv",
    "confidence_clean",
    "confidence_adv",
    "activation_clean",
    "activation_adv",
    "activation_gain_z",
    "linf",
    "l2",
    "l1",
    "l0",
    "status",
    "part",
];

/// Where the columns lie that, with the attack's target rule, make up a cell.
const CELL_COLUMNS: [usize; 8] = [1, 2, 7, 8, 10, 11, 12, 13];

/// Writes `samples.csv`; without [`SamplesWriter::finish`] no file appears.
pub struct SamplesWriter {
    table: TableWriter,
    run: String,
}

impl SamplesWriter {
    /// Begin the file `path` of the run `run`.
    pub fn create(path: &Path, run: &str) -> Result<Self, StoreError> {
        Ok(SamplesWriter { table: TableWriter::create(path, SAMPLES_COLUMNS)?, run: run.to_owned() })
    }

    /// Append one row.
    pub fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let cell = &record.cell;
        self.table.write(|row| {
            row.text(&self.run);
            row.text(&cell.model);
            row.text(&cell.dataset);
            row.text(record.sample_id.as_str());
            row.show(record.label);
            row.show(record.clean_pred);
            row.show(record.clean_correct());
            row.text(&cell.attack);
            row.text(cell.kind.as_str());
            row.optional(record.target, |row, target| row.show(target));
            row.text(cell.layer.as_ref().map_or("", LayerName::as_str));
            row.text(cell.unit.as_deref().unwrap_or_default());
            row.text(cell.norm.as_str());
            row.float64(cell.epsilon.value());
            write_outcome(row, record);
        })
    }

    /// Sync the file and give it its name. Returns its blake3 hash.
    pub fn finish(self) -> Result<String, StoreError> {
        self.table.finish()
    }
}

/// Reads `samples.csv`, row after row.
pub struct SamplesReader {
    table: TableReader,
    target_rules: BTreeMap<String, String>,
    cells: HashMap<Box<str>, Arc<Cell>>,
    interner: Interner,
    key: String,
}

impl SamplesReader {
    /// Open the file `path`. `target_rules` gives [`Cell::target`] by the attack's name (see
    /// [`Manifest::target_rules`](super::Manifest::target_rules)); an attack that it lacks gets an empty rule.
    pub fn open(path: &Path, target_rules: BTreeMap<String, String>) -> Result<Self, StoreError> {
        Ok(SamplesReader {
            table: TableReader::open(path, SAMPLES_COLUMNS)?,
            target_rules,
            cells: HashMap::new(),
            interner: Interner::default(),
            key: String::new(),
        })
    }
}

impl Iterator for SamplesReader {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let SamplesReader { table, target_rules, cells, interner, key } = self;
        table.next(|row, fields| {
            key.clear();
            for at in CELL_COLUMNS {
                key.push_str(row.get(at).unwrap_or_default());
                key.push('\u{1f}');
            }
            let known = cells.get(key.as_str()).cloned();
            let (record, is_new) = read_record(row, fields, known, target_rules, interner)?;
            if is_new {
                cells.insert(key.as_str().into(), record.cell.clone());
            }
            Ok(record)
        })
    }
}

/// The row's record, and whether its cell is a new one.
fn read_record(
    row: &StringRecord,
    fields: &mut Fields<'_>,
    known: Option<Arc<Cell>>,
    target_rules: &BTreeMap<String, String>,
    interner: &mut Interner,
) -> Result<(Record, bool), String> {
    let [_run, model, dataset, sample_id] = [fields.text(), fields.text(), fields.text(), fields.text()];
    let (label, clean_pred): (u32, u32) = (fields.whole()?, fields.whole()?);
    if fields.boolean()? != (label == clean_pred) {
        return Err("column `clean_correct` contradicts label and clean_pred".to_owned());
    }
    let attack = fields.text();
    let kind = fields.known()?;
    let target = fields.optional(Fields::whole)?;
    let [layer, unit] = [fields.text(), fields.text()];
    let norm = fields.known()?;
    let epsilon = Epsilon::new(fields.float()?).map_err(|problem| format!("column `epsilon`: {problem}"))?;
    let is_new = known.is_none();
    let cell = known.unwrap_or_else(|| {
        Arc::new(Cell {
            model: model.to_owned(),
            dataset: dataset.to_owned(),
            attack: attack.to_owned(),
            kind,
            target: target_rules.get(attack).cloned().unwrap_or_default(),
            layer: (!layer.is_empty()).then(|| layer.into()),
            unit: (!unit.is_empty()).then(|| unit.to_owned()),
            norm,
            epsilon,
        })
    });
    debug_assert_eq!(row.len(), SAMPLES_COLUMNS.len());
    let subject = Subject { cell, sample_id: interner.sample(sample_id), label, clean_pred, target };
    Ok((read_outcome(fields, subject)?, is_new))
}
