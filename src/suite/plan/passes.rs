//! Passes of attacks and measurements through a network, in closed form. The plan's upper bounds and the engine's loops share these numbers, and tests
//! hold the engine's counters against them.

use crate::suite::Stop;
use crate::suite::choices::Sweep;
use crate::suite::config::{AttackConfig, BoundaryConfig, BoundaryMethod, OptimizerName};
use crate::suite::features::GradientViews;
use crate::suite::presets::{Aim, Part, Preset};
pub use crate::suite::row_passes::*;
use crate::terms::Norm;

/// Random draws of a noise control.
pub const NOISE_DRAWS: usize = 5;
/// A noise draw: in f32, and after rounding to 8 bits.
pub const NOISE_DRAW: Passes = Passes::forward(2);
/// A victim of transfer, for each image that it is shown: the image, and noise of the same length.
pub const TRANSFER: Passes = Passes::forward(2);
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
/// Where the reported point of a ray is looked for, as shares of the way from the bracket's end back to where it began: mostly the first
/// one holds.
pub const REPORTED: [f64; 4] = [0.0, 1e-4, 1e-2, 1.0];

/// Radii along a ray at which a flip is looked for that the search found and verification did not confirm, as multiples of its own.
pub const BEYOND: [f64; 5] = [1.001, 1.01, 1.05, 1.2, 1.5];

/// Images of the trial of a model, and passes over all of them together.
pub const TRIAL_IMAGES: usize = 4;
/// See [`TRIAL_IMAGES`].
pub const TRIAL_PASSES: usize = 3;
/// The trial, the distance to first order aside: all images together, each alone, all with their negatives, and a gradient.
pub const TRIAL: Passes =
    Passes { forwards: (TRIAL_IMAGES * (TRIAL_PASSES + 1 + 2 + 1)) as u64, backwards: TRIAL_IMAGES as u64 };
/// Images by which units are ranked and gains are scaled: the first of the run.
pub const REFERENCE: usize = 512;
/// Images on which readouts are trained, at most.
pub const READOUT_IMAGES: usize = 2048;
/// Images of the data set among which those are that features are guided to.
pub const GUIDES: usize = 128;
/// Samples among which those with a way over the boundary are looked for, at least.
pub const WAY_SAMPLES: usize = 50;
/// Units of a unit attack of which one that flips the sample is looked for.
pub const WAY_UNITS: usize = 8;
/// Samples that universal perturbations are made from and judged on, at most.
pub const UNIVERSAL_SAMPLES: usize = 1024;
/// Images of a step of a universal perturbation.
pub const UNIVERSAL_BATCH: usize = 16;
/// Shuffled twins of a universal perturbation.
pub const FLIP_DRAWS: u64 = 5;

/// One step that looks at several views.
pub fn step(optimizer: OptimizerName, views: Option<GradientViews>) -> Passes {
    match views {
        None => optimizer.step(),
        Some(views) => optimizer.step().times(views.count() as u64) + Passes::forward(u64::from(!views.begins_plain())),
    }
}

/// Steps of the search for the nearest flip with which a sweep over several radii begins. It tells at which radius the attack begins, and the
/// attack has the last word: in l-inf and l2 balls 2 steps and the image behind them lead to the same flips as 20. In l1 and l0 balls steps
/// are sparse, and few of them lose flips that short attacks do not find (docs/performance.md).
pub fn nearest_steps(norm: Norm) -> usize {
    match norm {
        Norm::Linf | Norm::L2 => 2,
        Norm::L1 | Norm::L0 => 20,
    }
}

/// What a sweep over so many radii takes beside the attacks at each of them, at most: the search for the nearest flip and its image at the
/// next radius; behind each failing attack, what it ended with in all smaller balls. Each of these is looked at once more, rounded.
pub fn sweep(norm: Norm, radii: u64) -> Passes {
    let drawn = 1 + radii * radii.saturating_sub(1) / 2;
    OptimizerName::Fmn.row(nearest_steps(norm) as u64) + Passes::forward(2 * drawn)
}

impl AttackConfig {
    /// Whether several radii are settled at once.
    pub fn sweeps(&self) -> bool {
        self.sweep == Sweep::Nearest && self.epsilons.len() > 1
    }

    /// A row, prepared and verified, at most.
    pub fn row(&self) -> Passes {
        let preparation = self.goal.preparation();
        // Where an attack goes on after a flip, the nearest that it passed is looked at too.
        let passed = Passes::forward(u64::from(self.stop == Stop::Budget));
        step(self.optimizer, self.views).times(self.steps as u64) + VERIFICATION + passed + preparation
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
        let projections = if self.projects(config.norm) { PROJECTIONS as u64 } else { 0 };
        let way = (PROJECTED.len() + INWARD.len()) as u64 + 1 + bisections;
        let projection = Passes { forwards: way, backwards: RIVALS as u64 };
        search + Passes::forward(bisections + REPORTED.len() as u64) + projection.times(projections)
    }
}

/// Steps that Auto-PGD takes in each of its balls, of so many in all.
pub fn steps_of_a_radius(steps: usize) -> usize {
    steps.div_ceil(RADII)
}

impl Preset {
    /// Passes of one sample and radius at most, in a network of so many classes.
    pub fn passes(self, attack: &AttackConfig, classes: u64) -> Passes {
        passes_of(&self.parts_of(attack.norm, classes as usize, attack.steps), classes)
    }
}

/// Passes of one sample and radius by all parts at most, in a network of so many classes. The nearest classes are looked for once.
pub fn passes_of(parts: &[Part], classes: u64) -> Passes {
    let ranking = match parts.iter().any(|part| matches!(part.aim, Aim::Nearest(_))) {
        true => Passes { forwards: 1, backwards: (RIVALS as u64).min(classes.saturating_sub(1)) },
        false => Passes::default(),
    };
    parts.iter().fold(ranking, |sum, part| sum + part.passes(classes))
}

impl Part {
    /// Passes of one sample and radius at most, in a network of so many classes, that choose no targets.
    fn passes(&self, classes: u64) -> Passes {
        let rows = self.rows(classes as usize) as u64;
        // Targeted rows of these follow one boundary.
        let step = match (self.aim, self.optimizer) {
            (Aim::Away, optimizer) => step(optimizer, self.views),
            (_, optimizer) => Passes { backwards: optimizer.step().backwards.min(1), ..optimizer.step() },
        };
        (step.times(self.steps as u64) + VERIFICATION).times(rows)
    }
}
