//! How rows move. An optimizer knows nothing of models or objectives: it asks for an image to be looked at, and is told what was seen.
//!
//! A new optimizer is one file with a struct declared by `rows!` that implements [`Optimizer`], one line in [`find`], and one
//! word in [`crate::suite::OptimizerName`] (with the passes of a step, which the plan's closed form and the engine's counters share).

mod adam;
mod apgd;
mod apgd_l1;
#[cfg(test)]
mod closed_forms;
mod cw;
mod ddn;
mod deepfool;
mod fab;
mod fmn;
mod momentum;
mod rivals;
mod sigma_zero;
mod square;
mod steepest;

use std::cell::Cell;

use tch::{Kind, Tensor};

use crate::region::Region;
use crate::rows::{Entrants, RowState};
use crate::suite::OptimizerName;

/// What an optimizer has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The score alone: no backward pass runs, and a gradient of zero is no sign of anything.
    Score,
    /// The score and its gradient.
    Gradient,
    /// The logits, from which it takes the gradients that it wants (`Seen::pass`).
    Logits,
}

/// What one look at `query` showed, of R rows.
pub struct Seen<'a> {
    /// The objective `[R]`, to be maximized.
    pub score: &'a Tensor,
    /// Its gradient with respect to what was asked for, zero where it is not finite; for [`Needs::Gradient`].
    pub gradient: Option<&'a Tensor>,
    /// What was reached `[R]`, i64: 0 nothing, 1 a flip, 2 the target; none where the pass did not go as far as the logits.
    pub level: Option<&'a Tensor>,
    /// The pass itself, for [`Needs::Logits`].
    pub pass: Option<&'a Pass<'a>>,
}

/// A forward pass whose graph is kept, so that several gradients can be taken: DeepFool and FAB want one for each class.
pub struct Pass<'a> {
    logits: &'a Tensor,
    pixels: &'a Tensor,
    backwards: Cell<u32>,
}

impl<'a> Pass<'a> {
    /// A pass from `pixels` `[R, C, H, W]` to `logits` `[R, K]`, between which the graph is kept.
    pub fn new(logits: &'a Tensor, pixels: &'a Tensor) -> Self {
        Pass { logits, pixels, backwards: Cell::new(0) }
    }

    /// Logits `[R, K]`, without their graph.
    pub fn logits(&self) -> Tensor {
        self.logits.detach()
    }

    /// The values `[R]` of `score`, a function of the logits, and its gradient: each row's with respect to its own image, zero where it is
    /// not finite. One backward pass.
    pub fn gradient(&self, score: impl FnOnce(&Tensor) -> Tensor) -> (Tensor, Tensor) {
        self.backwards.set(self.backwards.get() + 1);
        // The caller may have switched gradients off, and the sum belongs to the graph too.
        let (score, gradient) = tch::with_grad(|| {
            let score = score(self.logits);
            let gradient = gradient(&score, self.pixels, true);
            (score, gradient)
        });
        (score.detach(), gradient.nan_to_num(0.0, 0.0, 0.0))
    }

    /// Backward passes so far; every row takes part in each.
    pub fn backwards(&self) -> u32 {
        self.backwards.get()
    }
}

/// The gradient of the sum of `score` `[R]` with respect to `pixels`; zero if it does not depend on them (a model that detaches them).
/// Scores are summed, never averaged, so that no row's gradient depends on its neighbours.
pub fn gradient(score: &Tensor, pixels: &Tensor, keep_graph: bool) -> Tensor {
    if !score.requires_grad() {
        return pixels.zeros_like();
    }
    let gradient = Tensor::run_backward(&[score.sum(Kind::Float)], &[pixels], keep_graph, false).pop();
    // In the order of the images in memory: kernels over tensors of different orders are several times slower.
    gradient.filter(Tensor::defined).map_or_else(|| pixels.zeros_like(), |gradient| gradient.contiguous())
}

/// How rows move. Nothing in here reads a value of the device, uploads one, or draws: all that is done when rows enter.
pub trait Optimizer: RowState {
    /// What it has to be told.
    fn needs(&self) -> Needs;

    /// What is to be looked at next, `[R, C, H, W]`: an image inside the region.
    fn query(&self) -> Tensor;

    /// What was seen there. Afterwards `query` is the next point.
    fn tell(&mut self, observed: &Seen, region: &dyn Region);

    /// Besides `query`, the image with which rows would rather end whose steps are used up: none, or the best that was seen. Both are
    /// verified, and the better one counts.
    fn best(&self) -> Option<Tensor> {
        None
    }

    /// For each row whether `query` lies in the region, so that it counts `[R]`; none if all always do. What the steps end with has to.
    fn counts(&self) -> Option<Tensor> {
        None
    }
}

/// How far rows go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Steps of each row.
    pub steps: usize,
    /// Length of a step as a share of the region's size, for those that do not adapt it.
    pub share: f64,
    /// The level from which an image counts as adversarial, for those that look for the nearest one: 1 a flip, 2 the target.
    pub level: i64,
}

impl Pace {
    /// So many steps of the given share of the region's size; by default 2.5 / steps, so that a row can go from one side to the other.
    pub fn new(steps: usize, share: Option<f64>) -> Self {
        Pace { steps, share: share.unwrap_or(2.5 / steps as f64), level: 1 }
    }
}

/// Makes the state of rows that enter: they begin at `first` `[R, C, H, W]`, inside `region`, whose rows they are.
pub type Enter = fn(pace: Pace, entrants: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer>;

/// Makes the state of rows that enter, for the optimizer of this name. One line each.
pub fn find(name: OptimizerName) -> Enter {
    match name {
        OptimizerName::Steepest => steepest::enter,
        OptimizerName::Momentum => momentum::momentum,
        OptimizerName::Nesterov => momentum::nesterov,
        OptimizerName::Apgd => apgd::enter,
        OptimizerName::ApgdWide => apgd::wide,
        OptimizerName::Square => square::enter,
        OptimizerName::Fmn => fmn::enter,
        OptimizerName::Deepfool => deepfool::enter,
        OptimizerName::Fab => fab::enter,
        OptimizerName::Ddn => ddn::enter,
        OptimizerName::Cw => cw::enter,
        OptimizerName::SigmaZero => sigma_zero::enter,
    }
}
