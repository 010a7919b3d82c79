//! Which units an attack drives, in which direction, and what runs beside it for comparison.

use serde::{Deserialize, Serialize};

use crate::terms::{Unit, words};

/// Which units of a layer to drive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitSelection {
    /// The units with the largest mean activation over the reference images.
    TopActivation(usize),
    /// The units that another measure puts first.
    Top {
        /// How many.
        count: usize,
        /// The measure.
        by: UnitRanking,
    },
    /// Units drawn by seed.
    Random(usize),
    /// These units.
    Listed(Vec<Unit>),
    /// Every unit.
    All,
}

words! {
    /// How the units of `{ top = N }` are ranked, over the reference images.
    pub enum UnitRanking {
        /// By mean activation.
        Activation = "activation",
        /// By the variance of the activation.
        Variance = "variance",
        /// By how far the mean of one class stands out from the mean of the others, in standard deviations.
        Selectivity = "selectivity",
        /// By the derivative of the label's logit by the unit.
        Gradient = "gradient",
        /// By how little the unit must move, in its standard deviations, to change the prediction (Suri and Evans 2020): the units by which images
        /// are fooled most easily.
        Sensitivity = "sensitivity",
    }
}

impl UnitSelection {
    /// The first `count` units by a measure.
    pub fn top(count: usize, by: UnitRanking) -> Self {
        match by {
            UnitRanking::Activation => UnitSelection::TopActivation(count),
            by => UnitSelection::Top { count, by },
        }
    }

    /// How many units of each layer are asked for, where a measure or the seed chooses them.
    pub fn requested(&self) -> Option<usize> {
        match self {
            UnitSelection::TopActivation(count) | UnitSelection::Top { count, .. } | UnitSelection::Random(count) => {
                Some(*count)
            }
            UnitSelection::Listed(_) | UnitSelection::All => None,
        }
    }
}

/// Drive a unit up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Raise the activation.
    #[default]
    Maximize,
    /// Lower the activation.
    Suppress,
}

/// A control beside a unit attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Random noise of the same norm, five draws.
    Noise,
    /// As many other units of the same layer, drawn by seed, with the same budget.
    RandomUnit,
}
