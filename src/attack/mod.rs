//! What moves an image: norm balls with their steps and projections, and keyed randomness.

mod ball;

pub use crate::random::Noise;
pub use ball::{Balls, Lengths, flat_norm};
