//! A model as a suite names it: weights and the architecture to put them in, or a file that brings its own network.

use super::backend::{self, Opened};
use super::weights::Compute;
use super::{Architecture, Geometry, Model, ModelError};
use crate::suite::{ModelConfig, Normalize};

/// How many classes weights may have: fewer cannot flip, and more are a damaged file.
const CLASSES: std::ops::RangeInclusive<i64> = 2..=1_000_000;

/// Rows and columns of the images for a file's network where nothing tells them.
const USUAL_SIZE: [i64; 2] = [224, 224];

/// Rows or columns that a file may ask for by itself.
const SIDES: std::ops::RangeInclusive<i64> = 1..=4096;

/// What is needed to build a model, in one precision or several.
pub struct ModelSource {
    /// The model's name in the suite.
    pub name: String,
    /// The images and classes that the model is built for.
    pub geometry: Geometry,
    normalize: Normalize,
    opened: Box<dyn Opened>,
}

impl ModelSource {
    /// Finds the architecture and reads the weights, which tell the number of classes and of channels; `size` is that of the images
    /// (rows, columns), none for the one that the architecture was published for, or that the file is for.
    ///
    /// # Errors
    /// An unknown architecture, an unusable file, a number of classes that the weights do not have, images that the
    /// architecture cannot take, or a file's network whose pixels have no gradient.
    pub fn open(config: &ModelConfig, size: Option<[i64; 2]>) -> Result<Self, ModelError> {
        let source = Self::open_by_scores(config, size)?;
        source.opened.without_gradients().map_or(Ok(source), Err)
    }

    /// The same for work that needs gradients or does not.
    ///
    /// # Errors
    /// See [`ModelSource::open`].
    pub fn open_for(config: &ModelConfig, size: Option<[i64; 2]>, gradients: bool) -> Result<Self, ModelError> {
        if gradients { Self::open(config, size) } else { Self::open_by_scores(config, size) }
    }

    /// The same for work that asks for answers and follows no gradient: the network need not have one.
    ///
    /// # Errors
    /// See [`ModelSource::open`].
    fn open_by_scores(config: &ModelConfig, size: Option<[i64; 2]>) -> Result<Self, ModelError> {
        let Some(backend) = backend::find(&config.arch) else {
            return Self::open_as(Architecture::find(&config.arch)?, config, size);
        };
        let [height, width] = size.unwrap_or_else(|| Self::usual_size(backend, config));
        let channels = config.normalize.mean.len() as i64;
        Self::checked(backend.open(config, [channels, height, width])?, config)
    }

    /// Rows and columns of the images that the file is for, as far as it tells, and tells what images can have.
    pub fn usual_size(backend: &dyn backend::Backend, config: &ModelConfig) -> [i64; 2] {
        let [_, height, width] = backend.image(&config.weights);
        let side = |stated: Option<i64>, usual: i64| stated.filter(|length| SIDES.contains(length)).unwrap_or(usual);
        [side(height, USUAL_SIZE[0]), side(width, USUAL_SIZE[1])]
    }

    /// The same for an architecture that need not be one of the listed; `config.arch` is not looked at.
    ///
    /// # Errors
    /// See [`ModelSource::open`].
    pub fn open_as(
        architecture: &'static Architecture,
        config: &ModelConfig,
        size: Option<[i64; 2]>,
    ) -> Result<Self, ModelError> {
        Self::checked(backend::open_native(architecture, config, size)?, config)
    }

    /// An architecture with tensors that are zeros, since the header alone of its file is read: to compare names and shapes.
    ///
    /// # Errors
    /// See [`ModelSource::open`].
    pub fn outline(config: &ModelConfig, size: Option<[i64; 2]>) -> Result<Self, ModelError> {
        Self::checked(backend::outline_native(Architecture::find(&config.arch)?, config, size)?, config)
    }

    /// Channels and classes against what the suite says.
    fn checked(opened: Box<dyn Opened>, config: &ModelConfig) -> Result<Self, ModelError> {
        let unusable = |problem: String| ModelError::Unusable { model: config.name.clone(), problem };
        let mut geometry = opened.geometry();
        for (key, count) in [("mean", config.normalize.mean.len()), ("std", config.normalize.std.len())] {
            if count as i64 != geometry.channels {
                let needed = geometry.channels;
                return Err(unusable(format!("`{key}` has {count} values, the network has {needed} channels")));
            }
        }
        if let Some(found) = opened.classes() {
            if !CLASSES.contains(&found) {
                let (least, most) = (CLASSES.start(), CLASSES.end());
                let place = opened.classifier().map(|tensor| format!("`{tensor}` of ")).unwrap_or_default();
                return Err(unusable(format!(
                    "{place}{} has {found} classes; a classifier has {least} to {most}{}",
                    config.weights.display(),
                    if found == 1 {
                        ": one output is a binary classifier's; write its row w as two, -w and w, and so its bias"
                    } else {
                        ""
                    }
                )));
            }
            if let Some(requested) = config.classes.filter(|&classes| classes as i64 != found) {
                return Err(unusable(format!("the suite says {requested} classes, the weights have {found}")));
            }
        } else if let Some(requested) = config.classes {
            geometry.classes = requested as i64;
        }
        Ok(ModelSource { name: config.name.clone(), geometry, normalize: config.normalize.clone(), opened })
    }

    /// Builds the model for evaluation.
    ///
    /// # Errors
    /// If the weights are not those of the architecture, or a file's network cannot be loaded on the device.
    pub fn build(&self, compute: Compute) -> Result<Model, ModelError> {
        let built = self.opened.build(self.geometry, compute).map_err(|error| error.named(&self.name))?;
        Ok(Model::around(&self.name, built, self.geometry, &self.normalize))
    }

    /// Whether its convolutions and matrix products can compute in bf16.
    pub fn narrows(&self) -> bool {
        self.opened.narrows()
    }

    /// Whether it has batch normalization behind convolutions, which the search may fold into them.
    pub fn folds(&self) -> bool {
        self.opened.folds()
    }

    /// Whether it is faster with the channels of activations innermost.
    pub fn channels_last(&self) -> bool {
        self.opened.channels_last()
    }

    /// Compares names and shapes of the weights with the architecture's.
    ///
    /// # Errors
    /// If they are not those of the architecture.
    pub fn check_weights(&self) -> Result<(), ModelError> {
        self.build(Compute::f32(tch::Device::Cpu)).map(drop)
    }

    /// The architecture's name.
    pub fn arch(&self) -> &str {
        self.opened.arch()
    }

    /// The native architecture; none if the file brought the network.
    pub fn architecture(&self) -> Option<&'static Architecture> {
        self.opened.architecture()
    }

    /// What a user should know about the network before its numbers are believed, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.opened.notes()
    }

    /// blake3 of the weights file.
    pub fn hash(&self) -> &str {
        self.opened.hash()
    }

    /// Number of floating-point values of the weights, running statistics included as far as they are known.
    pub fn parameters(&self) -> u64 {
        self.opened.parameters()
    }
}
