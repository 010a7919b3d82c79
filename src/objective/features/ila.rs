//! Intermediate level attack: Huang, Katsman, He, Gu, Belongie and Lim 2019, <https://arxiv.org/abs/1907.10823>.

use tch::Tensor;

use super::{Anchor, Drive, Setup, sum};

/// `<g' - g, d> / |d|^2`, with d the change of the features that another attack's image makes.
pub(super) struct Ila;

impl Drive for Ila {
    fn anchor(&self, setup: &Setup) -> Anchor {
        let clean = setup.features(setup.clean);
        let Some(other) = setup.other else { unreachable!("the other attack ran before") };
        let change = setup.features(other) - &clean;
        let scale = sum(&change.square()).clamp_min(1e-30);
        let direction = (change.flatten(1, -1) / scale.unsqueeze(1)).view_as(&change);
        Anchor::two(clean, direction)
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        sum(&((features - anchor.first()) * anchor.second()))
    }
}
