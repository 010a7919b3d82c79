//! One signal, many images: a perturbation from a unit or a class, judged on images that it was not made from.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::{Painter, RealSamples, Subject, VisualizeError, fitted, plain};
use crate::engine::guarded;
use crate::interrupt;
use crate::model::{LayerInfo, Model};
use crate::objective::unit_values;
use crate::optimizer::{Pace, gradient};
use crate::random::Noise;
use crate::record::{Status, StudyDir, UniversalRecord, file_word};
use crate::rows::{floats, integers};
use crate::suite::passes::{FLIP_DRAWS, UNIVERSAL_BATCH};
use crate::suite::{Direction, LOGITS, PicturePreset, UniversalConfig, UniversalSource};
use crate::terms::{Epsilon, Norm, Unit};

const BATCH: i64 = UNIVERSAL_BATCH as i64;
/// Decay of the mean of gradients.
const MOMENTUM: f64 = 0.9;

/// What universal perturbations are made with.
pub struct Forge<'a> {
    /// Where they go.
    pub dir: &'a StudyDir,
    /// The suite's seed.
    pub seed: u64,
    /// Rows in a batch.
    pub capacity: usize,
    /// Real images with labels.
    pub samples: &'a RealSamples,
    /// Hash of what determines the perturbations besides their table.
    pub identity: String,
}

/// Pixels of real images with their labels.
struct Split {
    train: Tensor,
    test: Tensor,
    labels: Vec<i64>,
}

impl Forge<'_> {
    /// Makes the missing perturbations of units of `layer`.
    ///
    /// # Errors
    /// See [`VisualizeError`]; finished ones are kept.
    pub fn run(
        &self,
        config: &UniversalConfig,
        model: &Model,
        place: usize,
        (layer, units): (&LayerInfo, &[Unit]),
    ) -> Result<(), VisualizeError> {
        for unit in units {
            let unit_word = file_word(&unit.to_string());
            let layer_word = file_word(layer.name.as_str());
            let key = format!("{place:02}-{}--{}--{layer_word}--{unit_word}", model.name, config.name);
            if self.dir.has::<Vec<UniversalRecord>>(&key, &self.identity) {
                continue;
            }
            if interrupt::requested() {
                return Err(VisualizeError::Interrupted);
            }
            let records = guarded(|| self.of_unit(config, model, layer, *unit, &key))??;
            self.dir.write(&key, &self.identity, &records)?;
        }
        Ok(())
    }

    fn of_unit(
        &self,
        config: &UniversalConfig,
        model: &Model,
        layer: &LayerInfo,
        unit: Unit,
        key: &str,
    ) -> Result<Vec<UniversalRecord>, VisualizeError> {
        let split = self.split(config, model)?;
        let largest = config.epsilons.iter().max().copied().unwrap_or(config.epsilons[0]);
        let (delta, dead) = match config.source {
            UniversalSource::Picture => self.transplant(config, model, layer, unit),
            _ => self.ascended(config, model, layer, unit, &split, largest),
        };
        let file = format!("{key}.png");
        let most = delta.abs().max().clamp_min(1e-12);
        self.dir.write_png(&file, &plain(&(delta.get(0) / (most * 2.0) + 0.5).to_device(Device::Cpu)).to_png())?;
        let judged = Judged::new(self, model, layer, unit, &split);
        let made_from = if config.source == UniversalSource::Images { split.train.size()[0] as u64 } else { 0 };
        let record = |&epsilon: &Epsilon| {
            let delta = scaled(&delta, config.norm, epsilon.value());
            let outcome = judged.with(&delta, &format!("{key}/{}", epsilon.value()));
            UniversalRecord {
                name: config.name.clone(),
                model: model.name.clone(),
                source: config.source.as_str().to_owned(),
                layer: layer.name.clone(),
                unit: unit.to_string(),
                norm: config.norm,
                epsilon,
                made_from,
                status: if dead { Status::DeadUnit } else { Status::Ok },
                file: file.clone(),
                ..outcome
            }
        };
        Ok(config.epsilons.iter().map(record).collect())
    }

    /// Images for making and for judging.
    fn split(&self, config: &UniversalConfig, model: &Model) -> Result<Split, VisualizeError> {
        let count = self.samples.len();
        let train = match config.source {
            UniversalSource::Images => (count as f64 * config.train).round() as usize,
            _ => 0,
        };
        let labels = self.samples.labels().unwrap_or_default();
        if labels.len() != count || train >= count || (config.source == UniversalSource::Images && train == 0) {
            return Err(VisualizeError::Unfit {
                visualization: config.name.clone(),
                problem: format!(
                    "{count} labelled images, {train} of them to make a perturbation from, leave none to judge it; take more samples"
                ),
            });
        }
        let all: Vec<Tensor> = self.samples.batches(self.capacity, model.device()).collect();
        let all = Tensor::cat(&all, 0);
        let (used, test_count) = (train as i64, (count - train) as i64);
        Ok(Split {
            train: all.narrow(0, 0, if train == 0 { count as i64 } else { used }),
            test: all.narrow(0, used, test_count),
            labels: labels[train..].to_vec(),
        })
    }

    /// The unit's picture less grey.
    fn transplant(&self, config: &UniversalConfig, model: &Model, layer: &LayerInfo, unit: Unit) -> (Tensor, bool) {
        let picture = PicturePreset::Lucid.config();
        let picture = crate::suite::PictureConfig { steps: config.steps, ..picture };
        let noise = Noise::new(self.seed, &format!("universal/{}", config.name));
        let painter = Painter {
            model,
            judge: model,
            layer: &layer.name,
            config: &picture,
            direction: config.direction,
            noise: &noise,
        };
        let painted = painter.paint(&[Subject { unit, seed: 0 }], None);
        let [_, height, width] = model.input;
        let image = fitted(&painted[0].image.unsqueeze(0).to_device(model.device()), [height, width]);
        (image - 0.5, painted[0].dead)
    }

    /// Ascent on the unit's mean over batches, one perturbation for all.
    fn ascended(
        &self,
        config: &UniversalConfig,
        model: &Model,
        layer: &LayerInfo,
        unit: Unit,
        split: &Split,
        epsilon: Epsilon,
    ) -> (Tensor, bool) {
        let noise = Noise::new(self.seed, &format!("universal/{}/{}/{unit}", config.name, layer.name));
        let [channels, height, width] = model.input;
        let shape = [1, channels, height, width];
        let values = (channels * height * width) as usize;
        // Away from 0: where a unit is dead at the clean images, a first step in any direction may wake it.
        let start = Tensor::from_slice(&noise.uniform("start", values)).view(shape).to_device(model.device());
        let mut delta = scaled(&start, config.norm, epsilon.value() * 0.1);
        let mut mean = delta.zeros_like();
        let share = Pace::new(config.steps, None).share;
        let mut moved = false;
        for step in 0..config.steps {
            let images = base(config.source, split, step, &noise);
            let pixels = delta.detach().set_requires_grad(true);
            let perturbed = (&images + &pixels).clamp(0.0, 1.0);
            let units = vec![unit; perturbed.size()[0] as usize];
            let value = match model.tap(&perturbed, &layer.name) {
                Ok(activation) => unit_values(model, &layer.name, &activation, &units),
                Err(_) => break,
            };
            let value = if config.direction == Direction::Maximize { value } else { -value };
            let slope = gradient(&value, &pixels, false).nan_to_num(0.0, 0.0, 0.0);
            let size = slope.abs().mean(Kind::Float).double_value(&[]);
            moved |= size > 0.0;
            if size > 0.0 {
                mean = &mean * MOMENTUM + slope / size;
            }
            let step = match config.norm {
                Norm::Linf => mean.sign() * (share * epsilon.value()),
                _ => &mean * (share * epsilon.value() / mean.norm().double_value(&[]).max(1e-12)),
            };
            delta = scaled_into(&(delta + step), config.norm, epsilon.value());
        }
        (delta, !moved)
    }
}

/// The images of a step that a perturbation is added to.
fn base(source: UniversalSource, split: &Split, step: usize, noise: &Noise) -> Tensor {
    let images = &split.train;
    let count = images.size()[0];
    match source {
        UniversalSource::None | UniversalSource::Picture => images.narrow(0, 0, 1).full_like(0.5),
        UniversalSource::Range => {
            let dims = [0i64, 2, 3];
            let mean = images.mean_dim(dims.as_slice(), true, Kind::Float);
            let deviation = (images - &mean).square().mean_dim(dims.as_slice(), true, Kind::Float).sqrt();
            let batch = images.narrow(0, 0, BATCH.min(count));
            let drawn = noise.normal(&format!("range/{step}"), batch.numel());
            let drawn = Tensor::from_slice(&drawn).view(batch.size().as_slice()).to_device(images.device());
            (mean + drawn * deviation).clamp(0.0, 1.0)
        }
        UniversalSource::Images => {
            let index: Vec<i64> = (0..BATCH.min(count)).map(|at| (step as i64 * BATCH + at) % count).collect();
            images.index_select(0, &Tensor::from_slice(&index).to_device(images.device()))
        }
    }
}

/// A perturbation of exactly this length.
fn scaled(delta: &Tensor, norm: Norm, length: f64) -> Tensor {
    let size = match norm {
        Norm::Linf => delta.abs().max(),
        _ => delta.norm(),
    };
    delta * (length / size.double_value(&[]).max(1e-12))
}

/// A perturbation of at most this length.
fn scaled_into(delta: &Tensor, norm: Norm, length: f64) -> Tensor {
    match norm {
        Norm::Linf => delta.clamp(-length, length),
        _ => delta * (length / delta.norm().double_value(&[]).max(1e-12)).min(1.0),
    }
}

/// Held-out images that the model classifies rightly.
struct Judged<'a> {
    forge: &'a Forge<'a>,
    model: &'a Model,
    layer: &'a LayerInfo,
    unit: Unit,
    images: Tensor,
    predictions: Vec<i64>,
    activations: Vec<f32>,
}

impl<'a> Judged<'a> {
    fn new(forge: &'a Forge, model: &'a Model, layer: &'a LayerInfo, unit: Unit, split: &Split) -> Self {
        let labels = Tensor::from_slice(&split.labels).to_device(split.test.device());
        let mut judged = Judged {
            forge,
            model,
            layer,
            unit,
            images: split.test.shallow_clone(),
            predictions: Vec::new(),
            activations: Vec::new(),
        };
        let (predictions, activations) = judged.answers(&split.test);
        let right = Tensor::from_slice(&predictions).to_device(labels.device()).eq_tensor(&labels);
        let index = right.nonzero().flatten(0, -1);
        judged.images = split.test.index_select(0, &index);
        for place in integers(&index) {
            judged.predictions.push(predictions[place as usize]);
            judged.activations.push(activations[place as usize]);
        }
        judged
    }

    /// Predictions and activations of images.
    fn answers(&self, images: &Tensor) -> (Vec<i64>, Vec<f32>) {
        let (mut predictions, mut activations) = (Vec::new(), Vec::new());
        let count = images.size()[0];
        let chunk = self.forge.capacity.max(1) as i64;
        let layers = [self.layer.name.clone()];
        for start in (0..count).step_by(chunk as usize) {
            let part = images.narrow(0, start, chunk.min(count - start));
            let mut taps = crate::model::Taps::new(&layers);
            let passed = tch::no_grad(|| self.model.forward(&part, &mut taps));
            let std::ops::ControlFlow::Continue(logits) = passed else { continue };
            predictions.extend(integers(&logits.argmax(-1, false)));
            let units = vec![self.unit; part.size()[0] as usize];
            activations.extend(match taps.into_activations().pop().flatten() {
                Some(activation) => floats(&unit_values(self.model, &self.layer.name, &activation, &units)),
                None => vec![f32::NAN; units.len()],
            });
        }
        (predictions, activations)
    }

    /// What a perturbation does, as a record whose names are still to be filled in.
    fn with(&self, delta: &Tensor, key: &str) -> UniversalRecord {
        let add = |delta: &Tensor| (&self.images + delta).clamp(0.0, 1.0);
        let (predictions, activations) = self.answers(&add(delta));
        let flipped = |found: &[i64]| -> Vec<bool> {
            found.iter().zip(&self.predictions).map(|(found, clean)| found != clean).collect()
        };
        let flips = flipped(&predictions);
        let size = delta.size();
        let pixels = (size[2] * size[3]) as usize;
        let noise = Noise::new(self.forge.seed, "universal/shuffled");
        let (mut control_flips, mut first) = (0, Vec::new());
        for draw in 0..FLIP_DRAWS {
            let order: Vec<i64> =
                noise.choose(&format!("{key}/{draw}"), pixels, pixels).into_iter().map(|place| place as i64).collect();
            let order = Tensor::from_slice(&order).to_device(delta.device());
            let twin = delta.flatten(2, -1).index_select(2, &order).reshape(size.as_slice());
            let found = flipped(&self.answers(&add(&twin)).0);
            control_flips += found.iter().filter(|flip| **flip).count() as u64;
            if draw == 0 {
                first = found;
            }
        }
        let mut classes: BTreeMap<i64, u64> = BTreeMap::new();
        for (class, _) in predictions.iter().zip(&flips).filter(|(_, flip)| **flip) {
            *classes.entry(*class).or_default() += 1;
        }
        let target = self
            .unit
            .mean_of()
            .filter(|_| self.layer.name.as_str() == LOGITS || self.layer.shape == [self.model.classes]);
        let both = |wanted: (bool, bool)| flips.iter().zip(&first).filter(|(a, b)| (**a, **b) == wanted).count() as u64;
        UniversalRecord {
            name: String::new(),
            model: String::new(),
            source: String::new(),
            layer: self.layer.name.clone(),
            unit: String::new(),
            norm: Norm::Linf,
            epsilon: Epsilon::levels(0),
            made_from: 0,
            n: flips.len() as u64,
            flips: flips.iter().filter(|flip| **flip).count() as u64,
            hits: target.map(|class| predictions.iter().filter(|found| **found == class as i64).count() as u64),
            draws: FLIP_DRAWS,
            control_flips,
            only: both((true, false)),
            only_control: both((false, true)),
            top_class: classes.iter().max_by_key(|(_, count)| **count).map(|(class, count)| (*class as u32, *count)),
            gain: self.gain(&activations),
            status: Status::Ok,
            file: String::new(),
        }
    }

    fn gain(&self, activations: &[f32]) -> Option<f64> {
        let mean =
            |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64;
        let clean = mean(&self.activations);
        let variance = self.activations.iter().map(|value| (f64::from(*value) - clean).powi(2)).sum::<f64>()
            / self.activations.len().max(1) as f64;
        let gain = (mean(activations) - clean) / variance.sqrt();
        gain.is_finite().then_some(gain)
    }
}
