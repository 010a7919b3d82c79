//! The table below the transfer matrices: every source, victim and radius, with intervals.

use serde::Serialize;

use super::rate::Rate;
use crate::record::Manifest;
use crate::suite::{AttackConfig, Stop};
use crate::summary::{RunSummary, TransferSummary};
use crate::wording::format;

/// Rows of the table; the rest is in `transfer.csv`.
const MOST_ROWS: usize = 600;

/// What the page says of transfer, besides the matrices.
#[derive(Debug, Serialize)]
pub struct Transfer {
    rows: Vec<Row>,
    hidden: usize,
    /// Attacks that end once they succeed, or have several radii: their images lie just beyond the source's boundary.
    early: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    attack: String,
    source: String,
    victim: String,
    ball: String,
    epsilon: f64,
    n: u64,
    rate: Option<Rate>,
    noise: Option<Rate>,
    n_both_correct: u64,
    rate_all: Option<Rate>,
    noise_all: Option<Rate>,
}

/// None for a run without transfers.
pub fn transfer(manifest: &Manifest, summary: &RunSummary) -> Option<Transfer> {
    if summary.transfers.is_empty() {
        return None;
    }
    let rows: Vec<Row> = summary.transfers.iter().take(MOST_ROWS).map(row).collect();
    Some(Transfer { hidden: summary.transfers.len() - rows.len(), rows, early: early(manifest, summary) })
}

fn row(summary: &TransferSummary) -> Row {
    let rate = |estimate: &Option<_>| estimate.as_ref().map(Rate::new);
    Row {
        attack: summary.cell.attack.clone(),
        source: summary.cell.model.clone(),
        victim: summary.victim.clone(),
        ball: format!("{} ε {}", format::norm(summary.cell.norm), format::epsilon(summary.cell.epsilon)),
        epsilon: summary.cell.epsilon.value(),
        n: summary.n,
        rate: rate(&summary.transfer_rate),
        noise: rate(&summary.noise_rate),
        n_both_correct: summary.n_both_correct,
        rate_all: rate(&summary.transfer_rate_all),
        noise_all: rate(&summary.noise_rate_all),
    }
}

fn early(manifest: &Manifest, summary: &RunSummary) -> Vec<String> {
    let ends_early = |attack: &&AttackConfig| attack.stop != Stop::Budget || attack.epsilons.len() > 1;
    let transferred =
        |attack: &&AttackConfig| summary.transfers.iter().any(|transfer| transfer.cell.attack == attack.name);
    let attacks = manifest.suite.attacks.iter().filter(transferred).filter(ends_early);
    attacks.map(|attack| attack.name.clone()).collect()
}
