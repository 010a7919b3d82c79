//! What the trial before a run says of each model, as signs in the run's summary.

use super::{HealthSign, RunSummary};
use crate::record::{ModelEntry, Trial};

impl RunSummary {
    /// Adds what the trials of `models` told to the signs of the models and of all their cells.
    pub fn add_trials(&mut self, models: &[ModelEntry]) {
        for model in &mut self.models {
            let entry = models.iter().find(|entry| entry.name == model.model);
            let Some(trial) = entry.and_then(|entry| entry.trial.as_ref()) else { continue };
            let signs = signs(trial);
            join(&mut model.health, &signs);
            let cells = self.cells.iter_mut().filter(|cell| cell.cell.model == model.model);
            cells.for_each(|cell| join(&mut cell.health, &signs));
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
    signs
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
