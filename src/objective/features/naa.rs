//! Neuron attribution-based attack: Zhang, Wu, Huang, Huang, Wang, Su and Lyu 2022, <https://arxiv.org/abs/2204.00008>.

use tch::Tensor;

use super::{Anchor, Drive, Setup, sum, unit_length};
use crate::suite::passes::IMPORTANCE_IMAGES;

/// `-<g' - g(0), w>` less the constant, with w the derivative of the clean prediction's probability by the features, summed along the way
/// from black to the clean image, and of length 1.
pub(super) struct Naa;

impl Drive for Naa {
    fn anchor(&self, setup: &Setup) -> Anchor {
        let images = (1..=IMPORTANCE_IMAGES)
            .map(|image| setup.importance(&(setup.clean * (image as f64 / IMPORTANCE_IMAGES as f64))));
        let total = images.reduce(|total, importance| total + importance);
        Anchor::one(total.map_or_else(|| setup.clean.zeros_like(), |total| unit_length(&total)))
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        -sum(&(features * anchor.first()))
    }
}
