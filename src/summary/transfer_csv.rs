//! `transfer.csv`: one row per source cell and victim.

use std::path::Path;

use ::csv::WriterBuilder;

use super::TransferSummary;
use super::csv::estimate_fields;
use crate::record::{AtomicFile, StoreError, float_text};
use crate::wording::escape::cell;

/// The columns that tell source, victim and counts.
const COUNTS: [&str; 11] = [
    "source",
    "victim",
    "dataset",
    "attack",
    "target",
    "norm",
    "epsilon",
    "n_both_correct",
    "n",
    "fooled",
    "fooled_all",
];

/// The columns that come with `_lo` and `_hi`, the ends of the 95 % interval.
const RATES: [&str; 4] = ["transfer_rate", "noise_rate", "transfer_rate_all", "noise_rate_all"];

/// The columns of `transfer.csv`, in order.
pub fn transfer_columns() -> Vec<String> {
    let rates = RATES.iter().flat_map(|name| [String::from(*name), format!("{name}_lo"), format!("{name}_hi")]);
    COUNTS.map(String::from).into_iter().chain(rates).chain([String::from("forwards")]).collect()
}

/// Write `transfer.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
pub fn write_transfer(path: &Path, transfers: &[TransferSummary]) -> Result<String, StoreError> {
    let mut writer = WriterBuilder::new().from_writer(AtomicFile::create(path)?);
    for row in std::iter::once(transfer_columns()).chain(transfers.iter().map(row)) {
        writer
            .write_record(row.iter().map(|field| cell(field).into_owned()))
            .map_err(|error| StoreError::io("write", path)(error.into()))?;
    }
    writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?.finish()
}

fn row(summary: &TransferSummary) -> Vec<String> {
    let cell = &summary.cell;
    let mut row = vec![
        cell.model.clone(),
        summary.victim.clone(),
        cell.dataset.clone(),
        cell.attack.clone(),
        cell.target_text(),
        cell.norm.to_string(),
        float_text(cell.epsilon.value()),
    ];
    row.extend([summary.n_both_correct, summary.n, summary.fooled, summary.fooled_all].map(|count| count.to_string()));
    let rates = [summary.transfer_rate, summary.noise_rate, summary.transfer_rate_all, summary.noise_rate_all];
    row.extend(rates.into_iter().flat_map(estimate_fields));
    row.push(summary.forwards.to_string());
    row
}
