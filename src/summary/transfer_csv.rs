//! `transfer.csv`: one row per source cell and victim.

use std::path::Path;

use super::TransferSummary;
use super::csv::{estimate_fields, write_table};
use crate::record::{StoreError, float_text};
use crate::stats::Estimate;

/// A column, and its field in a row.
type Column = (&'static str, fn(&TransferSummary) -> String);

/// The columns that tell source, victim and counts.
const COUNTS: [Column; 11] = [
    ("source", |summary| summary.cell.model.clone()),
    ("victim", |summary| summary.victim.clone()),
    ("dataset", |summary| summary.cell.dataset.clone()),
    ("attack", |summary| summary.cell.attack.clone()),
    ("target", |summary| summary.cell.target_text()),
    ("norm", |summary| summary.cell.norm.to_string()),
    ("epsilon", |summary| float_text(summary.cell.epsilon.value())),
    ("n_both_correct", |summary| summary.n_both_correct.to_string()),
    ("n", |summary| summary.n.to_string()),
    ("fooled", |summary| summary.fooled.to_string()),
    ("fooled_all", |summary| summary.fooled_all.to_string()),
];

/// A rate, and what it is in a row.
type RateColumn = (&'static str, fn(&TransferSummary) -> Option<Estimate>);

/// The columns that come with `_lo` and `_hi`, the ends of the 95 % interval.
const RATES: [RateColumn; 4] = [
    ("transfer_rate", |summary| summary.transfer_rate),
    ("noise_rate", |summary| summary.noise_rate),
    ("transfer_rate_all", |summary| summary.transfer_rate_all),
    ("noise_rate_all", |summary| summary.noise_rate_all),
];

/// The columns of `transfer.csv`, in order.
pub fn transfer_columns() -> Vec<String> {
    let rates = RATES.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("{name}_lo"), format!("{name}_hi")]);
    COUNTS.iter().map(|(name, _)| (*name).to_owned()).chain(rates).chain(["forwards".to_owned()]).collect()
}

/// Write `transfer.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
pub fn write_transfer(path: &Path, transfers: &[TransferSummary]) -> Result<String, StoreError> {
    write_table(path, transfer_columns(), transfers.iter().map(row))
}

fn row(summary: &TransferSummary) -> Vec<String> {
    let counts = COUNTS.iter().map(|(_, field)| field(summary));
    let rates = RATES.iter().flat_map(|(_, rate)| estimate_fields(rate(summary)));
    counts.chain(rates).chain([summary.forwards.to_string()]).collect()
}
