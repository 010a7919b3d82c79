//! Neural representation distortion: Naseer, Khan, Rahman and Porikli 2018, <https://arxiv.org/abs/1811.09020>.

use tch::Tensor;

use super::{Anchor, Drive, Setup, mean};

/// `mean (g' - g)^2`. Its gradient is zero at the clean image, so that rows begin at a random start.
pub(super) struct Nrdm;

impl Drive for Nrdm {
    fn anchor(&self, setup: &Setup) -> Anchor {
        Anchor::one(setup.features(setup.clean))
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        mean(&(features - anchor.first()).square())
    }
}
