//! A block of samples on the device, with what the model says of the clean images.

use tch::{Device, Kind, Tensor};

use super::features::{Features, Watched};
use super::judgement::{Judgement, judgements, whole_pass};
use crate::data::Sample;
use crate::model::{Model, Taps};
use crate::rows::floats;
use crate::terms::{LayerName, SampleId, Unit};

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
    features: Vec<Features>,
}

impl CleanBlock {
    /// Moves the samples to the device and judges them, in chunks of at most `chunk`. One pass gives judgements, logits and the
    /// activations of all `watched` layers.
    pub fn new(model: &Model, samples: &[Sample], watched: &[Watched], chunk: usize) -> Self {
        let labels: Vec<i64> = samples.iter().map(|sample| i64::from(sample.label)).collect();
        let ids = samples.iter().map(|sample| sample.id.clone()).collect();
        CleanBlock::judged(model, ids, labels, pixels(samples, model.device()), watched, chunk)
    }

    /// The same for images `[N, C, H, W]` in [0, 1], f32, that are on the device.
    pub fn judged(
        model: &Model,
        ids: Vec<SampleId>,
        labels: Vec<i64>,
        pixels: Tensor,
        watched: &[Watched],
        chunk: usize,
    ) -> Self {
        let layers: Vec<LayerName> = watched.iter().map(|watched| watched.layer.clone()).collect();
        let (mut judged, mut logits) = (Vec::with_capacity(labels.len()), Vec::with_capacity(labels.len()));
        let mut parts: Vec<Vec<Features>> = watched.iter().map(|_| Vec::new()).collect();
        tch::no_grad(|| {
            for (at, labels) in labels.chunks(chunk.max(1)).enumerate() {
                let images = pixels.narrow(0, (at * chunk.max(1)) as i64, labels.len() as i64);
                let mut taps = Taps::new(&layers);
                let part = whole_pass(model, &images, &mut taps);
                for ((parts, watched), activation) in parts.iter_mut().zip(watched).zip(taps.into_activations()) {
                    parts.extend(activation.map(|activation| Features::new(model, watched, &activation)));
                }
                judged.extend(judgements(&part, labels, None));
                logits.extend(floats(&part).chunks(model.classes as usize).map(<[f32]>::to_vec));
            }
        });
        let join = |parts: &Vec<Features>| Features::join(&parts.iter().collect::<Vec<_>>());
        CleanBlock {
            ids,
            labels,
            pixels,
            judgements: judged,
            logits,
            features: parts.iter().filter_map(join).collect(),
        }
    }

    /// Some of the samples, by place, in this order, with what the model says of them; without activations of layers.
    pub fn subset(&self, samples: &[usize]) -> CleanBlock {
        let index: Vec<i64> = samples.iter().map(|&sample| sample as i64).collect();
        CleanBlock {
            ids: samples.iter().map(|&sample| self.ids[sample].clone()).collect(),
            labels: samples.iter().map(|&sample| self.labels[sample]).collect(),
            pixels: self.pixels.index_select(0, &Tensor::from_slice(&index).to_device(self.pixels.device())),
            judgements: samples.iter().map(|&sample| self.judgements[sample]).collect(),
            logits: samples.iter().map(|&sample| self.logits[sample].clone()).collect(),
            features: Vec::new(),
        }
    }

    /// The predicted classes.
    pub fn predictions(&self) -> Vec<i64> {
        self.judgements.iter().map(|judgement| judgement.prediction).collect()
    }

    /// The clean activations of a unit of a watched layer; 0 where an image's logits are not finite.
    pub fn activations(&self, layer: &LayerName, unit: Unit) -> Option<Vec<f32>> {
        let features = self.features.iter().find(|features| &features.layer == layer)?;
        let values = floats(&features.of_unit(unit)?);
        let finite = |(value, judgement): (f32, &Judgement)| match judgement.finite && value.is_finite() {
            true => value,
            false => 0.0,
        };
        Some(values.into_iter().zip(&self.judgements).map(finite).collect())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether sample `index` may be attacked: finite logits whose largest is certain, and classified rightly.
    pub fn attackable(&self, index: usize) -> bool {
        self.judgements[index].decided && self.judgements[index].prediction == self.labels[index]
    }
}

/// The images of `samples` as pixels `[N, C, H, W]` in [0, 1], f32.
pub fn pixels(samples: &[Sample], device: Device) -> Tensor {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.image.pixels.iter().copied()).collect();
    let Some(first) = samples.first() else { return Tensor::zeros([0, 3, 1, 1], (Kind::Float, device)) };
    let (channels, height, width) = (first.image.channels, first.image.height, first.image.width);
    let shape = [samples.len() as i64, channels as i64, height as i64, width as i64];
    in_pixel_units(&Tensor::from_slice(&bytes).view(shape).to_device(device))
}

/// Values 0 to 255 in units of [0, 1]: the f32 nearest to `bytes / 255`, the same on every device. (On a GPU, libtorch divides by a
/// number as it multiplies by its inverse, which is another value for half of the bytes; by a tensor it divides.)
pub fn in_pixel_units(bytes: &Tensor) -> Tensor {
    bytes.to_kind(Kind::Float) / Tensor::full([1i64; 1], 255.0, (Kind::Float, bytes.device()))
}

/// Images as a file of 8 bits for each value keeps them.
pub fn in_8_bits(images: &Tensor) -> Tensor {
    in_pixel_units(&(images * 255.0).round())
}
