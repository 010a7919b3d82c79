//! Recipes that made the shipped models: SGD or AdamW, a schedule, augmentation, fast adversarial training, checkpoints.

mod batches;
mod card;
mod checkpoint;
mod optimizer;
mod recipe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::{Device, Kind, Tensor};

pub use batches::Images;
use checkpoint::save;
use optimizer::{Optimizer, cross_entropy};
pub use recipe::{AdversarialRecipe, DataRecipe, OptimizerKind, Precision, Recipe, Schedule, Storage, TrainRecipe};

use crate::data::DataError;
use crate::model::{Architecture, Compute, Model, ModelError, WeightsFile};
use crate::record::StoreError;
use crate::suite::Split;

/// Why training cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file could not be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("failed to write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written whole.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recipe is wrong.
    #[error("{path}: {problem}")]
    Recipe {
        /// The recipe.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The loss is NaN or infinite.
    #[error("the loss became {loss} in epoch {epoch}; lower `lr` or set `clip_norm`")]
    Diverged {
        /// The loss.
        loss: f64,
        /// The epoch, from 1.
        epoch: usize,
    },
    /// Stopped by the user.
    #[error("{}", interrupted(*.epoch, .checkpoint))]
    Interrupted {
        /// Finished epochs.
        epoch: usize,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// Stopped by the user while finished weights were judged.
    #[error("interrupted before {card} was written; the same command with --card-only writes it")]
    CardInterrupted {
        /// The card.
        card: PathBuf,
    },
}

fn interrupted(epoch: usize, checkpoint: &Path) -> String {
    if epoch == 0 {
        return "interrupted before the first epoch was over; the same command starts anew".to_owned();
    }
    format!("interrupted after epoch {epoch}; the same command goes on from {}", checkpoint.display())
}

/// What one epoch came to.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Of so many.
    pub epochs: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Share of held-out images classified rightly.
    pub accuracy: f64,
    /// Seconds spent.
    pub seconds: f64,
}

/// Trains by a recipe and writes the weights.
pub struct Trainer {
    recipe: Recipe,
    /// The recipe's file and its text.
    path: PathBuf,
    source: String,
    folder: PathBuf,
    data_root: Option<PathBuf>,
    out: Option<PathBuf>,
    device: Device,
}

impl Trainer {
    /// Reads the recipe. `data_root` and `out` replace the recipe's folders of images and of weights.
    ///
    /// # Errors
    /// If the file cannot be read, or see [`Recipe::parse`].
    pub fn new(
        recipe: &Path,
        data_root: Option<PathBuf>,
        out: Option<PathBuf>,
        device: Device,
    ) -> Result<Self, TrainError> {
        let path = recipe.to_path_buf();
        let source =
            crate::files::read_text(recipe).map_err(|source| TrainError::Read { path: path.clone(), source })?;
        let folder = recipe.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(Trainer { recipe: Recipe::parse(recipe, &source)?, path, source, folder, data_root, out, device })
    }

    /// The weights file that training writes.
    pub fn output(&self) -> PathBuf {
        match (&self.out, self.recipe.out.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => self.folder.join(&self.recipe.out),
        }
    }

    fn checkpoint(&self) -> PathBuf {
        self.output().with_extension("checkpoint")
    }

    /// Deletes the checkpoint of an interrupted training.
    ///
    /// # Errors
    /// If it is there and cannot be deleted.
    pub fn forget(&self) -> Result<(), TrainError> {
        let path = self.checkpoint();
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(TrainError::Write { path, source }),
            _ => Ok(()),
        }
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The held-out images.
    ///
    /// # Errors
    /// See [`Images::load`].
    pub fn held_out(&self) -> Result<Images, TrainError> {
        Images::load(&self.recipe.data.source(Split::Test, &self.folder, self.data_root.as_deref()))
    }

    /// Trains from the last checkpoint, or from the start, and writes the weights. `after_step` is told the share of all
    /// steps that is done and the loss; `after_epoch` what each epoch came to; `stop` is asked after each step.
    ///
    /// # Errors
    /// See [`TrainError`].
    pub fn run(
        &self,
        mut after_step: impl FnMut(f64, f64),
        mut after_epoch: impl FnMut(Epoch),
        stop: impl Fn() -> bool,
    ) -> Result<PathBuf, TrainError> {
        let recipe = &self.recipe;
        let arch = Architecture::find(&recipe.arch)?;
        let train = Images::load(&recipe.data.source(Split::Train, &self.folder, self.data_root.as_deref()))?;
        let held_out = self.held_out()?;
        let compute = self.compute(arch);
        let geometry = train.geometry();
        let model = Model::fresh(arch, recipe.seed, compute, &recipe.normalize, geometry)?;
        self.begin(&model)?;
        let mut optimizer = Optimizer::new(&recipe.train, &model.tensors().parameters);
        let checkpoint = self.checkpoint();
        let first = self.resume(&checkpoint, &model, &mut optimizer)?;
        let batches = train.images.len() / recipe.train.batch;
        for epoch in first..recipe.train.epochs {
            let started = Instant::now();
            let order = train.order(recipe.seed, epoch);
            let mut total = 0.0;
            for (index, chosen) in order.chunks_exact(recipe.train.batch).enumerate() {
                let progress = (epoch * batches + index) as f64 / (recipe.train.epochs * batches) as f64;
                let (pixels, labels) = train.augmented(chosen, &recipe.train, recipe.seed, epoch);
                let (pixels, labels) = (pixels.to_device(self.device), labels.to_device(self.device));
                let pixels = self.attacked(&model, pixels, &labels, recipe.seed, (epoch * batches + index) as i64);
                let loss = cross_entropy(&model.logits(&pixels), &labels, recipe.train.label_smoothing);
                optimizer.step(&loss, recipe.train.learning_rate(progress));
                let loss = loss.double_value(&[]);
                if !loss.is_finite() {
                    return Err(TrainError::Diverged { loss, epoch: epoch + 1 });
                }
                total += loss;
                after_step(progress, loss);
                if stop() {
                    return Err(TrainError::Interrupted { epoch, checkpoint });
                }
            }
            let accuracy = accuracy(&model, &held_out);
            self.save_checkpoint(&checkpoint, &model, &optimizer, epoch + 1)?;
            let seconds = started.elapsed().as_secs_f64();
            let loss = total / batches as f64;
            after_epoch(Epoch { epoch: epoch + 1, epochs: recipe.train.epochs, loss, accuracy, seconds });
        }
        let notes = BTreeMap::from([
            ("arch", recipe.arch.clone()),
            ("trained_by", format!("am-eval {}", env!("CARGO_PKG_VERSION"))),
            ("seed", recipe.seed.to_string()),
        ]);
        save(&self.output(), &named_tensors(&model), recipe.storage, &notes)?;
        let _ = std::fs::remove_file(&checkpoint);
        Ok(self.output())
    }

    /// Takes the weights that the recipe starts from, if any: all of the network's, in its shapes.
    fn begin(&self, model: &Model) -> Result<(), TrainError> {
        let Some(start) = &self.recipe.start else { return Ok(()) };
        let path = self.folder.join(start);
        let saved = WeightsFile::read(&path).map_err(ModelError::from)?.into_tensors();
        for (name, mut tensor) in named_tensors(model) {
            match saved.get(&name) {
                Some(saved) if saved.size() == tensor.size() => tch::no_grad(|| tensor.copy_(saved)),
                _ => {
                    let problem = format!("`start`: it has no tensor `{name}` of shape {:?}", tensor.size());
                    return Err(TrainError::Recipe { path, problem });
                }
            }
        }
        Ok(())
    }

    fn compute(&self, arch: &Architecture) -> Compute {
        let kind = match self.recipe.train.precision {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        Compute { kind, channels_last: arch.channels_last, ..Compute::f32(self.device) }
    }

    /// The batch after one step of fast adversarial training, or as it is.
    fn attacked(&self, model: &Model, pixels: Tensor, labels: &Tensor, seed: u64, step: i64) -> Tensor {
        let Some(AdversarialRecipe { epsilon_255, step_255 }) = self.recipe.adversarial else { return pixels };
        let (epsilon, size) = (epsilon_255 / 255.0, step_255 / 255.0);
        tch::manual_seed(seed as i64 ^ (step << 20));
        let start = (pixels.rand_like() * 2.0 - 1.0) * epsilon;
        let start = ((&pixels + start).clamp(0.0, 1.0) - &pixels).set_requires_grad(true);
        let loss = cross_entropy(&model.logits(&(&pixels + &start)), labels, 0.0);
        let gradient = &Tensor::run_backward(&[&loss], &[&start], false, false)[0];
        let moved = (start.detach() + gradient.sign() * size).clamp(-epsilon, epsilon);
        (pixels + moved).clamp(0.0, 1.0)
    }

    fn save_checkpoint(
        &self,
        path: &Path,
        model: &Model,
        optimizer: &Optimizer,
        epoch: usize,
    ) -> Result<(), TrainError> {
        let mut tensors = named_tensors(model);
        tensors.extend(optimizer.state());
        let notes = BTreeMap::from([("epoch", epoch.to_string()), ("recipe", self.fingerprint())]);
        save(path, &tensors, Storage::F32, &notes)
    }

    /// Loads the checkpoint of the same recipe, if there is one: the number of finished epochs.
    fn resume(&self, path: &Path, model: &Model, optimizer: &mut Optimizer) -> Result<usize, TrainError> {
        if !path.exists() {
            return Ok(0);
        }
        let file = WeightsFile::read(path).map_err(ModelError::from)?;
        if file.notes.get("recipe") != Some(&self.fingerprint()) {
            return Ok(0);
        }
        let epoch = file.notes.get("epoch").and_then(|text| text.parse().ok());
        let tensors = file.into_tensors();
        let complete = tch::no_grad(|| {
            named_tensors(model)
                .iter_mut()
                .all(|(name, tensor)| tensors.get(name).map(|saved| tensor.copy_(saved)).is_some())
                && optimizer.restore(&tensors)
        });
        match epoch {
            Some(epoch) if complete => Ok(epoch),
            _ => Err(TrainError::Recipe {
                path: path.into(),
                problem: "this checkpoint lacks tensors of the recipe's network; delete it to start anew".to_owned(),
            }),
        }
    }

    /// What makes a checkpoint belong to this recipe.
    fn fingerprint(&self) -> String {
        blake3::hash(format!("{:?}", self.recipe).as_bytes()).to_hex().to_string()
    }
}

fn named_tensors(model: &Model) -> BTreeMap<String, Tensor> {
    let tensors = model.tensors();
    tensors
        .parameters
        .iter()
        .chain(&tensors.buffers)
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect()
}

/// Share of images that `model` classifies rightly, in evaluation mode.
pub fn accuracy(model: &Model, images: &Images) -> f64 {
    let training = model.tensors().training.replace(false);
    let indices: Vec<usize> = (0..images.images.len()).collect();
    let right: i64 = tch::no_grad(|| {
        indices
            .chunks(250)
            .map(|chosen| {
                let (pixels, labels) = images.plain(chosen);
                let predicted = model.logits(&pixels.to_device(model.device())).argmax(-1, false);
                predicted.eq_tensor(&labels.to_device(model.device())).sum(Kind::Int64).int64_value(&[])
            })
            .sum()
    });
    model.tensors().training.set(training);
    right as f64 / images.images.len().max(1) as f64
}
