//! Units: every radius and restart of every unit runs its whole budget, so that gains compare.

use tch::Tensor;

use super::settle::Entry;
use super::{AttackBlock, ByUnit, DrivenUnit, Kind, Reference, Selected, Unfit, choose};
use crate::judge::{Watched, learn_directions};
use crate::model::Model;
use crate::objective::{UnitObjective, Variety};
use crate::random::Noise;
use crate::record::{CellKind, Status};
use crate::rows::Drives;
use crate::search::Finished;
use crate::suite::{AttackConfig, Control, Direction, UnitSelection};
use crate::terms::LayerName;

/// Raises or lowers the activations of units of one layer.
pub struct UnitDrive<'a> {
    /// The layer.
    pub layer: &'a LayerName,
    /// The units.
    pub units: &'a UnitSelection,
    /// Up or down.
    pub direction: Direction,
    /// Controls that run beside the attack.
    pub controls: &'a [Control],
}

impl Kind for UnitDrive<'_> {
    fn check(&self, _: &AttackConfig, model: &Model, pixels: &Tensor) -> Result<(), Unfit> {
        if let UnitSelection::Listed(units) = self.units {
            let info = model.layer(self.layer).map_err(Unfit::Model)?;
            learn_directions(model, &info, units, &[]).map_err(Unfit::Model)?;
        }
        let watched = self.watched().into_iter().collect::<Vec<_>>();
        let reference = Reference::new(model, &watched, std::iter::once(Ok(pixels.shallow_clone())));
        // Units that are ranked or drawn exist; listed ones may not.
        let chosen = reference.and_then(|reference| {
            choose(model, Selected { controls: &[], ..self.driven() }, &reference, &Noise::new(0, "check"))
        });
        chosen.map(drop).map_err(Unfit::Model)
    }

    fn selected(&self) -> Option<Selected<'_>> {
        Some(self.driven())
    }

    fn watched(&self) -> Option<Watched> {
        let neurons = match self.units {
            UnitSelection::Listed(units) => units.iter().filter(|unit| unit.mean_of().is_none()).copied().collect(),
            _ => Vec::new(),
        };
        Some(Watched { layer: self.layer.clone(), neurons })
    }

    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        let (bench, epsilons) = (block.bench, &block.attack.epsilons);
        let attacked = bench.attacked();
        let mut chains = Vec::new();
        for driven in block.units {
            for &sample in &attacked {
                for epsilon in epsilons {
                    chains.push(block.restarts(sample, *epsilon, Drives::Unit(driven.unit)));
                }
            }
        }
        let predictions = bench.clean.predictions();
        let variety = Variety::of_units(block.units.iter().map(|driven| driven.unit));
        let found = block.search(
            chains,
            &|rows| {
                let device = bench.model.device();
                Box::new(UnitObjective::new(self.layer, self.direction, variety, rows, &predictions, device))
            },
            &ByUnit { bench, layer: self.layer, direction: self.direction },
        );
        let mut finished = found.chains.into_iter();
        let mut entries = Vec::new();
        for driven in block.units {
            let rows: Vec<Finished> = finished.by_ref().take(attacked.len() * epsilons.len()).flatten().collect();
            entries.extend(self.entries(block, driven, &rows));
        }
        if self.controls.contains(&Control::Noise) {
            entries.extend(block.noise_control(self.layer));
        }
        (entries, found.unconfirmed)
    }
}

impl UnitDrive<'_> {
    fn driven(&self) -> Selected<'_> {
        Selected { layer: self.layer, units: self.units, direction: self.direction, controls: self.controls }
    }

    fn entries(&self, block: &AttackBlock, driven: &DrivenUnit, rows: &[Finished]) -> Vec<Entry> {
        let clean = block.bench.clean;
        let activations = clean.activations(self.layer, driven.unit).unwrap_or_else(|| vec![0.0; clean.len()]);
        let kind = if driven.control { CellKind::ControlRandomUnit } else { CellKind::Unit };
        let mut entries = Vec::new();
        for &epsilon in &block.attack.epsilons {
            let cell = block.cell(kind, None, Some(driven.unit.into()), Some(self.layer), epsilon);
            for (sample, &activation) in activations.iter().enumerate() {
                let mut entry = if clean.attackable(sample) {
                    block.settled(&cell, sample, rows, true)
                } else {
                    block.skipped(&cell, sample)
                };
                let record = &mut entry.record;
                record.activation_clean = Some(activation);
                if let Some(adversarial) = record.activation_adv {
                    record.activation_gain_z = (driven.deviation > 0.0)
                        .then(|| (f64::from(adversarial - activation) / driven.deviation) as f32);
                    if record.status == Status::ZeroGradient && activation == 0.0 && adversarial == 0.0 {
                        record.status = Status::DeadUnit;
                    }
                }
                entries.push(entry);
            }
        }
        entries
    }
}
