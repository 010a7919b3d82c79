//! The architectures by name. Each family's file lists its members; this one brings them together.

use std::collections::BTreeMap;

use tch::Device;

use super::architecture::{Architecture, Geometry};
use super::backend::Built;
use super::weights::{Compute, Scope};
use super::{Model, ModelError, convnext, densenet, mobilenet, residual, squeezenet, swin, vgg, vit};
use crate::suite::Normalize;

/// The members of every family.
const FAMILIES: &[&[Architecture]] = &[
    residual::ARCHITECTURES,
    vgg::ARCHITECTURES,
    squeezenet::ARCHITECTURES,
    densenet::ARCHITECTURES,
    mobilenet::ARCHITECTURES,
    convnext::ARCHITECTURES,
    vit::ARCHITECTURES,
    swin::ARCHITECTURES,
];

impl Architecture {
    /// Every architecture.
    pub fn all() -> impl Iterator<Item = &'static Architecture> {
        FAMILIES.iter().copied().flatten()
    }

    /// The architecture of this name; an error with near names if there is none.
    pub fn find(name: &str) -> Result<&'static Architecture, ModelError> {
        Self::all().find(|architecture| architecture.name == name).ok_or_else(|| {
            let known = Self::all().map(|architecture| architecture.name);
            ModelError::UnknownArchitecture { name: name.to_owned(), near: super::nearest(name, known) }
        })
    }

    /// The network with the tensors that `scope` gives.
    ///
    /// # Errors
    /// If the network cannot take images of `geometry`, or the tensors are not its own.
    pub(super) fn built(&self, scope: Scope, geometry: Geometry) -> Result<Built, ModelError> {
        if let Some(problem) = self.family.unfit(geometry) {
            return Err(ModelError::Unusable { model: self.name.to_owned(), problem });
        }
        let compute = scope.compute;
        let network = self.family.build(&scope, geometry);
        let tensors = scope.finish(self.name, self.classifier)?;
        Ok(Built { network, compute, tensors })
    }

    /// The network with all parameters zero and no normalization, for looking at its layers: it takes no memory for parameters.
    ///
    /// # Errors
    /// If the network cannot take images of `geometry`.
    pub fn outline(&'static self, geometry: Geometry) -> Result<Model, ModelError> {
        let channels = geometry.channels as usize;
        let normalize = Normalize { mean: vec![0.0; channels], std: vec![1.0; channels] };
        let built = self.built(Scope::outline(Compute::f32(Device::Cpu)), geometry)?;
        Ok(Model::around(self.name, built, geometry, &normalize))
    }

    /// The architectures whose tensors are most like `shapes`, if nearly all are: several, where they differ in no tensor.
    pub fn resembling(shapes: &BTreeMap<String, Vec<i64>>) -> Vec<&'static Architecture> {
        const NEARLY_ALL: f64 = 0.9;
        let likeness = |architecture: &&'static Architecture| {
            let second = |tensor: &str, place: usize| shapes.get(tensor).and_then(|shape| shape.get(place).copied());
            let mut geometry = architecture.geometry;
            geometry.channels = second(architecture.stem, 1)?;
            geometry.classes = second(architecture.classifier, 0)?;
            let model = architecture.outline(geometry).ok()?;
            let tensors = model.tensors();
            let expected = || tensors.parameters.iter().chain(&tensors.buffers);
            let equal = expected().filter(|(name, tensor)| shapes.get(*name) == Some(&tensor.size())).count();
            Some(equal as f64 / expected().count().max(shapes.len()) as f64)
        };
        let likenesses: Vec<(f64, &'static Architecture)> = Self::all()
            .filter_map(|architecture| Some((likeness(&architecture)?, architecture)))
            .filter(|(likeness, _)| *likeness >= NEARLY_ALL)
            .collect();
        let most = likenesses.iter().map(|(likeness, _)| *likeness).fold(0.0, f64::max);
        likenesses.into_iter().filter(|(likeness, _)| *likeness == most).map(|(_, architecture)| architecture).collect()
    }
}
