//! What the trial before a run says of each model, as signs in the run's summary.

use super::{HealthSign, RunSummary};
use crate::record::{Cell, CellKind, CheckKind, Evidence, ModelEntry, Trial};
use crate::stats::clopper_pearson;

impl RunSummary {
    /// Adds what the trials of `models` and the checks of the attacks told to the signs of the models and of all their cells.
    pub fn add_trials(&mut self, models: &[ModelEntry], evidence: &[Evidence]) {
        for model in &mut self.models {
            let entry = models.iter().find(|entry| entry.name == model.model);
            let mut signs = entry.and_then(|entry| entry.trial.as_ref()).map(signs).unwrap_or_default();
            signs.extend(of_evidence(evidence, &model.model));
            join(&mut model.health, &signs);
            let cells = self.cells.iter_mut().filter(|cell| cell.cell.model == model.model);
            cells.for_each(|cell| join(&mut cell.health, &signs));
        }
        for moving in evidence.iter().filter(|piece| still_moves(piece)) {
            let same = |cell: &Cell| {
                (cell.kind, &cell.model, &cell.attack) == (CellKind::ClassLogit, &moving.model, &moving.attack)
                    && (cell.norm, cell.epsilon) == (moving.norm, moving.epsilon)
            };
            let cells = self.cells.iter_mut().filter(|cell| same(&cell.cell));
            cells.for_each(|cell| join(&mut cell.health, &[HealthSign::LossStillMoves(moving.found)]));
        }
    }
}

fn signs(trial: &Trial) -> Vec<HealthSign> {
    let mut signs = Vec::new();
    if trial.is_accident() {
        signs.push(HealthSign::RandomModel);
    } else if trial.is_random() {
        signs.push(HealthSign::AveragedModel(trial.averaged));
    }
    if trial.probabilities {
        signs.push(HealthSign::Probabilities);
    }
    // A few images may be classified so surely that their boundary is far; more than half may not.
    if 2 * trial.flat > trial.images {
        signs.push(HealthSign::FlatGradient(trial.flat));
    }
    signs
}

/// Whether the losses of too many samples that hold still move at the end: of more than a fifth, and of more than one.
pub(crate) fn still_moves(piece: &Evidence) -> bool {
    piece.check == CheckKind::LossStillMoves && piece.found > 1 && 5 * piece.found > piece.n
}

/// Share of planted points below which, its exact 95 % interval included (there may be a handful of points), the attacks are misled.
const FOUND: f64 = 0.98;

/// Whether a self-test shows that attacks are misled; none if nothing could be planted.
pub(crate) fn misled(test: &Evidence) -> Option<bool> {
    (test.n > 0).then(|| clopper_pearson(test.found, test.n).hi < FOUND)
}

fn of_evidence(evidence: &[Evidence], model: &str) -> Vec<HealthSign> {
    let tests = evidence.iter().filter(|test| test.check == CheckKind::SelfTest && test.model == model);
    let missed: u64 = tests.filter(|test| misled(test) == Some(true)).map(|test| test.n - test.found).sum();
    if missed > 0 { vec![HealthSign::SelfTestFailed(missed)] } else { Vec::new() }
}

fn join(health: &mut Vec<HealthSign>, signs: &[HealthSign]) {
    health.extend(signs);
    health.sort_unstable();
    health.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_that_differ_are_an_accident_unless_they_are_averaged() {
        let mut trial = Trial { between_passes: 0.3, averaged: 1, ..Trial::default() };
        assert_eq!(signs(&trial), [HealthSign::RandomModel]);
        trial.averaged = 8;
        assert_eq!(signs(&trial), [HealthSign::AveragedModel(8)]);
        trial.between_passes = 1e-6;
        assert_eq!(signs(&trial), []);
    }
}
