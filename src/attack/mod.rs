//! What moves an image: norm balls with their steps and projections, and keyed randomness.

mod ball;
mod noise;

pub use ball::{Balls, Lengths, flat_norm};
pub use noise::Noise;
