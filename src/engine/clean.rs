//! A block of samples on the device, with what the model says of the clean images.

use tch::{Device, Kind, Tensor};

use super::judge::{Judgement, floats, judge};
use crate::data::Sample;
use crate::model::Model;
use crate::terms::SampleId;

/// A block of samples and its clean pass.
pub struct CleanBlock {
    /// The samples' ids.
    pub ids: Vec<SampleId>,
    /// True classes.
    pub labels: Vec<i64>,
    /// Pixels `[N, C, H, W]` in [0, 1], f32, on the device.
    pub pixels: Tensor,
    /// What the f32 model says of them.
    pub judgements: Vec<Judgement>,
    /// Logits of the f32 model, `[N][K]`.
    pub logits: Vec<Vec<f32>>,
}

impl CleanBlock {
    /// Moves the samples to the device and judges them.
    pub fn new(model: &Model, samples: &[Sample]) -> Self {
        let pixels = pixels(samples, model.device());
        let labels: Vec<i64> = samples.iter().map(|sample| i64::from(sample.label)).collect();
        let judgements = judge(model, &pixels, &labels, None, labels.len());
        let logits = tch::no_grad(|| floats(&model.logits(&pixels)));
        CleanBlock {
            ids: samples.iter().map(|sample| sample.id.clone()).collect(),
            labels,
            pixels,
            judgements,
            logits: logits.chunks(model.classes as usize).map(<[f32]>::to_vec).collect(),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether sample `index` may be attacked: finite logits, and classified rightly.
    pub fn attackable(&self, index: usize) -> bool {
        self.judgements[index].finite && self.judgements[index].prediction == self.labels[index]
    }
}

/// The images of `samples` as pixels `[N, C, H, W]` in [0, 1], f32.
pub fn pixels(samples: &[Sample], device: Device) -> Tensor {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.image.pixels.iter().copied()).collect();
    let Some(first) = samples.first() else { return Tensor::zeros([0, 3, 1, 1], (Kind::Float, device)) };
    let (channels, height, width) = (first.image.channels, first.image.height, first.image.width);
    let shape = [samples.len() as i64, channels as i64, height as i64, width as i64];
    Tensor::from_slice(&bytes).view(shape).to_device(device).to_kind(Kind::Float) / 255.0
}
