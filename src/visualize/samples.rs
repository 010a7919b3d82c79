//! Real images beside pictures: how strongly they drive units, and which part of an image a unit sees.

use tch::{Device, Kind, Tensor};

use crate::data::{Image, Sample};
use crate::model::{Model, ModelError};
use crate::objective::{unit_map, unit_means, unit_values};
use crate::terms::{LayerName, Place, SampleId, Unit};

/// Real images of the size that a model takes, held as bytes.
#[derive(Default)]
pub struct RealSamples {
    ids: Vec<SampleId>,
    labels: Vec<Option<u32>>,
    images: Vec<Image>,
}

/// The activations of real images at a layer.
pub struct Driven {
    /// Every unit's mean over positions `[N, U]`, f32, on the CPU.
    pub means: Tensor,
    /// The neurons asked for, each `[N]`.
    neurons: Vec<(Unit, Tensor)>,
}

impl RealSamples {
    /// Images with labels.
    pub fn labelled(samples: Vec<Sample>) -> Self {
        let mut real = RealSamples::default();
        for sample in samples {
            real.push(sample.id, Some(sample.label), sample.image);
        }
        real
    }

    /// One more image.
    pub fn push(&mut self, id: SampleId, label: Option<u32>, image: Image) {
        self.ids.push(id);
        self.labels.push(label);
        self.images.push(image);
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The image's id, label and pixels.
    pub fn get(&self, index: usize) -> (&SampleId, Option<u32>, &Image) {
        (&self.ids[index], self.labels[index], &self.images[index])
    }

    /// The labels, where all images have one.
    pub fn labels(&self) -> Option<Vec<i64>> {
        self.labels.iter().map(|label| label.map(i64::from)).collect()
    }

    /// Pixels `[N, C, H, W]` in [0, 1] of some images.
    pub fn pixels(&self, range: std::ops::Range<usize>, device: Device) -> Tensor {
        let images = &self.images[range];
        let bytes: Vec<u8> = images.iter().flat_map(|image| image.pixels.iter().copied()).collect();
        let first = images.first().map_or([1, 1, 1], |image| [image.channels, image.height, image.width]);
        let shape = [images.len() as i64, first[0] as i64, first[1] as i64, first[2] as i64];
        Tensor::from_slice(&bytes).view(shape).to_device(device).to_kind(Kind::Float) / 255.0
    }

    /// Batches of at most `chunk` images' pixels.
    pub fn batches(&self, chunk: usize, device: Device) -> impl Iterator<Item = Tensor> + '_ {
        let chunk = chunk.max(1);
        (0..self.len()).step_by(chunk).map(move |start| self.pixels(start..(start + chunk).min(self.len()), device))
    }

    /// The mean image `[C, H, W]`; none of no images.
    pub fn mean(&self, chunk: usize, device: Device) -> Option<Tensor> {
        let sums =
            self.batches(chunk, device).map(|batch| batch.sum_dim_intlist([0i64].as_slice(), false, Kind::Double));
        let sum = sums.reduce(|sum, next| sum + next)?;
        Some((sum / self.len() as f64).to_kind(Kind::Float))
    }

    /// The activations at `layer`; `neurons` are single ones that are wanted beside the means.
    ///
    /// # Errors
    /// If there is no such layer.
    pub fn driven(
        &self,
        model: &Model,
        layer: &LayerName,
        neurons: &[Unit],
        chunk: usize,
    ) -> Result<Driven, ModelError> {
        let mut means = Vec::new();
        let mut values: Vec<Vec<Tensor>> = neurons.iter().map(|_| Vec::new()).collect();
        for batch in self.batches(chunk, model.device()) {
            let activation = tch::no_grad(|| model.tap(&batch, layer))?;
            means.push(unit_means(&activation, model.tokens()).to_device(Device::Cpu));
            for (values, unit) in values.iter_mut().zip(neurons) {
                let units = vec![*unit; batch.size()[0] as usize];
                values.push(unit_values(model, layer, &activation, &units).to_device(Device::Cpu));
            }
        }
        let joined = |parts: &[Tensor]| match parts {
            [] => Tensor::zeros([0, 0], (Kind::Float, Device::Cpu)),
            parts => Tensor::cat(parts, 0),
        };
        let neurons = neurons.iter().zip(&values).map(|(unit, values)| (*unit, joined(values))).collect();
        Ok(Driven { means: joined(&means), neurons })
    }
}

impl Driven {
    /// The activations of a unit, one for each image.
    pub fn of_unit(&self, unit: Unit) -> Vec<f32> {
        let values = match self.neurons.iter().find(|(known, _)| *known == unit) {
            Some((_, values)) => values.shallow_clone(),
            None if self.means.numel() == 0 => return Vec::new(),
            None => self.means.select(1, unit.mean_of().unwrap_or(0) as i64),
        };
        Vec::try_from(values.contiguous()).unwrap_or_default()
    }
}

/// Left, top, width and height in pixels of what the strongest position of `unit` sees in an image `[C, H, W]`: where the gradient of that
/// position is not zero, or for tokens the patch itself. None if that is almost the whole image, or if the unit has no positions.
pub fn patch(model: &Model, layer: &LayerName, unit: Unit, image: &Tensor) -> Option<[u32; 4]> {
    let [_, height, width] = model.input;
    let pixels = image.unsqueeze(0).to_device(model.device()).set_requires_grad(true);
    let activation = model.tap(&pixels, layer).ok()?;
    if matches!(unit.place, Place::Prefix(_)) {
        return None;
    }
    let map = unit_map(model, layer, &activation, unit)?;
    let [rows, columns] = [map.size()[0], map.size()[1]];
    let place = match unit.place {
        Place::At(y, x) => y as i64 * columns + x as i64,
        _ => map.flatten(0, -1).argmax(0, false).int64_value(&[]),
    };
    if activation.dim() == 3 {
        let (tall, wide) = (height / rows, width / columns);
        return Some([place % columns * wide, place / columns * tall, wide, tall].map(|value| value as u32));
    }
    let value = map.flatten(0, -1).get(place);
    if !value.requires_grad() {
        return None;
    }
    let gradient = Tensor::run_backward(&[value], &[&pixels], false, false).pop()?;
    if !gradient.defined() {
        return None;
    }
    let magnitude = gradient.get(0).abs().amax([0i64].as_slice(), false);
    let extent = |dim: i64| {
        let places = magnitude.amax([1 - dim].as_slice(), false).nonzero().flatten(0, -1);
        let count = places.size()[0];
        (count > 0).then(|| (places.int64_value(&[0]), places.int64_value(&[count - 1])))
    };
    let ((top, bottom), (left, right)) = (extent(0)?, extent(1)?);
    let (tall, wide) = (bottom - top + 1, right - left + 1);
    (tall * wide < height * width * 9 / 10).then(|| [left, top, wide, tall].map(|value| value as u32))
}
