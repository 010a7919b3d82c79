//! What decides: passes over clean images, judgements in f32, and exact lengths.

mod clean;
mod directions;
mod features;
mod judgement;
mod lengths;
mod ranking;

pub use clean::{CleanBlock, in_8_bits, in_pixel_units, pixels};
pub use directions::{file_vector, learn_directions, missing_class};
pub use features::{Features, Watched, features};
pub use judgement::{Judgement, judge};
pub use lengths::Lengths;
pub use ranking::{Labelled, SampleUnits, ranked, scores, sensitive};

use crate::model::Model;

/// What everything that works on a block needs.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The model that searches.
    pub model: &'a Model,
    /// The model that decides, in f32.
    pub verifier: &'a Model,
    /// The samples, with what the verifier says of them.
    pub clean: &'a CleanBlock,
    /// The suite's seed.
    pub seed: u64,
    /// Rows in a batch.
    pub capacity: usize,
    /// Steps between looks at which rows are done: each look waits for the device.
    pub poll: usize,
}

impl Bench<'_> {
    /// The samples that may be attacked.
    pub fn attacked(&self) -> Vec<usize> {
        (0..self.clean.len()).filter(|&sample| self.clean.attackable(sample)).collect()
    }
}
