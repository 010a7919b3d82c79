//! What an attack maximizes, one number for each row. Objectives are summed over rows, never averaged, so that no row's gradient
//! depends on its neighbours.

mod logits;
mod pixel;
mod units;

pub use logits::{logit_objective, margin, pick};
pub use pixel::{ObjectiveError, PixelObjective};
pub use units::{missing, unit_means, unit_values};
