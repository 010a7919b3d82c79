//! `summary.csv`: one row per cell.

use std::path::Path;

use ::csv::WriterBuilder;

use super::{CellSummary, RunSummary};
use crate::record::{AtomicFile, StoreError, float_text};
use crate::stats::Estimate;
use crate::terms::LayerName;
use crate::wording::escape::cell;

/// A column, and its field in a cell's row.
type Column = (&'static str, fn(&CellSummary) -> String);

/// The columns that tell the cell and its size.
const CELL: [Column; 11] = [
    ("model", |summary| summary.cell.model.clone()),
    ("dataset", |summary| summary.cell.dataset.clone()),
    ("attack", |summary| summary.cell.attack.clone()),
    ("kind", |summary| summary.cell.kind.to_string()),
    ("target", |summary| summary.cell.target_text()),
    ("layer", |summary| summary.cell.layer.as_ref().map_or("", LayerName::as_str).to_owned()),
    ("unit", |summary| summary.cell.unit_text()),
    ("norm", |summary| summary.cell.norm.to_string()),
    ("epsilon", |summary| float_text(summary.cell.epsilon.value())),
    ("n", |summary| summary.n.to_string()),
    ("n_clean_correct", |summary| summary.n_clean_correct.to_string()),
];

/// An estimate, and what it is in a cell.
type EstimateColumn = (&'static str, fn(&CellSummary) -> Option<Estimate>);

/// The columns that come with `_lo` and `_hi`, the ends of the 95 % interval.
const ESTIMATES: [EstimateColumn; 7] = [
    ("clean_accuracy", |summary| Some(summary.clean_accuracy)),
    ("robust_accuracy", |summary| Some(summary.robust_accuracy)),
    ("flip_rate", |summary| summary.flip_rate),
    ("flip_rate_all", |summary| Some(summary.flip_rate_all)),
    ("flip_rate_u8", |summary| summary.flip_rate_u8),
    ("target_rate", |summary| summary.target_rate),
    ("distance_median", |summary| summary.distance_median),
];

/// The columns after the estimates.
const REST: [Column; 5] = [
    ("gain_z_mean", |summary| summary.gain_z_mean.map(float_text).unwrap_or_default()),
    ("forwards", |summary| summary.forwards.to_string()),
    ("backwards", |summary| summary.backwards.to_string()),
    ("seconds", |summary| float_text(summary.seconds)),
    ("health", |summary| summary.health.iter().map(|sign| sign.code()).collect::<Vec<_>>().join(";")),
];

/// The last column: images that are in no cell, the same number in every row.
const LEFT_OUT: &str = "left_out";

/// The columns of `summary.csv`, in order.
pub fn summary_columns() -> Vec<String> {
    let estimates =
        ESTIMATES.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("{name}_lo"), format!("{name}_hi")]);
    let names = |columns: &'static [Column]| columns.iter().map(|(name, _)| (*name).to_owned());
    names(&CELL).chain(estimates).chain(names(&REST)).chain([LEFT_OUT.to_owned()]).collect()
}

/// Write `summary.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
pub fn write_summary(path: &Path, summary: &RunSummary) -> Result<String, StoreError> {
    write_table(path, summary_columns(), summary.cells.iter().map(|cell| row(cell, summary.left_out)))
}

/// Writes a table of a run's numbers: whole and synced, or not at all. Names from outside neither break lines nor are taken for formulas.
/// Returns its blake3 hash.
pub(super) fn write_table(
    path: &Path,
    head: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<String, StoreError> {
    let mut writer = WriterBuilder::new().from_writer(AtomicFile::create(path)?);
    for row in std::iter::once(head).chain(rows) {
        writer
            .write_record(row.iter().map(|field| cell(field).into_owned()))
            .map_err(|error| StoreError::io("write", path)(error.into()))?;
    }
    writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?.finish()
}

fn row(summary: &CellSummary, left_out: u64) -> Vec<String> {
    let fields = |columns: &'static [Column]| columns.iter().map(|(_, field)| field(summary));
    let estimates = ESTIMATES.iter().flat_map(|(_, estimate)| estimate_fields(estimate(summary)));
    fields(&CELL).chain(estimates).chain(fields(&REST)).chain([left_out.to_string()]).collect()
}

/// An estimate and the ends of its interval; empty for none.
pub(super) fn estimate_fields(estimate: Option<Estimate>) -> [String; 3] {
    match estimate {
        Some(Estimate { point, lo, hi }) => [point, lo, hi].map(float_text),
        None => [const { String::new() }; 3],
    }
}
