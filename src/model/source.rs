//! A model as a suite names it: weights and the architecture to put them in, or a TorchScript file that brings its own.

use super::torchscript::Script;
use super::weights::{Compute, Scope, Tensors, WeightsFile};
use super::{Architecture, Geometry, Model, ModelError};
use crate::suite::{ModelConfig, Normalize};

/// The `arch` of models whose `weights` are a TorchScript file.
pub const TORCHSCRIPT: &str = "torchscript";

/// How many classes weights may have: fewer cannot flip, and more are a damaged file.
const CLASSES: std::ops::RangeInclusive<i64> = 2..=1_000_000;

/// What is needed to build a model, in one precision or several.
pub struct ModelSource {
    /// The model's name in the suite.
    pub name: String,
    /// The images and classes that the model is built for.
    pub geometry: Geometry,
    normalize: Normalize,
    form: Form,
}

enum Form {
    Native { architecture: &'static Architecture, weights: WeightsFile },
    Script(Script),
}

impl ModelSource {
    /// Finds the architecture and reads the weights, which tell the number of classes and of channels; `size` is that of the images
    /// (rows, columns), none for the one that the architecture was published for.
    ///
    /// # Errors
    /// An unknown architecture, an unusable file, a number of classes that the weights do not have, or images that the
    /// architecture cannot take.
    pub fn open(config: &ModelConfig, size: Option<[i64; 2]>) -> Result<Self, ModelError> {
        if config.arch != TORCHSCRIPT {
            return Self::open_as(Architecture::find(&config.arch)?, config, size);
        }
        let [height, width] = size.unwrap_or([224, 224]);
        let channels = config.normalize.mean.len() as i64;
        let script = Script::read(&config.weights, [channels, height, width])?;
        Self::checked(script.geometry, Form::Script(script), config)
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
        let mut weights = WeightsFile::read(&config.weights)?;
        architecture.family.adopt(&mut weights);
        if let (Some(usual), Some(told)) = (&mut weights.layer_norm_epsilon, config.layer_norm_epsilon) {
            *usual = told;
        }
        let geometry = stored(architecture, &weights, size);
        Self::checked(geometry, Form::Native { architecture, weights }, config)
    }

    fn checked(geometry: Geometry, form: Form, config: &ModelConfig) -> Result<Self, ModelError> {
        let source = ModelSource { name: config.name.clone(), geometry, normalize: config.normalize.clone(), form };
        source.check(config)
    }

    /// Channels and classes against what the suite says.
    fn check(mut self, config: &ModelConfig) -> Result<Self, ModelError> {
        let unusable = |problem: String| ModelError::Unusable { model: config.name.clone(), problem };
        let needed = self.geometry.channels;
        for (what, given) in [("mean", config.normalize.mean.len()), ("std", config.normalize.std.len())] {
            if given as i64 != needed {
                return Err(unusable(format!("`{what}` has {given} values, the network has {needed} channels")));
            }
        }
        if let Some(found) = self.stored_classes() {
            if !CLASSES.contains(&found) {
                let (least, most) = (CLASSES.start(), CLASSES.end());
                let place = match &self.form {
                    Form::Native { architecture, .. } => format!("`{}` of ", architecture.classifier),
                    Form::Script(_) => String::new(),
                };
                return Err(unusable(format!(
                    "{place}{} has {found} classes; a classifier has {least} to {most}",
                    config.weights.display()
                )));
            }
            if let Some(asked) = config.classes.filter(|&asked| asked as i64 != found) {
                return Err(unusable(format!("the suite says {asked} classes, the weights have {found}")));
            }
        } else if let Some(asked) = config.classes {
            self.geometry.classes = asked as i64;
        }
        Ok(self)
    }

    fn stored_classes(&self) -> Option<i64> {
        match &self.form {
            Form::Script(script) => Some(script.geometry.classes),
            Form::Native { architecture, weights } => weights.shape(architecture.classifier)?.first().copied(),
        }
    }

    /// Builds the model for evaluation.
    ///
    /// # Errors
    /// If the weights are not those of the architecture, or a script cannot be loaded on the device.
    pub fn build(&self, compute: Compute) -> Result<Model, ModelError> {
        match &self.form {
            Form::Native { architecture, weights } => {
                let scope = Scope::file(weights, compute);
                Model::assemble(&self.name, architecture, scope, &self.normalize, self.geometry)
            }
            Form::Script(script) => {
                let network = script.build(compute.device)?;
                let compute = Compute { tf32: compute.tf32, ..Compute::f32(compute.device) };
                let tensors = Tensors::default();
                Ok(Model::around(&self.name, network, self.geometry, &self.normalize, compute, tensors))
            }
        }
    }

    /// The architecture's name.
    pub fn arch(&self) -> &str {
        self.architecture().map_or(TORCHSCRIPT, |architecture| architecture.name)
    }

    /// The architecture; none if the model is a script.
    pub fn architecture(&self) -> Option<&'static Architecture> {
        match &self.form {
            Form::Native { architecture, .. } => Some(architecture),
            Form::Script(_) => None,
        }
    }

    /// blake3 of the weights file.
    pub fn hash(&self) -> &str {
        match &self.form {
            Form::Native { weights, .. } => &weights.hash,
            Form::Script(script) => &script.hash,
        }
    }

    /// Number of floating-point values of the weights, running statistics included as far as they are known.
    pub fn parameters(&self) -> u64 {
        match &self.form {
            Form::Native { weights, .. } => weights.parameters(),
            Form::Script(script) => script.parameters,
        }
    }
}

/// The images of `size` and the channels and classes that the weights are for, as far as they tell.
fn stored(architecture: &Architecture, weights: &WeightsFile, size: Option<[i64; 2]>) -> Geometry {
    let mut geometry = architecture.geometry;
    if let Some(shape) = weights.shape(architecture.stem).filter(|shape| shape.len() == 4) {
        geometry.channels = shape[1];
    }
    if let Some(size) = size {
        [geometry.height, geometry.width] = size;
    }
    if let Some(&classes) = weights.shape(architecture.classifier).as_ref().and_then(|shape| shape.first()) {
        geometry.classes = classes;
    }
    geometry
}
