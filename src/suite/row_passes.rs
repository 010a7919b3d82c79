//! Passes of single rows through a network, in closed form: steps, verification, and what is needed before the first step.

use std::ops::Add;

use super::boundary::LINEARIZED_CLASSES;
use super::choices::OptimizerName;
use super::features::FeatureObjective;
use super::picture::PictureConfig;
use super::selection::{UnitRanking, UnitSelection};

/// Passes of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passes {
    /// Forward passes.
    pub forwards: u64,
    /// Backward passes.
    pub backwards: u64,
}

impl Passes {
    /// So many times as many. Counts saturate.
    pub fn times(self, count: u64) -> Passes {
        Passes { forwards: self.forwards.saturating_mul(count), backwards: self.backwards.saturating_mul(count) }
    }

    /// Forward passes alone.
    pub const fn forward(forwards: u64) -> Passes {
        Passes { forwards, backwards: 0 }
    }
}

impl Add for Passes {
    type Output = Passes;
    fn add(self, other: Passes) -> Passes {
        Passes {
            forwards: self.forwards.saturating_add(other.forwards),
            backwards: self.backwards.saturating_add(other.backwards),
        }
    }
}

/// The verification of a row at most: the last image and the best one, and the chosen one after rounding to 8 bits. Optimizers that end
/// with an image of their own do so only where nothing was reached, so that there is no other best one.
pub const VERIFICATION: Passes = Passes::forward(3);
/// Other classes that DeepFool and FAB try at each step, the likeliest ones.
pub const RIVALS: usize = 9;

impl OptimizerName {
    /// One step of a row.
    pub fn step(self) -> Passes {
        match self {
            OptimizerName::Steepest
            | OptimizerName::Momentum
            | OptimizerName::Nesterov
            | OptimizerName::Apgd
            | OptimizerName::ApgdWide
            | OptimizerName::Fmn
            | OptimizerName::Ddn
            | OptimizerName::Cw
            | OptimizerName::SigmaZero => Passes { forwards: 1, backwards: 1 },
            OptimizerName::Square => Passes::forward(1),
            OptimizerName::Deepfool | OptimizerName::Fab => Passes { forwards: 1, backwards: RIVALS as u64 },
        }
    }

    /// Whether it follows gradients; other optimizers run on models that give none.
    pub fn follows_gradients(self) -> bool {
        self.step().backwards > 0
    }

    /// A row of so many steps, verified, at most.
    pub fn row(self, steps: u64) -> Passes {
        self.step().times(steps) + VERIFICATION
    }
}

/// Steps of the attack whose change of the features `ila` follows.
pub const ILA_STEPS: usize = 10;

/// Images whose gradients `fia` and `naa` average.
pub const IMPORTANCE_IMAGES: usize = 30;

impl FeatureObjective {
    /// What it takes to know of a row before its first step.
    pub fn preparation(self) -> Passes {
        match self {
            FeatureObjective::Dr | FeatureObjective::Readout => Passes::default(),
            FeatureObjective::Fda | FeatureObjective::Nrdm | FeatureObjective::Guided => Passes::forward(1),
            FeatureObjective::Ila => OptimizerName::Steepest.row(ILA_STEPS as u64) + Passes::forward(2),
            FeatureObjective::Fia | FeatureObjective::Naa => {
                Passes { forwards: IMPORTANCE_IMAGES as u64, backwards: IMPORTANCE_IMAGES as u64 }
            }
        }
    }
}

/// Other classes that a unit may push an image to, the likeliest ones.
pub const UNIT_RIVALS: usize = 5;

impl UnitRanking {
    /// What it takes to rank the units of a layer over one image, in a model of so many classes.
    pub fn passes(self, classes: u64) -> Passes {
        let backwards = match self {
            UnitRanking::Activation | UnitRanking::Variance | UnitRanking::Selectivity => 0,
            UnitRanking::Gradient => 1,
            UnitRanking::Sensitivity => (UNIT_RIVALS as u64).min(classes.saturating_sub(1)),
        };
        Passes { forwards: 1, backwards }
    }
}

impl UnitSelection {
    /// What it takes to choose units of a layer, and to learn the directions among them, for each reference image.
    pub fn choosing(&self, classes: u64) -> Passes {
        match self {
            UnitSelection::TopActivation(_) => UnitRanking::Activation.passes(classes),
            UnitSelection::Top { by, .. } => by.passes(classes),
            UnitSelection::Listed(units) => {
                Passes::forward(units.iter().filter(|unit| unit.direction().is_some()).count() as u64)
            }
            UnitSelection::Random(_) | UnitSelection::All => Passes::default(),
        }
    }

    /// What it takes to choose units for each sample, if any of them is: its prediction, and how little each unit has to move.
    pub fn choosing_by_sample(&self, classes: u64) -> Passes {
        match self {
            UnitSelection::Listed(units) if units.iter().any(|unit| unit.is_chosen_by_sample()) => {
                Passes::forward(1) + UnitRanking::Sensitivity.passes(classes)
            }
            _ => Passes::default(),
        }
    }

    /// How many units of a layer, of so many if that is known.
    pub fn count(&self, layer_units: Option<u64>) -> u64 {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let requested = match self {
            UnitSelection::TopActivation(top) | UnitSelection::Top { count: top, .. } => count(*top),
            UnitSelection::Random(drawn) => count(*drawn),
            UnitSelection::Listed(listed) => count(listed.len()),
            UnitSelection::All => layer_units.unwrap_or(1),
        };
        // A layer may have fewer units than the suite asks for.
        layer_units.map_or(requested, |layer| requested.min(layer))
    }
}

impl PictureConfig {
    /// Steps at which units without a gradient are looked for behind rectifiers that let it pass: a quarter of them, but no fewer than
    /// sixteen.
    pub fn warm_up(&self) -> usize {
        16.max(self.steps / 4).min(self.steps.saturating_sub(1))
    }

    /// A picture at most: each copy at each step, twice where there may be no gradient, and the picture itself in the end.
    pub fn passes(&self) -> Passes {
        let looks = (self.views.copies * (self.steps + self.warm_up())) as u64;
        Passes { forwards: looks + 1, backwards: looks }
    }
}

/// The distance to first order in a model of so many classes: one pass, and a gradient for each other class that it looks at.
pub fn linearized(classes: u64) -> Passes {
    Passes { forwards: 1, backwards: classes.min(LINEARIZED_CLASSES).saturating_sub(1) }
}
