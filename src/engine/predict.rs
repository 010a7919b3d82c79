//! What a network says of images: logits, activations, and gradients with respect to the pixels.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use tch::Tensor;

use super::device;
use super::guard::{Cause, LibtorchError, guarded};
use crate::data::{DataError, Image, Pictures, in_batches};
use crate::interrupt;
use crate::judge::in_pixel_units;
use crate::judge::learn_directions;
use crate::model::{LayerInfo, Model, ModelError, Taps};
use crate::objective::{PixelObjective, missing, unit_means, unit_values};
use crate::optimizer::gradient;
use crate::record::{PredictionField, PredictionsFormat, PredictionsWriter, StoreError};
use crate::rows::{floats, integers};
use crate::terms::LayerName;

/// Why predictions cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model, a layer, a unit or a class does not exist.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image has not the size that the network takes.
    #[error("{image} has {} channels and {}x{} pixels (width x height), but model `{model}` takes {} channels and {}x{}", found[0], found[2], found[1], needed[0], needed[2], needed[1])]
    Size {
        /// The image's file, or the file and the image's number.
        image: String,
        /// Its channels, rows and columns.
        found: [i64; 3],
        /// The model.
        model: String,
        /// The channels, rows and columns that it takes.
        needed: [i64; 3],
    },
    /// Stopped by the user.
    #[error("interrupted after {done} of {total} images; no file was written")]
    Interrupted {
        /// Images that were done.
        done: usize,
        /// All images.
        total: usize,
    },
    /// libtorch gave up.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

/// What a network says of a batch of N images.
#[derive(Debug)]
pub struct Prediction {
    /// `[N, K]`, f32.
    pub logits: Tensor,
    /// The predicted classes `[N]`, i64; -1 where a logit is not finite.
    pub classes: Tensor,
    /// The activations `[N, ...]` of the layers asked for, in their order.
    pub activations: Vec<Tensor>,
    /// The gradient `[N, C, H, W]` of the objective with respect to the pixels in [0, 1].
    pub gradient: Option<Tensor>,
}

/// A model with the layers and the objective that are asked for, which exist.
pub struct Predictor<'m> {
    model: &'m Model,
    /// The layers to be shown, and behind them the objective's, if it has one.
    layers: Vec<LayerName>,
    tapped: usize,
    objective: Option<PixelObjective>,
}

impl<'m> Predictor<'m> {
    /// Checks `layers`, of which repetitions are dropped, and `objective`.
    ///
    /// # Errors
    /// If a layer, a unit or a class does not exist.
    pub fn new(
        model: &'m Model,
        layers: Vec<LayerName>,
        objective: Option<PixelObjective>,
    ) -> Result<Self, ModelError> {
        let mut distinct: Vec<LayerName> = Vec::with_capacity(layers.len() + 1);
        for layer in layers {
            model.layer(&layer)?;
            if !distinct.contains(&layer) {
                distinct.push(layer);
            }
        }
        let tapped = distinct.len();
        match &objective {
            Some(PixelObjective::Class(class)) if *class as i64 >= model.classes => {
                let problem = format!("it has no class {class}; its classes are 0 to {}", model.classes - 1);
                return Err(ModelError::Unusable { model: model.name.clone(), problem });
            }
            Some(PixelObjective::Unit { layer, unit }) => {
                learn_directions(model, &model.layer(layer)?, &[*unit], &[])?;
                if let Some(problem) = missing(model, *unit, &model.layer(layer)?) {
                    let (model, layer, unit) = (model.name.clone(), layer.clone(), unit.to_string());
                    return Err(ModelError::UnknownUnit { model, layer, unit, problem });
                }
                distinct.push(layer.clone());
            }
            _ => {}
        }
        Ok(Predictor { model, layers: distinct, tapped, objective })
    }

    /// The prediction for pixels `[N, C, H, W]` in [0, 1], on the model's device. Objectives are summed over the images, so
    /// that no image's gradient depends on the others.
    pub fn predict(&self, pixels: &Tensor) -> Prediction {
        let Some(objective) = &self.objective else {
            return tch::no_grad(|| self.pass(pixels).0);
        };
        let pixels = pixels.detach().set_requires_grad(true);
        let (prediction, behind) = self.pass(&pixels);
        let score = match objective {
            PixelObjective::Class(class) => prediction.logits.select(1, *class as i64),
            PixelObjective::Unit { layer, unit } => {
                let units = vec![*unit; pixels.size()[0] as usize];
                unit_values(self.model, layer, &behind[0], &units)
            }
        };
        let gradient = Some(gradient(&score, &pixels, false));
        Prediction {
            logits: prediction.logits.detach(),
            activations: prediction.activations.iter().map(Tensor::detach).collect(),
            gradient,
            ..prediction
        }
    }

    /// A forward pass, and the activations that are not to be shown.
    fn pass(&self, pixels: &Tensor) -> (Prediction, Vec<Tensor>) {
        let mut taps = Taps::new(&self.layers);
        let ControlFlow::Continue(logits) = self.model.forward(pixels, &mut taps) else {
            unreachable!("taps let the pass go on to the logits")
        };
        let mut activations: Vec<Tensor> = taps.into_activations().into_iter().flatten().collect();
        let behind = activations.split_off(self.tapped);
        let finite = logits.isfinite().all_dim(1, false);
        let classes = logits.argmax(-1, false).where_scalarother(&finite, -1);
        (Prediction { logits, classes, activations, gradient: None }, behind)
    }

    /// Predicts `pictures` batch by batch, of which the next one is decoded meanwhile on all cores, and writes the file `out`,
    /// which appears whole or not at all. A table has the mean of each unit of the layers asked for, as unit objectives have it;
    /// safetensors have the activations as their framework holds them. Gives the time that the network's passes took.
    ///
    /// # Errors
    /// See [`PredictError`].
    pub fn write(&self, pictures: &Pictures, out: &Path) -> Result<Duration, PredictError> {
        let means = PredictionsFormat::from_path(out)? == PredictionsFormat::Csv;
        let tapped = &self.layers[..self.tapped];
        let infos = tapped.iter().map(|layer| self.model.layer(layer)).collect::<Result<Vec<_>, _>>()?;
        let mut writer = PredictionsWriter::create(out, self.fields(&infos, means), self.notes())?;
        let [_, height, width] = self.model.input;
        let batch = device::rows(self.model.device(), height * width);
        let total = pictures.len();
        let (model, needed) = (self.model.name.as_str(), self.model.input);
        let mut passes = Duration::ZERO;
        let decode = |index| fitting(pictures, index, model, needed);
        in_batches(total, batch, decode, |batches| -> Result<(), PredictError> {
            for (range, images) in batches {
                if interrupt::requested() {
                    return Err(PredictError::Interrupted { done: range.start, total });
                }
                let ids: Vec<_> = range.map(|index| pictures.id(index)).collect();
                let (images, began) = (images?, Instant::now());
                let (classes, values) = self.values(&images, &infos, means)?;
                passes += began.elapsed();
                writer.write(&ids, &classes, &values)?;
            }
            Ok(())
        })?;
        writer.finish()?;
        Ok(passes)
    }

    /// The predicted classes of some images, and the values of each field; in two halves where all of them do not fit into memory.
    fn values(
        &self,
        images: &[Image],
        infos: &[LayerInfo],
        means: bool,
    ) -> Result<(Vec<i64>, Vec<Vec<f32>>), LibtorchError> {
        let error = match self.values_at_once(images, infos, means) {
            Err(error) if error.cause == Cause::Memory && images.len() > 1 => error,
            found => return found,
        };
        let (first, second) = images.split_at(images.len() / 2);
        let (mut classes, mut values) = self.values(first, infos, means).map_err(|_| error)?;
        let (more, of_second) = self.values(second, infos, means)?;
        classes.extend(more);
        values.iter_mut().zip(of_second).for_each(|(values, more)| values.extend(more));
        Ok((classes, values))
    }

    fn values_at_once(
        &self,
        images: &[Image],
        infos: &[LayerInfo],
        means: bool,
    ) -> Result<(Vec<i64>, Vec<Vec<f32>>), LibtorchError> {
        guarded(|| {
            let prediction = self.predict(&self.pixels(images));
            let mut values = vec![floats(&prediction.logits)];
            values.extend(prediction.activations.iter().zip(infos).map(|(activation, info)| match means {
                true => floats(&unit_means(activation, self.model.tokens())),
                false if info.channels_inner => floats(&activation.permute([0, 2, 3, 1])),
                false => floats(activation),
            }));
            values.extend(prediction.gradient.as_ref().map(floats));
            (integers(&prediction.classes), values)
        })
    }

    fn fields(&self, infos: &[LayerInfo], means: bool) -> Vec<PredictionField> {
        let sizes = |shape: &[i64]| shape.iter().map(|&size| size as usize).collect();
        let mut fields = vec![PredictionField { name: "logits".to_owned(), shape: vec![self.model.classes as usize] }];
        for info in infos {
            let shape = match info.shape[..] {
                _ if means => vec![info.units],
                [channels, height, width] if info.channels_inner => sizes(&[height, width, channels]),
                _ => sizes(&info.shape),
            };
            fields.push(PredictionField { name: format!("activation.{}", info.name), shape });
        }
        if self.objective.is_some() {
            fields.push(PredictionField { name: "gradient".to_owned(), shape: sizes(&self.model.input) });
        }
        fields
    }

    fn notes(&self) -> BTreeMap<String, String> {
        let mut notes = BTreeMap::from([("model".to_owned(), self.model.name.clone())]);
        notes.extend(self.objective.iter().map(|objective| ("objective".to_owned(), objective.to_string())));
        notes
    }

    fn pixels(&self, images: &[Image]) -> Tensor {
        let bytes: Vec<u8> = images.iter().flat_map(|image| image.pixels.iter().copied()).collect();
        let [channels, height, width] = self.model.input;
        let pixels = Tensor::from_slice(&bytes).view([images.len() as i64, channels, height, width]);
        in_pixel_units(&pixels.to_device(self.model.device()))
    }
}

/// A picture, decoded, of the size that the model takes.
fn fitting(pictures: &Pictures, index: usize, model: &str, needed: [i64; 3]) -> Result<Image, PredictError> {
    let image = pictures.image(index)?;
    let found = [image.channels as i64, image.height as i64, image.width as i64];
    if found == needed {
        return Ok(image);
    }
    let image = pictures.path(index).display().to_string();
    Err(PredictError::Size { image, found, model: model.to_owned(), needed })
}
