//! What adversarial images change inside a network, and whether what they changed is what flips them: counts that blocks add up.

use serde::{Deserialize, Serialize};

use crate::terms::{Epsilon, LayerName, Norm, words};

/// What the adversarial images of one attack and radius have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DamageOrigin {
    /// The model.
    pub model: String,
    /// The attack.
    pub attack: String,
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub epsilon: Epsilon,
}

words! {
    /// The positions of a layer's activation that are compared.
    pub enum Positions {
        /// All of them.
        All = "all",
        /// The tokens before those of the patches.
        Class = "class",
        /// The tokens of the patches.
        Patches = "patches",
    }
}

/// A sum over samples with that of squares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Values that are finite.
    pub n: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Moments {
    /// One more value; one that is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.n += 1;
            self.sum += value;
            self.squares += value * value;
        }
    }

    /// The values of `other` too.
    pub fn merge(&mut self, other: &Moments) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
    }
}

/// How far adversarial images move a layer's activation from the clean one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DamageTally {
    /// The images.
    pub origin: DamageOrigin,
    /// The layer.
    pub layer: LayerName,
    /// Its place in the order of the pass.
    pub place: usize,
    /// Share of the pass up to and with it.
    pub depth: f64,
    /// The positions.
    pub positions: Positions,
    /// Length of the change over that of the clean activation.
    pub change: Moments,
    /// Cosine between both activations.
    pub cosine: Moments,
    /// The change by the same perturbation with its pixels shuffled.
    pub shuffled: Moments,
}

/// Whether flips go away where a layer or unit gets its clean activation back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchTally {
    /// The images.
    pub origin: DamageOrigin,
    /// The layer.
    pub layer: LayerName,
    /// Share of the pass up to and with it.
    pub depth: f64,
    /// The unit; none for the whole layer.
    pub unit: Option<String>,
    /// Flips that were tried.
    pub n: u64,
    /// Flips that went away.
    pub restored: u64,
    /// Flips that went away with the control: another unit's clean activation, or for a whole layer that of another image.
    pub control: u64,
    /// Flips that went away with the unit and not with the control.
    pub only: u64,
    /// Flips that went away with the control and not with the unit.
    pub only_control: u64,
    /// Flips whose logits became the clean ones: nothing passes the layer by, and patching it says nothing.
    pub complete: u64,
}

impl DamageTally {
    /// Adds `more` to the tallies of the same images and layers in `all`.
    pub fn gather(all: &mut Vec<DamageTally>, more: &[DamageTally]) {
        for tally in more {
            let same = |known: &&mut DamageTally| {
                (&known.origin, &known.layer, known.positions) == (&tally.origin, &tally.layer, tally.positions)
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.change.merge(&tally.change);
                    known.cosine.merge(&tally.cosine);
                    known.shuffled.merge(&tally.shuffled);
                }
                None => all.push(tally.clone()),
            }
        }
    }
}

impl PatchTally {
    /// Adds `more` to the tallies of the same images and units in `all`.
    pub fn gather(all: &mut Vec<PatchTally>, more: &[PatchTally]) {
        for tally in more {
            let same = |known: &&mut PatchTally| {
                (&known.origin, &known.layer, &known.unit) == (&tally.origin, &tally.layer, &tally.unit)
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.n += tally.n;
                    known.restored += tally.restored;
                    known.control += tally.control;
                    known.only += tally.only;
                    known.only_control += tally.only_control;
                    known.complete += tally.complete;
                }
                None => all.push(tally.clone()),
            }
        }
    }
}
