//! What a run tells of the inside of its models: damage by layer, patching, and what units can flip.

mod chance;
mod csv;
mod damage;
mod units;

pub use csv::{
    damage_columns, layer_columns, patching_columns, unit_columns, write_damage, write_layers, write_patching,
    write_units,
};
pub use damage::{DamageSummary, PatchSummary};
pub use units::{LayerSummary, UnitSummary};

use serde::{Deserialize, Serialize};

use super::sample_set::SampleSet;
use crate::record::{DamageTally, PatchTally, Record};
use units::Flips;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InsideSummary {
    /// By model, attack, radius and layer.
    pub damage: Vec<DamageSummary>,
    /// By model, attack, radius, layer and unit.
    pub patching: Vec<PatchSummary>,
    /// By model, attack, layer, radius and unit.
    pub units: Vec<UnitSummary>,
    /// By model, attack and layer, at the largest radius.
    pub layers: Vec<LayerSummary>,
}

impl InsideSummary {
    /// Whether the run tells nothing of it.
    pub fn is_empty(&self) -> bool {
        self.damage.is_empty() && self.patching.is_empty() && self.units.is_empty()
    }
}

/// Gathers it.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside {
    damage: Vec<DamageTally>,
    patches: Vec<PatchTally>,
    flips: Flips,
}

impl Inside {
    /// Adds a record of the sample that has this number.
    pub(super) fn add(&mut self, record: &Record, sample: u32) {
        self.flips.add(record, sample);
    }

    /// Adds what a block tells.
    pub(super) fn add_tallies(&mut self, damage: &[DamageTally], patches: &[PatchTally]) {
        DamageTally::gather(&mut self.damage, damage);
        PatchTally::gather(&mut self.patches, patches);
    }

    /// Adds all that `other` gathered; `numbers` are its samples' numbers here.
    pub(super) fn merge(&mut self, other: &Inside, numbers: &[u32]) {
        self.add_tallies(&other.damage, &other.patches);
        self.flips.merge(&other.flips, numbers);
    }

    /// By models and attacks in the order of their ranks.
    pub(super) fn finish<R: Ord>(self, models: impl Fn(&str) -> R, attacks: impl Fn(&str) -> R) -> InsideSummary {
        let (units, layers) = self.flips.finish(&models, &attacks);
        InsideSummary {
            damage: damage::damage(self.damage, &models, &attacks),
            patching: damage::patching(self.patches, &models, &attacks),
            units,
            layers,
        }
    }
}

/// The samples of a set under other numbers.
fn renumbered(set: &SampleSet, numbers: &[u32]) -> SampleSet {
    let mut other = SampleSet::default();
    set.iter().for_each(|sample| other.insert(numbers[sample as usize]));
    other
}
