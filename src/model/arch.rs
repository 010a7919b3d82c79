//! The architectures by name. Each family's file lists its members; this one brings them together.

use std::collections::BTreeMap;

use tch::Device;

use super::weights::{Compute, Scope, WeightsFile};
use super::{Model, ModelError, Network, convnext, densenet, mobilenet, residual, squeezenet, swin, vgg, vit};
use crate::suite::Normalize;

/// The images and classes that a network is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Channels of an image.
    pub channels: i64,
    /// Rows of an image.
    pub height: i64,
    /// Columns of an image.
    pub width: i64,
    /// Logits.
    pub classes: i64,
}

impl Geometry {
    /// Square colour images.
    pub const fn rgb(side: i64, classes: i64) -> Self {
        Geometry { channels: 3, height: side, width: side, classes }
    }

    /// Channels, rows and columns of an image.
    pub fn image(&self) -> [i64; 3] {
        [self.channels, self.height, self.width]
    }
}

/// Why images of `geometry` are too small for a network that needs so many rows and columns; none if they are not.
pub(super) fn below(least: i64, geometry: Geometry) -> Option<String> {
    let Geometry { height, width, .. } = geometry;
    (height.min(width) < least)
        .then(|| format!("it needs images of at least {least}x{least}; {height}x{width} is less"))
}

/// A family of networks: its configuration builds one of them.
pub trait Family: std::fmt::Debug + Sync {
    /// The network for images and classes of `geometry`, from the tensors that `scope` gives.
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network>;

    /// Why the network cannot take images of `geometry`, as the end of a sentence about it; none if it can.
    fn unfit(&self, _geometry: Geometry) -> Option<String> {
        None
    }

    /// Brings the weights to the family's names, where they are those of another framework that the family knows.
    fn adopt(&self, _weights: &mut WeightsFile) {}
}

/// What the harness knows about an architecture before any weights are read.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// The name in suites, such as `cifar/resnet20`.
    pub name: &'static str,
    /// What it is, with its source.
    pub about: &'static str,
    /// The images and classes that its authors published it for.
    pub geometry: Geometry,
    /// The tensor whose second dimension is the number of channels of an image.
    pub stem: &'static str,
    /// The tensor whose first dimension is the number of classes.
    pub classifier: &'static str,
    /// Whether activations with the channels innermost are faster on the CPU (measured by `benches/layout.rs`).
    pub channels_last: bool,
    /// The configuration.
    pub family: &'static dyn Family,
}

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

    /// The network with all parameters zero and no normalization, for looking at its layers: it takes no memory for parameters.
    ///
    /// # Errors
    /// If the network cannot take images of `geometry`.
    pub fn outline(&'static self, geometry: Geometry) -> Result<Model, ModelError> {
        let channels = geometry.channels as usize;
        let normalize = Normalize { mean: vec![0.0; channels], std: vec![1.0; channels] };
        Model::assemble(self.name, self, Scope::outline(Compute::f32(Device::Cpu)), &normalize, geometry)
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
