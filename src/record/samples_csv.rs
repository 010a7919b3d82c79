//! `samples.csv`: one row per sample and cell.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::column::{joined, names};
use super::columns::columns;
use super::table::{TableReader, TableWriter};
use super::{Cell, CellUnit, Column, Record, StoreError};
use crate::suite::Target;
use crate::terms::{CellKind, Epsilon, LayerName, Norm, SampleId};

columns! {
    /// What stands before a record's own columns.
    struct Heading {
        /// the run's identity
        run: Arc<str>,
        /// the model's name in the suite
        model: Arc<str>,
        /// the data set's name
        dataset: Arc<str>,
        /// what identifies the sample for good: a path, or an index in the official order
        sample_id: SampleId,
        /// true class
        label: u32,
        /// class predicted on the clean image
        clean_pred: u32,
        /// whether that is the label
        clean_correct: bool,
        /// the attack's name in the suite; controls carry the name of the attack that they stand beside
        attack: Arc<str>,
        /// `class-logit`, `unit`, `features`, or the kind of control
        kind: CellKind,
        /// index of the class that the sample was driven to; empty if untargeted
        target: Option<u32>,
        /// the layer of an attack on units or features
        layer: Option<LayerName>,
        /// the unit (`17`, `17@3,5`), the objective of an attack on features (`fia`), or `draw:K` of a noise control
        unit: Option<CellUnit>,
        /// the ball's norm
        norm: Norm,
        /// the ball's radius, in pixel units of [0, 1]
        epsilon: Epsilon,
        supplied {}
    }
}

/// The columns of `samples.csv`, in order.
pub const SAMPLES_TABLE: &[Column] = &COLUMNS;
/// Their names.
pub const SAMPLES_COLUMNS: &[&str] = &names(&COLUMNS);
const COLUMNS: [Column; Heading::BEFORE.len() + Record::AFTER.len()] = joined(&[Heading::BEFORE, Record::AFTER]);

/// Where the columns lie that, with the attack's target rule, make up a cell.
const CELL_COLUMNS: [usize; 8] = [1, 2, 7, 8, 10, 11, 12, 13];

/// Writes `samples.csv`; without [`SamplesWriter::finish`] no file appears.
pub struct SamplesWriter {
    table: TableWriter,
    run: Arc<str>,
    /// The heading of the record before, whose names are mostly those of the next.
    heading: Option<(Arc<Cell>, Heading)>,
}

impl SamplesWriter {
    /// Begin the file `path` of the run `run`.
    pub fn create(path: &Path, run: &str) -> Result<Self, StoreError> {
        Ok(SamplesWriter { table: TableWriter::create(path, SAMPLES_COLUMNS)?, run: run.into(), heading: None })
    }

    /// Append one row.
    pub fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let known = self.heading.take().filter(|(cell, _)| Arc::ptr_eq(cell, &record.cell));
        let heading = match known {
            Some((_, heading)) => heading.with_sample(record),
            None => Heading::new(&self.run, record),
        };
        let heading = &self.heading.insert((record.cell.clone(), heading)).1;
        self.table.write(|row| {
            heading.write_row(row, |_| ());
            record.write_row(row, |_| ());
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
    target_rules: BTreeMap<String, Target>,
    cells: HashMap<Box<str>, Arc<Cell>>,
    key: String,
}

impl SamplesReader {
    /// Open the file `path`. `target_rules` gives [`Cell::target`] by the attack's name (see
    /// [`Manifest::target_rules`](super::Manifest::target_rules)); an attack that it lacks has none.
    pub fn open(path: &Path, target_rules: BTreeMap<String, Target>) -> Result<Self, StoreError> {
        Ok(SamplesReader {
            table: TableReader::open(path, SAMPLES_TABLE)?,
            target_rules,
            cells: HashMap::new(),
            key: String::new(),
        })
    }
}

impl Iterator for SamplesReader {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let SamplesReader { table, target_rules, cells, key } = self;
        table.next(|row, fields| {
            key.clear();
            for at in CELL_COLUMNS {
                key.push_str(row.get(at).unwrap_or_default());
                key.push('\u{1f}');
            }
            let heading = Heading::read_row(fields, |_| Ok(()))?;
            if heading.clean_correct != (heading.label == heading.clean_pred) {
                return Err("column `clean_correct` contradicts label and clean_pred".to_owned());
            }
            let known = cells.get(key.as_str()).cloned();
            let cell = known.unwrap_or_else(|| {
                let cell = Arc::new(heading.cell(target_rules));
                cells.insert(key.as_str().into(), cell.clone());
                cell
            });
            let Heading { sample_id, label, clean_pred, target, .. } = heading;
            Record::read_row(fields, |_| Ok((cell, sample_id, label, clean_pred, target)))
        })
    }
}

impl Heading {
    fn new(run: &Arc<str>, record: &Record) -> Self {
        let cell = &record.cell;
        Heading {
            run: run.clone(),
            model: cell.model.as_str().into(),
            dataset: cell.dataset.as_str().into(),
            sample_id: record.sample_id.clone(),
            label: record.label,
            clean_pred: record.clean_pred,
            clean_correct: record.clean_correct(),
            attack: cell.attack.as_str().into(),
            kind: cell.kind,
            target: record.target,
            layer: cell.layer.clone(),
            unit: cell.unit.clone(),
            norm: cell.norm,
            epsilon: cell.epsilon,
        }
    }

    /// The same cell's heading for another record.
    fn with_sample(self, record: &Record) -> Self {
        Heading {
            sample_id: record.sample_id.clone(),
            label: record.label,
            clean_pred: record.clean_pred,
            clean_correct: record.clean_correct(),
            target: record.target,
            ..self
        }
    }

    /// The cell that it tells of; `samples.csv` has no attack's target rule.
    fn cell(&self, target_rules: &BTreeMap<String, Target>) -> Cell {
        Cell {
            model: self.model.as_ref().to_owned(),
            dataset: self.dataset.as_ref().to_owned(),
            attack: self.attack.as_ref().to_owned(),
            kind: self.kind,
            target: target_rules.get(self.attack.as_ref()).copied(),
            layer: self.layer.clone(),
            unit: self.unit.clone(),
            norm: self.norm,
            epsilon: self.epsilon,
        }
    }
}
