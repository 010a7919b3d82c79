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

fn row(of: &TransferSummary) -> Row {
    let rate = |estimate: &Option<_>| estimate.as_ref().map(Rate::new);
    Row {
        attack: of.cell.attack.clone(),
        source: of.cell.model.clone(),
        victim: of.victim.clone(),
        ball: format!("{} ε {}", format::norm(of.cell.norm), format::epsilon(of.cell.epsilon)),
        epsilon: of.cell.epsilon.value(),
        n: of.n,
        rate: rate(&of.transfer_rate),
        noise: rate(&of.noise_rate),
        n_both_correct: of.n_both_correct,
        rate_all: rate(&of.transfer_rate_all),
        noise_all: rate(&of.noise_rate_all),
    }
}

fn early(manifest: &Manifest, summary: &RunSummary) -> Vec<String> {
    let ends_early = |attack: &&AttackConfig| attack.stop != Stop::Budget || attack.epsilons.len() > 1;
    let transferred =
        |attack: &&AttackConfig| summary.transfers.iter().any(|transfer| transfer.cell.attack == attack.name);
    let attacks = manifest.suite.attacks.iter().filter(transferred).filter(ends_early);
    attacks.map(|attack| attack.name.clone()).collect()
}
