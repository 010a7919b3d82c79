//! Passes of single rows through a network, in closed form: steps, verification, and what is needed before the first step.

use std::ops::Add;

use super::boundary::LINEARIZED_CLASSES;
use super::choices::OptimizerName;
use super::features::FeatureObjective;

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

/// The distance to first order in a model of so many classes: one pass, and a gradient for each other class that it looks at.
pub fn linearized(classes: u64) -> Passes {
    Passes { forwards: 1, backwards: classes.min(LINEARIZED_CLASSES).saturating_sub(1) }
}
