//! `compare.csv`: one row per run and number; `changed.csv`: one row per run, number and sample that changed.

use std::path::Path;

use ::csv::WriterBuilder;

use super::{Comparison, Contrast, Row};
use crate::record::{AtomicFile, CellKind, StoreError, float_text};
use crate::stats::Estimate;
use crate::summary::SampleSet;
use crate::terms::Epsilon;
use crate::wording::escape::cell;

/// What both tables begin with: which models, and what is measured of them.
const SUBJECT: [&str; 11] =
    ["run", "reference_model", "model", "metric", "attack", "kind", "layer", "unit", "norm", "epsilon", "method"];

/// The columns of `compare.csv` after those. `broken` and `fixed` count samples that are robust on one side alone; of
/// distances, samples that are nearer to the boundary or farther from it.
const NUMBERS: [&str; 16] = [
    "n",
    "reference",
    "reference_lo",
    "reference_hi",
    "value",
    "value_lo",
    "value_hi",
    "difference",
    "difference_lo",
    "difference_hi",
    "broken",
    "fixed",
    "p",
    "p_adjusted",
    "log_rank_p",
    "new_signs",
];

/// The columns of `changed.csv` after the subject: `change` is `broken` or `fixed`, and `cause` tells what the side that is
/// not robust does: `flipped`, or `misclassified` without an attack.
const CHANGES: [&str; 3] = ["sample_id", "change", "cause"];

/// Write `compare.csv` to `path`, whole and synced, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_compare(path: &Path, comparison: &Comparison) -> Result<(), StoreError> {
    let mut table = Table::create(path, &NUMBERS)?;
    for contrast in &comparison.contrasts {
        for row in &contrast.rows {
            table.put(subject(contrast, row).into_iter().chain(numbers(row)))?;
        }
    }
    table.finish()
}

/// Write `changed.csv` to `path`, whole and synced, or not at all. Samples come in the reference's order.
///
/// # Errors
/// If the file cannot be written.
pub fn write_changed(path: &Path, comparison: &Comparison) -> Result<(), StoreError> {
    let mut table = Table::create(path, &CHANGES)?;
    for contrast in &comparison.contrasts {
        let [before, now] = &contrast.correct;
        for row in &contrast.rows {
            for (word, changed, correct) in [("broken", &row.broken, now), ("fixed", &row.fixed, before)] {
                for (sample, id) in ids(changed, comparison) {
                    let cause = if correct.contains(sample) { "flipped" } else { "misclassified" };
                    let rest = [id.to_owned(), word.to_owned(), cause.to_owned()];
                    table.put(subject(contrast, row).into_iter().chain(rest))?;
                }
            }
        }
    }
    table.finish()
}

fn ids<'c>(set: &'c SampleSet, comparison: &'c Comparison) -> impl Iterator<Item = (u32, &'c str)> {
    set.iter().filter_map(|sample| Some((sample, comparison.samples.get(sample as usize)?.as_str())))
}

fn subject(contrast: &Contrast, row: &Row) -> [String; 11] {
    let about = &row.subject;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        contrast.run.clone(),
        contrast.models.reference.clone(),
        contrast.models.run.clone(),
        row.metric.as_str().to_owned(),
        text(&about.attack),
        about.kind.map_or("", CellKind::as_str).to_owned(),
        text(&about.layer),
        text(&about.unit),
        about.norm.map_or("", |norm| norm.as_str()).to_owned(),
        about.epsilon.map(Epsilon::value).map(float_text).unwrap_or_default(),
        text(&about.method),
    ]
}

fn numbers(row: &Row) -> [String; 16] {
    let change = &row.change;
    let [reference, value, difference] = [&row.reference, &row.run, &change.estimate]
        .map(|Estimate { point, lo, hi }| [*point, *lo, *hi].map(float_text));
    let ([a, b, c], [d, e, f], [g, h, i]) = (reference, value, difference);
    [
        change.n.to_string(),
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        change.broken.to_string(),
        change.fixed.to_string(),
        float_text(change.p),
        float_text(change.p_adjusted),
        row.log_rank.map(float_text).unwrap_or_default(),
        row.new_signs.join(";"),
    ]
}

/// A CSV file that is being written.
struct Table<'p> {
    writer: ::csv::Writer<AtomicFile>,
    path: &'p Path,
}

impl<'p> Table<'p> {
    fn create(path: &'p Path, columns: &[&str]) -> Result<Self, StoreError> {
        let mut table = Table { writer: WriterBuilder::new().from_writer(AtomicFile::create(path)?), path };
        table.put(SUBJECT.iter().chain(columns).map(|column| (*column).to_owned()))?;
        Ok(table)
    }

    fn put(&mut self, row: impl IntoIterator<Item = String>) -> Result<(), StoreError> {
        self.writer
            .write_record(row.into_iter().map(|field| cell(&field).into_owned()))
            .map_err(|error| StoreError::io("write", self.path)(error.into()))
    }

    fn finish(self) -> Result<(), StoreError> {
        let inner = self.writer.into_inner();
        inner.map_err(|error| StoreError::io("write", self.path)(error.into_error()))?.finish().map(drop)
    }
}
