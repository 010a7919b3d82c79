//! What a few passes over real images told of a model before it was attacked.

use serde::{Deserialize, Serialize};

/// The trial of one model. Differences of logits are shares of their spread (largest minus smallest logit of the image).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trial {
    /// Images that were shown.
    pub images: u64,
    /// Largest difference between passes over the same images in the same batch.
    pub between_passes: f64,
    /// Largest difference between an image alone and among others, if passes agree with each other.
    pub between_batches: Option<f64>,
    /// Passes over which each answer is averaged (`eot`), 1 for none.
    pub averaged: u64,
    /// Whether the model returns probabilities, whose logarithm is attacked.
    pub probabilities: bool,
    /// Images for which the gradient of the margin is zero in every pixel.
    pub zero_gradients: u64,
    /// Images for which the model gives NaN or infinity.
    pub not_finite: u64,
    /// Images that, going by the gradient, no change of their pixels within [0, 1] flips: the gradient does not show the boundary.
    #[serde(default)]
    pub flat: u64,
}

impl Trial {
    /// Beyond this, passes differ by more than the order of floating-point sums explains.
    pub const REPEATS: f64 = 1e-4;

    /// Beyond this, an image's logits depend on the other images of its batch.
    pub const COMPANY: f64 = 1e-3;

    /// Whether the model answers the same image differently each time.
    pub fn is_random(&self) -> bool {
        self.between_passes > Self::REPEATS
    }

    /// Whether a single pass of a random model decides: then its flips and its robust samples are accidents.
    pub fn is_accident(&self) -> bool {
        self.is_random() && self.averaged <= 1
    }
}
