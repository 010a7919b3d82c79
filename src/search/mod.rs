//! The shell that runs the parts: rows enter, step, leave, are verified, and go on. It knows rows, levels and a criterion, and nothing of
//! labels or of what is driven.
//!
//! [`Batch`] alone is the ascent: rows on the device, which step until someone takes them off (visualizations need no more). [`Search`]
//! feeds it from chains of rows and verifies what leaves.

mod batch;
mod criterion;
mod first;
mod follow;
mod look;
mod nearest;
mod retain;
mod run;
mod track;
mod verification;
mod views;

pub use batch::{Active, Batch, Canvas, Left, Rested};
pub use criterion::{Criterion, Prefer};
pub use first::FirstLook;
pub use retain::Retain;
pub use run::{Found, Onward, Search};
use tch::Tensor;
pub use verification::inside;

use crate::judge::{Judgement, Lengths};
use crate::rows::Row;
use crate::terms::{Epsilon, Norm};

/// What is said of one finished image.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// 0 nothing, 1 flipped, 2 target reached.
    pub level: i64,
    /// The objective's own measure, by which images of one level are ranked, larger being better.
    pub measure: f64,
    /// What the exact pass says.
    pub judgement: Judgement,
}

/// Decides, in an exact pass of its own, what images reached.
pub trait Referee {
    /// Judges images `[N, C, H, W]`, each of the row beside it.
    fn judge(&self, rows: &[&Row], images: &Tensor) -> Vec<Verdict>;
}

/// A finished row, verified.
pub struct Finished {
    /// The row.
    pub row: Row,
    /// The image `[1, C, H, W]`; undefined if it was not kept.
    pub image: Tensor,
    /// What the exact pass says of it.
    pub verdict: Judgement,
    /// Its objective's measure, by which images of one level are ranked.
    pub measure: f64,
    /// The prediction differs from the clean one.
    pub flipped: bool,
    /// It still does after rounding to 8 bits.
    pub flipped_u8: bool,
    /// The target is predicted and was not before.
    pub hit: bool,
    /// Norms of the perturbation.
    pub lengths: Lengths,
    /// The length, in the region's norm, of a nearer image that flips too, verified: one that the search passed on its way to this one.
    pub nearest: Option<f64>,
    /// Steps taken.
    pub steps: u32,
    /// Forward passes, verification included.
    pub forwards: u32,
    /// Backward passes.
    pub backwards: u32,
    /// The gradient was zero at every step.
    pub zero_gradient: bool,
    /// The network gave NaN or infinity on the way.
    pub non_finite: bool,
    /// All steps were taken, and the last tenth of them brought more than a twentieth of the way from the first score to the best. None
    /// if there are too few steps to say, or some were left.
    pub still_moves: Option<bool>,
}

impl Finished {
    /// Whether its image holds as a flip for whoever looks at it again: logits that lie too near to each other count as not robust, but
    /// a distance has to end where the prediction is another one.
    pub fn is_confirmed(&self) -> bool {
        self.flipped && (self.verdict.decided || !self.verdict.finite)
    }

    /// 0 nothing, 1 flipped, 2 target reached.
    pub fn level(&self) -> i64 {
        i64::from(self.flipped) + i64::from(self.hit)
    }

    /// Whether what it found counts in the ball of this radius: it searched in this ball or a smaller one, or what flips lies inside.
    pub fn counts_in(&self, radius: Epsilon, norm: Norm) -> bool {
        self.row.epsilon <= radius || (self.flipped && inside(self.lengths.get(norm), radius))
    }
}
