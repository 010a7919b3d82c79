//! Passes of single rows through a network, in closed form. The plan's upper bounds and the engine's loops share these numbers, and tests
//! hold the engine's counters against them.

use std::ops::Add;

use crate::suite::choices::Sweep;
use crate::suite::config::{AttackConfig, BoundaryConfig, BoundaryMethod, Goal, LINEARIZED_CLASSES, OptimizerName};
use crate::suite::features::{FeatureObjective, GradientViews};
use crate::suite::presets::{Aim, Part};

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

/// Random draws of a noise control.
pub const NOISE_DRAWS: usize = 5;
/// A noise draw: in f32, and after rounding to 8 bits.
pub const NOISE_DRAW: Passes = Passes::forward(2);
/// A victim of transfer, for each image that it is shown: the image, and noise of the same length.
pub const TRANSFER: Passes = Passes::forward(2);
/// The verification of a row at most: the last image and the best one, and the chosen one after rounding to 8 bits. Optimizers that end
/// with an image of their own do so only where nothing was reached, so that there is no other best one.
pub const VERIFICATION: Passes = Passes::forward(3);
/// Steps of the search for the nearest flip with which a sweep over several radii begins.
pub const NEAREST_STEPS: usize = 20;
/// Radii of the grid along a path.
pub const GRID: usize = 16;
/// Points between the clean image and a nearest flip, as shares of the way: labels need not change once only, so the first that flips
/// counts.
pub const INWARD: [f64; 7] = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
const WAY_BACK: Passes = Passes::forward(if BEYOND.len() > INWARD.len() { BEYOND.len() } else { INWARD.len() } as u64);
/// How often a ray is replaced by the way to the nearest point of the boundary's linear likeness, at most.
pub const PROJECTIONS: usize = 2;
/// Where such a way is looked along for a flip, as multiples of its length: the likeness is none of a straight boundary.
pub const PROJECTED: [f64; 3] = [1.0002, 1.003, 1.03];
/// Balls in which Auto-PGD looks for the boundary, one after the other.
pub const RADII: usize = 6;
/// Other classes that DeepFool and FAB try at each step, the likeliest ones.
pub const RIVALS: usize = 9;
/// Where the reported point of a ray is looked for, as shares of the way from the bracket's end back to where it began: mostly the first
/// one holds.
pub const REPORTED: [f64; 4] = [0.0, 1e-4, 1e-2, 1.0];

/// Radii along a ray at which a flip is looked for that the search found and verification did not confirm, as multiples of its own.
pub const BEYOND: [f64; 5] = [1.001, 1.01, 1.05, 1.2, 1.5];

impl OptimizerName {
    /// One step of a row.
    pub fn step(self) -> Passes {
        match self {
            OptimizerName::Steepest
            | OptimizerName::Momentum
            | OptimizerName::Nesterov
            | OptimizerName::Apgd
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

/// One step that looks at several views.
pub fn step(optimizer: OptimizerName, views: Option<GradientViews>) -> Passes {
    match views {
        None => optimizer.step(),
        Some(views) => optimizer.step().times(views.count() as u64) + Passes::forward(u64::from(!views.begins_plain())),
    }
}

/// What a sweep over so many radii takes beside the attacks at each of them, at most: the search for the nearest flip and its image at the
/// next radius; behind each failing attack, what it ended with in all smaller balls. Each of these is looked at once more, rounded.
pub fn sweep(radii: u64) -> Passes {
    let drawn = 1 + radii * radii.saturating_sub(1) / 2;
    OptimizerName::Fmn.row(NEAREST_STEPS as u64) + Passes::forward(2 * drawn)
}

impl AttackConfig {
    /// Whether several radii are settled at once.
    pub fn sweeps(&self) -> bool {
        self.sweep == Sweep::Nearest && self.epsilons.len() > 1
    }

    /// A row, prepared and verified, at most.
    pub fn row(&self) -> Passes {
        let preparation = match &self.goal {
            Goal::Features { objective, .. } => objective.preparation(),
            Goal::ClassLogit { .. } | Goal::Unit { .. } => Passes::default(),
        };
        step(self.optimizer, self.views).times(self.steps as u64) + VERIFICATION + preparation
    }
}

impl BoundaryMethod {
    /// One sample at most, the distance to first order aside.
    pub fn passes(self, config: &BoundaryConfig) -> Passes {
        let (steps, bisections) = (config.steps as u64, config.bisections as u64);
        let search = match self {
            // The grid, and the path's end.
            BoundaryMethod::Path => OptimizerName::Steepest.row(steps) + Passes::forward(GRID as u64 + 1),
            BoundaryMethod::Fmn => OptimizerName::Fmn.row(steps) + WAY_BACK,
            BoundaryMethod::Deepfool => OptimizerName::Deepfool.row(steps) + WAY_BACK,
            BoundaryMethod::Fab => OptimizerName::Fab.row(steps) + WAY_BACK,
            BoundaryMethod::Ddn => OptimizerName::Ddn.row(steps) + WAY_BACK,
            BoundaryMethod::Cw => OptimizerName::Cw.row(steps) + WAY_BACK,
            BoundaryMethod::SigmaZero => OptimizerName::SigmaZero.row(steps) + WAY_BACK,
            BoundaryMethod::Apgd => {
                let row = OptimizerName::Apgd.row(steps_of_a_radius(config.steps) as u64);
                row.times(RADII as u64) + WAY_BACK
            }
        };
        let projections = match self {
            BoundaryMethod::Path | BoundaryMethod::SigmaZero => 0,
            _ => PROJECTIONS as u64,
        };
        let way = (PROJECTED.len() + INWARD.len()) as u64 + 1 + bisections;
        let projection = Passes { forwards: way, backwards: RIVALS as u64 };
        search + Passes::forward(bisections + REPORTED.len() as u64) + projection.times(projections)
    }
}

/// Steps that Auto-PGD takes in each of its balls, of so many in all.
pub fn steps_of_a_radius(steps: usize) -> usize {
    steps.div_ceil(RADII)
}

/// The distance to first order in a model of so many classes: one pass, and a gradient for each other class that it looks at.
pub fn linearized(classes: u64) -> Passes {
    Passes { forwards: 1, backwards: classes.min(LINEARIZED_CLASSES).saturating_sub(1) }
}

impl Part {
    /// Passes of one sample and radius at most, in a network of so many classes.
    pub fn passes(&self, classes: u64) -> Passes {
        let rows = self.rows(classes as usize) as u64;
        // Targeted rows of these follow one boundary.
        let step = match (self.aim, self.optimizer) {
            (Aim::Away, optimizer) => step(optimizer, self.views),
            (_, optimizer) => Passes { backwards: optimizer.step().backwards.min(1), ..optimizer.step() },
        };
        let ranking = match self.aim {
            Aim::Nearest(_) => Passes { forwards: 1, backwards: (RIVALS as u64).min(classes.saturating_sub(1)) },
            _ => Passes::default(),
        };
        (step.times(self.steps as u64) + VERIFICATION).times(rows) + ranking
    }
}
