//! Feature adversaries: Sabour, Cao, Faghri and Fleet 2016, <https://arxiv.org/abs/1511.05122>.

use tch::Tensor;

use super::{Anchor, Drive, Setup, mean};

/// `-mean (g' - h)^2`, with h the features of an image of another class.
pub(super) struct Guided;

impl Drive for Guided {
    fn anchor(&self, setup: &Setup) -> Anchor {
        let Some(guide) = setup.other else { unreachable!("guides are chosen before") };
        Anchor::one(setup.features(guide))
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        -mean(&(features - anchor.first()).square())
    }
}
