//! Feature importance-aware attack: Wang, Guo, Zhang, Liu, Qin and Ren 2021, <https://arxiv.org/abs/2107.14185>.

use tch::Tensor;

use super::{Anchor, Drive, Setup, sum, unit_length};
use crate::suite::passes::IMPORTANCE_IMAGES;

/// `-<g', w>`, with w the derivative of the clean prediction's probability by the features, summed over images of which random values are
/// dropped, and of length 1.
pub(super) struct Fia;

/// Chance that a value of an image is dropped.
const DROP: f32 = 0.3;

impl Drive for Fia {
    fn anchor(&self, setup: &Setup) -> Anchor {
        let values = setup.clean.size()[1..].iter().product::<i64>() as usize;
        let mask = |key: &String, image: usize| {
            let draws = setup.noise.uniform(&format!("{key}/dropped/{image}"), values);
            let values: Vec<f32> = draws.iter().map(|&draw| if draw < 2.0 * DROP - 1.0 { 0.0 } else { 1.0 }).collect();
            Tensor::from_slice(&values)
        };
        let images = (0..IMPORTANCE_IMAGES).map(|image| {
            let masks: Vec<Tensor> = setup.keys.iter().map(|key| mask(key, image)).collect();
            let masks = Tensor::stack(&masks, 0).view_as(setup.clean).to_device(setup.clean.device());
            setup.importance(&(setup.clean * masks))
        });
        let total = images.reduce(|total, importance| total + importance);
        Anchor::one(total.map_or_else(|| setup.clean.zeros_like(), |total| unit_length(&total)))
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        -sum(&(features * anchor.first()))
    }
}
