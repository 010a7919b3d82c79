//! Recipes: TOML files that say how a shipped model was made.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::suite::{DataSource, Normalize, Split};
use crate::wording::suggest::of_serde;

/// A recipe, as `models/recipes/*.toml` hold it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Architecture, such as `cifar/resnet20`.
    pub arch: String,
    /// The weights file to write, relative to the recipe.
    pub out: PathBuf,
    /// Seed of initial weights, order and augmentation.
    pub seed: u64,
    /// Weights to start from, relative to the recipe, instead of fresh ones: adversarial fine-tuning of a trained network (Jeddi
    /// et al. 2020) takes a fraction of the epochs.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// Per-channel normalization of pixels in [0, 1].
    pub normalize: Normalize,
    /// Training and held-out images.
    pub data: DataRecipe,
    /// The schedule.
    pub train: TrainRecipe,
    /// Fast adversarial training, if any.
    pub adversarial: Option<AdversarialRecipe>,
    /// How weights are stored: `f32`, or `f16` in half the space.
    #[serde(default)]
    pub storage: Storage,
}

/// The images of a recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataRecipe {
    /// Procedural images.
    Synthetic {
        /// Images to train on.
        train: usize,
        /// Held-out images to judge by.
        test: usize,
    },
    /// CIFAR-10.
    Cifar10 {
        /// The folder, relative to the recipe.
        root: PathBuf,
    },
    /// MNIST.
    Mnist {
        /// The folder, relative to the recipe.
        root: PathBuf,
    },
}

impl DataRecipe {
    /// The data set of one split; paths are relative to `folder`, or to `data_root` if one is given.
    pub fn source(&self, split: Split, folder: &Path, data_root: Option<&Path>) -> DataSource {
        let at = |root: &Path| data_root.map_or_else(|| folder.join(root), Path::to_path_buf);
        match self {
            DataRecipe::Synthetic { train, test } => {
                DataSource::Synthetic { split, size: if split == Split::Train { *train } else { *test } }
            }
            DataRecipe::Cifar10 { root } => DataSource::Cifar10 { root: at(root), split },
            DataRecipe::Mnist { root } => DataSource::Mnist { root: at(root), split },
        }
    }
}

/// How a network is trained.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRecipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// `sgd` (Nesterov momentum 0.9) or `adamw` (betas 0.9 and 0.999).
    pub optimizer: OptimizerKind,
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled from the loss; norms, biases and embeddings are exempt.
    pub weight_decay: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Share of all steps in which the learning rate rises linearly.
    #[serde(default = "default_warmup")]
    pub warmup: f64,
    /// Share of the target probability that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Mirror images at random.
    #[serde(default)]
    pub flip: bool,
    /// Shift images by up to so many pixels, zeros moving in.
    #[serde(default)]
    pub crop: usize,
    /// Side of a square that is blanked out, 0 for none (Cutout, DeVries and Taylor 2017).
    #[serde(default)]
    pub cutout: usize,
    /// `bf16` for convolutions and matrix products, or `f32`.
    #[serde(default)]
    pub precision: Precision,
    /// Largest gradient norm, 0 for no limit.
    #[serde(default)]
    pub clip_norm: f64,
}

fn default_warmup() -> f64 {
    0.2
}

/// An optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with Nesterov momentum 0.9.
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
}

/// The course of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Linearly down to zero (the triangle of fast training).
    OneCycle,
    /// Half a cosine down to zero.
    Cosine,
}

/// Arithmetic of convolutions and matrix products in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16, with f32 master weights.
    Bf16,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// Single precision.
    #[default]
    F32,
    /// Half precision.
    F16,
}

/// Fast adversarial training: one signed gradient step from a random start (Wong et al. 2020), l-inf.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialRecipe {
    /// Radius in units of 1/255.
    pub epsilon_255: f64,
    /// Step size in units of 1/255.
    pub step_255: f64,
}

impl Recipe {
    /// The recipe in the text of the file `path`.
    ///
    /// # Errors
    /// If it is not a recipe: with line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Recipe, TrainError> {
        let invalid = |problem: String| TrainError::Recipe { path: path.into(), problem };
        let recipe: Recipe = toml::from_str(text).map_err(|error| {
            let near = of_serde(error.message()).map(|near| format!(" ({near})")).unwrap_or_default();
            invalid(format!("{}{near}", error.to_string().trim_end()))
        })?;
        let train = &recipe.train;
        let complaint = if train.epochs == 0 || train.batch < 2 {
            Some("`epochs` must be at least 1 and `batch` at least 2")
        } else if !(train.lr.is_finite() && train.lr > 0.0) {
            Some("`lr` must be positive")
        } else if !(0.0..1.0).contains(&train.warmup) || !(0.0..1.0).contains(&train.label_smoothing) {
            Some("`warmup` and `label_smoothing` must lie in [0, 1)")
        } else {
            None
        };
        complaint.map_or(Ok(recipe), |problem| Err(invalid(problem.to_owned())))
    }
}

impl TrainRecipe {
    /// The learning rate at `progress` in [0, 1] of all steps.
    pub fn learning_rate(&self, progress: f64) -> f64 {
        if progress < self.warmup {
            return self.lr * progress / self.warmup;
        }
        let rest = (progress - self.warmup) / (1.0 - self.warmup);
        match self.schedule {
            Schedule::OneCycle => self.lr * (1.0 - rest),
            Schedule::Cosine => self.lr * 0.5 * (1.0 + (std::f64::consts::PI * rest).cos()),
        }
    }
}
