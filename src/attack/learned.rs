//! What attacks on features have to know of a model before they begin, whatever block of samples they run on.

use tch::Tensor;

use crate::objective::Trained;
use crate::random::Noise;

/// What was learned of a model from images of the data set.
#[derive(Default)]
pub struct Learned {
    /// Readouts of the layers that attacks follow.
    pub readouts: Vec<Trained>,
    /// Images towards whose features others are guided; none where no attack asks for them.
    pub guides: Option<Guides>,
}

/// Images of the data set, of several classes.
pub struct Guides {
    pixels: Tensor,
    predictions: Vec<i64>,
}

impl Guides {
    /// From `pixels` `[N, C, H, W]` on the model's device, and what the model says of each; none if it says the same of all.
    pub fn new(pixels: Tensor, predictions: Vec<i64>) -> Option<Self> {
        let several = predictions.iter().any(|class| *class != predictions[0]);
        several.then_some(Guides { pixels, predictions })
    }

    /// An image `[1, C, H, W]` that the model calls something else than `prediction`, drawn by the stream `key`.
    pub fn choose(&self, prediction: i64, noise: &Noise, key: &str) -> Tensor {
        let others: Vec<usize> = (0..self.predictions.len()).filter(|&at| self.predictions[at] != prediction).collect();
        self.pixels.narrow(0, others[noise.below(key, others.len())] as i64, 1)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn guides_are_of_another_class_and_need_two() {
        let pixels = Tensor::arange(4, (Kind::Float, Device::Cpu)).view([4, 1, 1, 1]);
        assert!(Guides::new(pixels.shallow_clone(), vec![2; 4]).is_none());
        let guides = Guides::new(pixels, vec![0, 1, 0, 2]).unwrap();
        let noise = Noise::new(3, "guide");
        let mut drawn: Vec<f64> = (0..40)
            .map(|sample| guides.choose(0, &noise, &format!("sample {sample}")).double_value(&[0, 0, 0, 0]))
            .collect();
        drawn.sort_by(f64::total_cmp);
        drawn.dedup();
        assert_eq!(drawn, [1.0, 3.0], "all others are drawn at some time");
        assert_eq!(guides.choose(1, &noise, "x"), guides.choose(1, &noise, "x"));
    }
}
