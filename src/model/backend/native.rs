//! Architectures of this crate, with the weights of their frameworks.

use super::{Built, Opened};
use crate::model::weights::{Compute, Scope, WeightsError, WeightsFile};
use crate::model::{Architecture, Geometry, ModelError};
use crate::suite::ModelConfig;

/// Reads the weights, which tell the number of classes and of channels; `size` is that of the images (rows, columns), none for the
/// one that the architecture was published for.
///
/// # Errors
/// If the file cannot be used.
pub fn open(
    architecture: &'static Architecture,
    config: &ModelConfig,
    size: Option<[i64; 2]>,
) -> Result<Box<dyn Opened>, ModelError> {
    of_weights(architecture, WeightsFile::read(&config.weights)?, config, size)
}

/// The same with tensors that are zeros: the header of the file alone is read.
///
/// # Errors
/// As [`open`].
pub fn outline(
    architecture: &'static Architecture,
    config: &ModelConfig,
    size: Option<[i64; 2]>,
) -> Result<Box<dyn Opened>, ModelError> {
    of_weights(architecture, WeightsFile::outline(&config.weights)?, config, size)
}

fn of_weights(
    architecture: &'static Architecture,
    mut weights: WeightsFile,
    config: &ModelConfig,
    size: Option<[i64; 2]>,
) -> Result<Box<dyn Opened>, ModelError> {
    weights.unwrap_names(architecture.stem, architecture.classifier)?;
    weights.unwrap_normalization(&config.normalize)?;
    architecture.family.adopt(&mut weights);
    if let (Some(usual), Some(stated)) = (&mut weights.layer_norm_epsilon, config.layer_norm_epsilon) {
        *usual = stated;
    }
    let geometry = stored(architecture, &weights, size);
    Ok(Box::new(Native { architecture, weights, geometry }))
}

struct Native {
    architecture: &'static Architecture,
    weights: WeightsFile,
    geometry: Geometry,
}

impl Opened for Native {
    fn arch(&self) -> &str {
        self.architecture.name
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn classes(&self) -> Option<i64> {
        self.weights.shape(self.architecture.classifier)?.first().copied()
    }

    fn classifier(&self) -> Option<&str> {
        Some(self.architecture.classifier)
    }

    fn hash(&self) -> &str {
        &self.weights.hash
    }

    fn parameters(&self) -> u64 {
        self.weights.parameters()
    }

    fn architecture(&self) -> Option<&'static Architecture> {
        Some(self.architecture)
    }

    fn narrows(&self) -> bool {
        true
    }

    fn folds(&self) -> bool {
        self.weights.normalizes_batches()
    }

    fn channels_last(&self) -> bool {
        self.architecture.channels_last
    }

    fn build(&self, geometry: Geometry, compute: Compute) -> Result<Built, ModelError> {
        let scope = Scope::file(&self.weights, compute);
        self.architecture.built(scope, geometry).map_err(|error| self.compared(error))
    }
}

impl Native {
    /// The error, with the architectures that the weights seem to be for.
    fn compared(&self, error: ModelError) -> ModelError {
        let ModelError::Weights(WeightsError::Mismatch { path, arch, problems, unexpected, prefix, .. }) = error else {
            return error;
        };
        let mut resembling = Architecture::resembling(&self.weights.plain_shapes());
        if resembling.iter().any(|found| found.name == &*arch) {
            resembling.clear();
        }
        let resembles = resembling.iter().map(|found| found.name.to_owned()).collect();
        WeightsError::Mismatch { path, arch, problems, unexpected, prefix, resembles }.into()
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
