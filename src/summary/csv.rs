//! `summary.csv`: one row per cell.

use std::path::Path;

use ::csv::WriterBuilder;

use super::{CellSummary, RunSummary};
use crate::record::{AtomicFile, StoreError, float_text};
use crate::stats::Estimate;
use crate::terms::LayerName;
use crate::wording::escape::cell;

/// The columns that tell the cell and its size.
const CELL: [&str; 11] =
    ["model", "dataset", "attack", "kind", "target", "layer", "unit", "norm", "epsilon", "n", "n_clean_correct"];

/// The columns that come with `_lo` and `_hi`, the ends of the 95 % interval.
const ESTIMATES: [&str; 7] = [
    "clean_accuracy",
    "robust_accuracy",
    "flip_rate",
    "flip_rate_all",
    "flip_rate_u8",
    "target_rate",
    "distance_median",
];

/// The columns after the estimates.
const REST: [&str; 6] = ["gain_z_mean", "forwards", "backwards", "seconds", "health", "left_out"];

/// The columns of `summary.csv`, in order.
pub fn summary_columns() -> Vec<String> {
    let estimates = ESTIMATES.iter().flat_map(|name| [String::from(*name), format!("{name}_lo"), format!("{name}_hi")]);
    CELL.iter().map(|name| String::from(*name)).chain(estimates).chain(REST.map(String::from)).collect()
}

/// Write `summary.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
pub fn write_summary(path: &Path, summary: &RunSummary) -> Result<String, StoreError> {
    let mut writer = WriterBuilder::new().from_writer(AtomicFile::create(path)?);
    let rows = std::iter::once(summary_columns()).chain(summary.cells.iter().map(|cell| row(cell, summary.left_out)));
    for row in rows {
        writer
            .write_record(row.iter().map(|field| cell(field).into_owned()))
            .map_err(|error| StoreError::io("write", path)(error.into()))?;
    }
    writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?.finish()
}

/// `left_out`: images that are in no cell.
fn row(summary: &CellSummary, left_out: u64) -> Vec<String> {
    let cell = &summary.cell;
    let estimates = [
        Some(summary.clean_accuracy),
        Some(summary.robust_accuracy),
        summary.flip_rate,
        Some(summary.flip_rate_all),
        summary.flip_rate_u8,
        summary.target_rate,
        summary.distance_median,
    ];
    let mut row = vec![
        cell.model.clone(),
        cell.dataset.clone(),
        cell.attack.clone(),
        cell.kind.to_string(),
        cell.target_text(),
        cell.layer.as_ref().map_or("", LayerName::as_str).to_owned(),
        cell.unit_text(),
        cell.norm.to_string(),
        float_text(cell.epsilon.value()),
        summary.n.to_string(),
        summary.n_clean_correct.to_string(),
    ];
    row.extend(estimates.into_iter().flat_map(estimate_fields));
    row.push(summary.gain_z_mean.map(float_text).unwrap_or_default());
    row.push(summary.forwards.to_string());
    row.push(summary.backwards.to_string());
    row.push(float_text(summary.seconds));
    row.push(summary.health.iter().map(|sign| sign.code()).collect::<Vec<_>>().join(";"));
    row.push(left_out.to_string());
    row
}

/// An estimate and the ends of its interval; empty for none.
pub(super) fn estimate_fields(estimate: Option<Estimate>) -> [String; 3] {
    match estimate {
        Some(Estimate { point, lo, hi }) => [point, lo, hi].map(float_text),
        None => [const { String::new() }; 3],
    }
}
