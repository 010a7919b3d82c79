//! Units: every radius and restart of every unit runs its whole budget, so that gains compare.

use std::collections::HashMap;
use std::rc::Rc;

use tch::Tensor;

use super::settle::Entry;
use super::{AttackBlock, ByUnit, DrivenUnit, Kind, Reference, Selected, Unfit, Way, choose};
use crate::judge::{CleanBlock, SampleUnits, Watched, learn_directions, sensitive};
use crate::model::Model;
use crate::objective::{Objective, UnitObjective, Variety};
use crate::random::Noise;
use crate::record::{CellKind, Status};
use crate::rows::{Drives, Row};
use crate::search::Finished;
use crate::suite::{AttackConfig, Control, Direction, UnitSelection};
use crate::terms::{LayerName, Part, Unit};

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
            UnitSelection::Listed(units) => {
                let read_alone = |unit: &&Unit| unit.mean_of().is_none() && !unit.is_chosen_by_sample();
                units.iter().filter(read_alone).copied().collect()
            }
            _ => Vec::new(),
        };
        Some(Watched { layer: self.layer.clone(), neurons })
    }

    fn way<'a>(&'a self, block: &'a AttackBlock<'_>, sample: usize, unit: Option<Unit>) -> Option<Way<'a>> {
        let (unit, drives) = match unit? {
            unit if unit.is_chosen_by_sample() => (unit, self.of_sample(block, sample, unit)?),
            unit => (unit, Drives::Unit(unit)),
        };
        let (predictions, device) = (block.bench.clean.predictions(), block.bench.verifier.device());
        let objective = move |rows: &[Row]| -> Box<dyn Objective> {
            let variety = Variety::of_units([unit]);
            Box::new(UnitObjective::new(self.layer, self.direction, variety, rows, &predictions, device))
        };
        Some(Way { drives, target: None, objective: Box::new(objective) })
    }

    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        let (bench, epsilons) = (block.bench, &block.attack.epsilons);
        let attacked = bench.attacked();
        let choice = Choice::new(self, block);
        let mut chains = Vec::new();
        let attacked_chains =
            block.units.iter().filter(|driven| !driven.control).count() * attacked.len() * epsilons.len();
        for driven in block.units {
            for &sample in &attacked {
                for epsilon in epsilons {
                    chains.push(block.restarts(sample, *epsilon, choice.drives(driven, sample)));
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
            block.retained(attacked_chains),
        );
        let mut finished = found.chains.into_iter();
        let mut entries = Vec::new();
        for driven in block.units {
            let rows: Vec<Finished> = finished.by_ref().take(attacked.len() * epsilons.len()).flatten().collect();
            entries.extend(self.entries(block, &choice, driven, &rows));
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

    /// What is driven of one sample by a unit that each sample chooses for itself.
    fn of_sample(&self, block: &AttackBlock, sample: usize, unit: Unit) -> Option<Drives> {
        let driven = block.units.iter().find(|driven| driven.unit == unit)?;
        let spread = driven.spread.clone()?;
        let pixels = block.bench.clean.pixels.narrow(0, sample as i64, 1);
        let samples = sensitive(block.bench.verifier, self.layer, &pixels, &spread).ok()?;
        Some(Choice { samples, spread, suppressed: self.direction == Direction::Suppress }.drives(driven, 0))
    }

    fn entries(&self, block: &AttackBlock, choice: &Choice, driven: &DrivenUnit, rows: &[Finished]) -> Vec<Entry> {
        let clean = block.bench.clean;
        let activations = choice.activations(self.layer, clean, driven);
        let kind = if driven.control { CellKind::ControlRandomUnit } else { CellKind::Unit };
        let mut entries = Vec::new();
        for &epsilon in &block.attack.epsilons {
            let cell = block.cell(kind, None, Some(driven.unit.into()), Some(self.layer), epsilon);
            for (sample, &(activation, deviation)) in activations.iter().enumerate() {
                let mut entry = if clean.attackable(sample) {
                    block.settled(&cell, sample, rows, true)
                } else {
                    block.skipped(&cell, sample)
                };
                let record = &mut entry.record;
                record.activation_clean = Some(activation);
                if let Some(adversarial) = record.activation_adv {
                    record.activation_gain_z =
                        (deviation > 0.0).then(|| (f64::from(adversarial - activation) / deviation) as f32);
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

/// What is driven of each sample, where units are chosen for each; otherwise nothing is known, and units are what they are.
struct Choice {
    samples: Vec<SampleUnits>,
    spread: Rc<Vec<f64>>,
    /// The attack lowers what it drives.
    suppressed: bool,
}

impl Choice {
    fn new(drive: &UnitDrive, block: &AttackBlock) -> Self {
        let (bench, suppressed) = (block.bench, drive.direction == Direction::Suppress);
        let Some(spread) = block.units.iter().find_map(|driven| driven.spread.clone()) else {
            return Choice { samples: Vec::new(), spread: Rc::default(), suppressed };
        };
        let count = bench.clean.len() as i64;
        let mut samples = Vec::new();
        for start in (0..count).step_by(bench.capacity.max(1)) {
            let pixels = bench.clean.pixels.narrow(0, start, (count - start).min(bench.capacity.max(1) as i64));
            match sensitive(bench.verifier, drive.layer, &pixels, &spread) {
                Ok(found) => samples.extend(found),
                Err(error) => unreachable!("the layer was found before the attack began: {error}"),
            }
        }
        Choice { samples, spread, suppressed }
    }

    /// What a row drives.
    fn drives(&self, driven: &DrivenUnit, sample: usize) -> Drives {
        let Some(index) = self.index(driven, sample) else { return Drives::Unit(driven.unit) };
        let unit = Unit { part: Part::Channel(index), place: driven.unit.place };
        // Whatever the attack's direction, the unit goes the way that changes the prediction.
        match self.samples[sample].lowered[index] != self.suppressed {
            true => Drives::Lowered(unit),
            false => Drives::Unit(unit),
        }
    }

    /// The channel or feature that is driven of a sample, if the way depends on the sample.
    fn index(&self, driven: &DrivenUnit, sample: usize) -> Option<usize> {
        let sample_units = self.samples.get(sample).filter(|_| driven.spread.is_some())?;
        match driven.unit.part {
            Part::Sensitive(rank) => sample_units.order.get(rank.wrapping_sub(1)).copied(),
            // The controls beside them.
            Part::Channel(index) if index < sample_units.lowered.len() => Some(index),
            _ => None,
        }
    }

    /// For each sample the clean activation of what is driven, and its deviation over the reference images.
    fn activations(&self, layer: &LayerName, clean: &CleanBlock, driven: &DrivenUnit) -> Vec<(f32, f64)> {
        let of_unit = |unit: Unit| clean.activations(layer, unit).unwrap_or_else(|| vec![0.0; clean.len()]);
        if !driven.unit.is_chosen_by_sample() {
            return of_unit(driven.unit).into_iter().map(|activation| (activation, driven.deviation)).collect();
        }
        let mut known: HashMap<usize, Vec<f32>> = HashMap::new();
        (0..clean.len())
            .map(|sample| {
                let Some(index) = self.index(driven, sample) else { return (0.0, 0.0) };
                let values = known.entry(index).or_insert_with(|| of_unit(Unit::channel(index)));
                (values[sample], self.spread.get(index).copied().unwrap_or(0.0))
            })
            .collect()
    }
}
