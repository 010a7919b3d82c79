//! Where networks come from. A *native* architecture is a struct of this crate that weights are put into; every other backend reads a
//! file that brings its own network, and is one line of [`FILES`].

mod exported;
mod graph;
mod native;
mod onnx;
mod torchscript;

use std::io::Read;
use std::path::Path;

pub use graph::GraphError;
pub use native::{open as open_native, outline as outline_native};
pub use torchscript::{ARCH as TORCHSCRIPT, no_gradient, survey};

use super::weights::{Compute, Tensors};
use super::{Architecture, Geometry, ModelError, Network};
use crate::suite::ModelConfig;

/// A kind of file that holds a whole network: the value of `arch` says which.
pub trait Backend: Sync {
    /// The value of `arch` in suites.
    fn arch(&self) -> &'static str;

    /// Whether the file at `path`, which begins with `head`, looks like one of this kind.
    fn claims(&self, head: &[u8], path: &Path) -> bool;

    /// The images that the file at `path` says its network takes: channels, rows and columns, each where it is fixed.
    fn image(&self, _path: &Path) -> [Option<i64>; 3] {
        [None; 3]
    }

    /// Reads the file `config.weights` and checks that it is a classifier of images `image` (channels, rows, columns).
    ///
    /// # Errors
    /// If the file cannot be read, or its network is none that can be evaluated: what is wrong, where, and what to change.
    fn open(&self, config: &ModelConfig, image: [i64; 3]) -> Result<Box<dyn Opened>, ModelError>;
}

/// A network that is ready to be built, in one precision or several.
pub trait Opened {
    /// The value of `arch`.
    fn arch(&self) -> &str;

    /// The images and classes that it is for.
    fn geometry(&self) -> Geometry;

    /// How many classes the file has; none where it does not tell, which building will refuse.
    fn classes(&self) -> Option<i64>;

    /// The tensor that tells the classes, if it is one.
    fn classifier(&self) -> Option<&str> {
        None
    }

    /// blake3 of the file.
    fn hash(&self) -> &str;

    /// Number of floating-point values of the weights, running statistics included as far as they are known.
    fn parameters(&self) -> u64;

    /// The native architecture; none if the file brought the network.
    fn architecture(&self) -> Option<&'static Architecture> {
        None
    }

    /// Whether its convolutions and matrix products can compute in bf16.
    fn narrows(&self) -> bool;

    /// Whether [`Compute::folded`] changes how it computes.
    fn folds(&self) -> bool {
        false
    }

    /// Whether it is faster with the channels of activations innermost.
    fn channels_last(&self) -> bool;

    /// Why gradients with respect to the pixels cannot be had; none if they can.
    fn without_gradients(&self) -> Option<ModelError> {
        None
    }

    /// What a user should know about the network before its numbers are believed, one sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The network for images and classes of `geometry`.
    ///
    /// # Errors
    /// If the weights are not those of the architecture, or the device cannot hold them.
    fn build(&self, geometry: Geometry, compute: Compute) -> Result<Built, ModelError>;
}

/// A network, how it computes, and its tensors by name.
pub struct Built {
    /// The network.
    pub network: Box<dyn Network>,
    /// How it computes.
    pub compute: Compute,
    /// Its tensors.
    pub tensors: Tensors,
}

/// The kinds of files that hold whole networks, the more particular ones first.
pub const FILES: &[&dyn Backend] = &[&exported::Exported, &onnx::Onnx, &torchscript::TorchScript];

/// The backend of this `arch`; none if it is no file's.
pub fn find(arch: &str) -> Option<&'static dyn Backend> {
    FILES.iter().copied().find(|backend| backend.arch() == arch)
}

/// The backend that the file at `path` seems to be for.
pub fn recognise(path: &Path) -> Option<&'static dyn Backend> {
    let mut head = Vec::new();
    let _ = crate::files::open_regular(path).map(|file| file.take(HEAD).read_to_end(&mut head));
    FILES.iter().copied().find(|backend| backend.claims(&head, path))
}

/// Bytes of a file that tell its kind.
const HEAD: u64 = 4096;

/// Every value that `arch` may have.
pub fn known() -> impl Iterator<Item = &'static str> {
    Architecture::all().map(|architecture| architecture.name).chain(FILES.iter().map(|backend| backend.arch()))
}
