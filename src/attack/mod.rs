//! Kinds of attack: what is driven, in which order rows run, and what the records say. One file each.
//!
//! A kind makes chains of rows, the objective that they maximize, and entries from what the search found; the block runs it, with its
//! controls and its transfer to other models. A new kind is one file that implements [`Kind`] and one line in [`kind`].

mod block;
mod class_logit;
mod controls;
mod damage;
mod features;
mod learned;
mod noise_control;
mod pictures;
mod preset;
mod referee;
mod selftest;
mod settle;
mod sweep;
mod trace;
mod transfer;
mod unit;
mod units;

pub use block::{AttackBlock, AttackOutcome};
pub use class_logit::ClassLogit;
pub(crate) use class_logit::target_class;
pub use controls::{ControlBlock, ControlOutcome};
pub use damage::{DamagePlan, DamageStudy, PatchTarget};
pub use features::FeatureDrive;
pub use learned::{Guides, Learned};
pub use pictures::{example, thumbnail};
pub use preset::Composition;
pub use referee::{ByDistance, ByMargin, ByUnit};
pub use selftest::{SelfTest, features_layer};
pub use settle::Entry;
use tch::Tensor;
pub use trace::{Step, Trace, Way, chance};
pub use transfer::Victim;
pub use unit::UnitDrive;
pub use units::{DrivenUnit, Reference, Selected, choose, controls_left};

use crate::judge::Watched;
use crate::model::{Model, ModelError};
use crate::suite::{AttackConfig, ClassLogitGoal, Goal, UnitGoal};
use crate::terms::Unit;

/// What of an attack a model cannot do.
#[derive(Debug)]
pub enum Unfit {
    /// A layer or a unit does not exist.
    Model(ModelError),
    /// What the suite asks for with this key.
    Value {
        /// The key.
        key: &'static str,
        /// Why it cannot be had.
        problem: String,
    },
}

/// A kind of attack with its settings.
pub trait Kind {
    /// Checks that `model` has what the attack asks for; `pixels` is one image.
    ///
    /// # Errors
    /// If it has not.
    fn check(&self, attack: &AttackConfig, model: &Model, pixels: &Tensor) -> Result<(), Unfit>;

    /// The layer whose clean activations the records tell, if any.
    fn watched(&self) -> Option<Watched> {
        None
    }

    /// The units that are driven, if any are.
    fn selected(&self) -> Option<Selected<'_>> {
        None
    }

    /// Whether the images are shown to other models, if the suite asks for that.
    fn transfers(&self) -> bool {
        false
    }

    /// What a row on one sample does when it is followed from the clean image on, alone; none for kinds whose rows have several ways.
    /// `unit` is what a unit attack drives.
    fn way<'a>(&'a self, _block: &'a AttackBlock<'_>, _sample: usize, _unit: Option<Unit>) -> Option<Way<'a>> {
        None
    }

    /// Runs the attack and its controls: entries by cell, then sample, and the number of hits of the search that were not confirmed.
    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64);
}

/// The kind of attack that a goal is. One line each.
pub fn kind(goal: &Goal) -> Box<dyn Kind + '_> {
    match goal {
        Goal::ClassLogit(ClassLogitGoal { preset: Some(preset), .. }) => Box::new(Composition(*preset)),
        Goal::ClassLogit(goal) => Box::new(ClassLogit { target: goal.target, loss: goal.loss }),
        Goal::Unit(UnitGoal { layer, units, direction, controls }) => {
            Box::new(UnitDrive { layer, units, direction: *direction, controls })
        }
        Goal::Features(goal) => Box::new(FeatureDrive { objective: goal.objective, layer: &goal.layer }),
    }
}
