//! What is measured of finished pictures.

use tch::{Kind, Tensor};

use super::fitted;
use crate::model::Model;
use crate::record::Seen;

/// Points kept of an objective's way.
const HISTORY: usize = 33;

/// What a model sees in images of any size, as its own channels allow.
pub(super) fn classified(model: &Model, images: &Tensor) -> Vec<Seen> {
    let [channels, height, width] = model.input;
    let images = match (images.size()[1], channels) {
        (3, 1) => images.mean_dim([1i64].as_slice(), true, Kind::Float),
        (1, 3) => images.expand([-1, 3, -1, -1], false),
        _ => images.shallow_clone(),
    };
    let logits = tch::no_grad(|| model.logits(&fitted(&images.to_device(model.device()), [height, width])));
    let (confidence, class) = logits.nan_to_num(0.0, 0.0, 0.0).softmax(-1, Kind::Float).max_dim(-1, false);
    (0..images.size()[0])
        .map(|row| Seen {
            model: model.name.clone(),
            class: class.int64_value(&[row]) as u32,
            confidence: confidence.double_value(&[row]) as f32,
        })
        .collect()
}

/// Where a value stands among others.
pub(super) struct Comparison {
    pub(super) percentile: Option<f64>,
    pub(super) gain: Option<f64>,
}

impl Comparison {
    pub(super) fn new(real: &[f64], value: f64) -> Self {
        if real.is_empty() || !value.is_finite() {
            return Comparison { percentile: None, gain: None };
        }
        let count = real.len() as f64;
        let below = real.iter().filter(|other| **other <= value).count() as f64;
        let mean = real.iter().sum::<f64>() / count;
        let deviation = (real.iter().map(|other| (other - mean).powi(2)).sum::<f64>() / count).sqrt();
        Comparison { percentile: Some(below / count), gain: (deviation > 0.0).then(|| (value - mean) / deviation) }
    }
}

/// Standard deviation over the size of the mean; none of a single value.
pub(super) fn sensitivity(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    (mean != 0.0).then(|| deviation / mean.abs())
}

/// A long row of values by some of them, the ends included.
pub(super) fn thinned(values: &[f32]) -> Vec<f32> {
    if values.len() <= HISTORY {
        return values.to_vec();
    }
    (0..HISTORY).map(|point| values[point * (values.len() - 1) / (HISTORY - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_placed_among_others() {
        let comparison = Comparison::new(&[0.0, 1.0, 2.0, 3.0], 2.0);
        assert_eq!(comparison.percentile, Some(0.75));
        assert!((comparison.gain.unwrap() - 0.5 / 1.25f64.sqrt()).abs() < 1e-12);
        assert!(Comparison::new(&[], 1.0).percentile.is_none());
        assert!(Comparison::new(&[1.0, 1.0], 1.0).gain.is_none());
    }

    #[test]
    fn seeds_that_agree_are_not_sensitive() {
        assert_eq!(sensitivity(&[2.0, 2.0]), Some(0.0));
        assert!((sensitivity(&[1.0, 3.0]).unwrap() - 2f64.sqrt() / 2.0).abs() < 1e-12);
        assert_eq!((sensitivity(&[1.0]), sensitivity(&[1.0, -1.0])), (None, None));
    }

    #[test]
    fn a_long_way_keeps_its_ends() {
        let values: Vec<f32> = (0..100).map(|value| value as f32).collect();
        let thin = thinned(&values);
        assert_eq!((thin.len(), thin[0], thin[HISTORY - 1]), (HISTORY, 0.0, 99.0));
        assert_eq!(thinned(&values[..5]), values[..5]);
    }
}
