//! What rows maximize, one number for each row. Objectives are summed over rows, never averaged, so that no row's gradient depends on
//! its neighbours.
//!
//! A new objective is one file with a struct declared by `rows!` that implements [`Objective`]; the kind of attack that drives it makes
//! its state when rows enter.

mod features;
mod levels;
mod linear;
mod logits;
mod patching;
mod pixel;
mod presence;
mod reading;
mod units;

pub use features::{Drive, FeatureScore, Readout, Setup, SharedDrive, Trained};
pub use levels::Levels;
pub use linear::class_distances;
pub use logits::{LogitObjective, logit_objective, margin, pick};
pub use patching::patched;
pub use pixel::{ObjectiveError, PixelObjective};
pub use presence::missing;
pub use reading::unit_map;
use tch::Tensor;
pub use units::{UnitObjective, Variety, unit_means, unit_values};

use crate::model::Model;
use crate::rows::RowState;

/// What one pass says of R rows.
pub struct Scored {
    /// What the rows maximize `[R]`, with its graph.
    pub score: Tensor,
    /// What the pass shows as reached `[R]`, i64: 0 nothing, 1 a flip, 2 the target; none where the pass did not go as far as the
    /// logits, or where nothing can be reached (a visualization).
    pub level: Option<Tensor>,
    /// Logits `[R, K]` with their graph, if the pass went so far.
    pub logits: Option<Tensor>,
}

/// What rows maximize.
pub trait Objective: RowState {
    /// One forward pass of images `[R, C, H, W]` in [0, 1]. With `full_pass` it goes on to the logits even where the score does not need them.
    fn score(&self, model: &Model, pixels: &Tensor, full_pass: bool) -> Scored;

    /// Whether passes may leave the network before the logits. Then flips are seen in every fifth step only, and rows stay in step.
    fn truncates(&self) -> bool {
        false
    }
}
