//! What an attack drives, one file for each kind: its settings as the suite's record keeps them, and what plans, gates, records and reports
//! ask of it ([`GoalKind`]). A new kind is one file, one variant and one line here.

mod class_logit;
mod features;
mod unit;

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

pub use self::class_logit::ClassLogitGoal;
pub use self::features::FeaturesGoal;
pub use self::unit::UnitGoal;
use super::presets::Preset;
use super::row_passes::Passes;
use super::selection::{Control, UnitSelection};
use super::target::Target;
use crate::terms::{CellKind, LayerName};

/// What an attack drives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Goal {
    /// The logit of a class.
    ClassLogit(ClassLogitGoal),
    /// A unit inside the network.
    Unit(UnitGoal),
    /// A layer's features as a whole.
    Features(FeaturesGoal),
}

impl Deref for Goal {
    type Target = dyn GoalKind;
    fn deref(&self) -> &Self::Target {
        match self {
            Goal::ClassLogit(goal) => goal,
            Goal::Unit(goal) => goal,
            Goal::Features(goal) => goal,
        }
    }
}

impl DerefMut for Goal {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Goal::ClassLogit(goal) => goal,
            Goal::Unit(goal) => goal,
            Goal::Features(goal) => goal,
        }
    }
}

/// What the rest of the program asks of a kind of attack. What a kind does not answer is what most kinds answer.
pub trait GoalKind {
    /// The kind of the attack's own cells; its role says what reports make of them.
    fn cell_kind(&self) -> CellKind;

    /// The rule by which each sample has a target; none where no class is driven.
    fn target(&self) -> Option<Target> {
        None
    }

    /// The layer that is driven, as the suite writes it; none for the logits.
    fn layer(&self) -> Option<&LayerName> {
        None
    }

    /// The same, to be named anew.
    fn layer_mut(&mut self) -> Option<&mut LayerName> {
        None
    }

    /// The units that are driven one by one; none where something else is.
    fn units(&self) -> Option<&UnitSelection> {
        None
    }

    /// The controls that the suite asks for beside the attack.
    fn controls(&self) -> &[Control] {
        &[]
    }

    /// The composition of attacks that runs instead of one; each of its parts has a loss and a budget of its own.
    fn composition(&self) -> Option<Preset> {
        None
    }

    /// The same on the two classes of a self-test, if a function of the logits is driven.
    fn on_two_classes(&self) -> Option<Goal> {
        None
    }

    /// Whether a function of the logits is driven, so that the attack can be tested on the two classes of a self-test.
    fn drives_logits(&self) -> bool {
        self.on_two_classes().is_some()
    }

    /// Classes that a model must have, and the key of the suite that says so.
    fn needed_classes(&self) -> (usize, &'static str) {
        (2, "kind")
    }

    /// Whether the plain logit is driven, which finds less than the margin at equal cost.
    fn drives_plain_logit(&self) -> bool {
        false
    }

    /// Whether more steps of the same attack are a control of it.
    fn can_be_longer(&self) -> bool {
        false
    }

    /// Whether a row has one way from the clean image on that a trajectory can follow.
    fn has_one_way(&self) -> bool {
        true
    }

    /// Whether trajectories follow the attack where the suite names none.
    fn is_followed_unasked(&self) -> bool {
        self.has_one_way()
    }

    /// The word for what is made of a layer's features; none where units or logits are driven.
    fn objective_word(&self) -> Option<&'static str> {
        None
    }

    /// What it takes to know of a row before its first step.
    fn preparation(&self) -> Passes {
        Passes::default()
    }

    /// Whether a readout of the layer is driven, which is trained first.
    fn follows_readout(&self) -> bool {
        false
    }

    /// Whether rows are guided to images of other classes, which are looked for first.
    fn follows_guides(&self) -> bool {
        false
    }

    /// What it takes to choose a sample's target or units in a model of so many classes, at most.
    fn ranking(&self, _classes: u64) -> Passes {
        Passes::default()
    }

    /// The rows of a sample at one radius; `layer_units` is the number of the layer's units, if it is known.
    fn driven(&self, layer_units: Option<u64>) -> Driven {
        let Some(units) = self.units() else { return Driven { count: 1, at_least: false } };
        let at_least = *units == UnitSelection::All && layer_units.is_none();
        Driven { count: units.count(layer_units), at_least }
    }
}

/// Rows that an attack drives for each sample and radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driven {
    /// How many.
    pub count: u64,
    /// Whether there may be more: the number of a layer's units is not known.
    pub at_least: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::selection::{Control, Direction};

    fn units(units: UnitSelection, controls: &[Control]) -> Goal {
        Goal::Unit(UnitGoal {
            layer: "layer1".into(),
            units,
            direction: Direction::Maximize,
            controls: controls.to_vec(),
        })
    }

    #[test]
    fn a_layer_may_have_fewer_units_than_are_asked_for() {
        let top = units(UnitSelection::TopActivation(8), &[]);
        assert_eq!(top.driven(Some(5)), Driven { count: 5, at_least: false });
        assert_eq!(top.driven(None), Driven { count: 8, at_least: false });
        let all = units(UnitSelection::All, &[]);
        assert_eq!(
            [all.driven(Some(5)), all.driven(None)].map(|driven| (driven.count, driven.at_least)),
            [(5, false), (1, true)]
        );
    }

    #[test]
    fn attacks_are_no_controls() {
        let goals = [units(UnitSelection::All, &[Control::Noise])];
        assert!(
            goals
                .iter()
                .all(|goal| !goal.cell_kind().is_control() && goal.layer().is_some() && goal.target().is_none())
        );
    }
}
