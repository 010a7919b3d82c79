//! The architectures by name.

use tch::Device;

use super::cifar_resnet::CifarResNet;
use super::vit::{Config, Pool, Stem, VisionTransformer};
use super::weights::{Compute, Scope};
use super::{Model, ModelError, Network};
use crate::suite::Normalize;

/// What the harness knows about an architecture before any weights are read.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// The name in suites, such as `cifar/resnet20`.
    pub name: &'static str,
    /// What it is, with its source.
    pub about: &'static str,
    /// Channels, rows and columns of its images.
    pub input: [i64; 3],
    /// The tensor whose first dimension is the number of classes.
    pub classifier: &'static str,
    /// Whether activations with the channels innermost are faster on the CPU (measured by `benches/layout.rs`).
    pub channels_last: bool,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    CifarResNet { depth: usize },
    Vit(Config),
}

const fn resnet(name: &'static str, about: &'static str, depth: usize) -> Architecture {
    Architecture {
        name,
        about,
        input: [3, 32, 32],
        classifier: "fc.weight",
        channels_last: true,
        form: Form::CifarResNet { depth },
    }
}

const fn vit(name: &'static str, about: &'static str, width: i64, depth: usize, stem: Stem) -> Architecture {
    let config = Config { image: 32, patch: 4, width, depth, heads: 4, pool: Pool::PatchMean, stem };
    let form = Form::Vit(config);
    Architecture { name, about, input: [3, 32, 32], classifier: "head.weight", channels_last: false, form }
}

/// Every architecture, by name.
pub const ARCHITECTURES: &[Architecture] = &[
    resnet("cifar/resnet8", "ResNet-8 for 32x32 images (He et al. 2016, section 4.2, n = 1)", 8),
    resnet("cifar/resnet14", "ResNet-14 for 32x32 images (n = 2)", 14),
    resnet("cifar/resnet20", "ResNet-20 for 32x32 images (n = 3)", 20),
    resnet("cifar/resnet32", "ResNet-32 for 32x32 images (n = 5)", 32),
    resnet("cifar/resnet44", "ResNet-44 for 32x32 images (n = 7)", 44),
    resnet("cifar/resnet56", "ResNet-56 for 32x32 images (n = 9)", 56),
    vit("cifar/vit-tiny", "ViT: patch 4, width 64, depth 4, 4 heads, mean of patch tokens", 64, 4, Stem::Patches),
    vit("cifar/vit", "ViT: patch 4, width 128, depth 6, 4 heads, mean of patch tokens", 128, 6, Stem::Patches),
    vit("cifar/vit-c-tiny", "ViT with convolutional stem: 8x8 tokens, width 64, depth 3", 64, 3, Stem::Convolutions),
    vit("cifar/vit-c", "ViT with convolutional stem: 8x8 tokens, width 128, depth 4", 128, 4, Stem::Convolutions),
];

impl Architecture {
    /// The architecture of this name; an error with near names if there is none.
    pub fn find(name: &str) -> Result<&'static Architecture, ModelError> {
        ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| {
            let known = ARCHITECTURES.iter().map(|architecture| architecture.name);
            ModelError::UnknownArchitecture { name: name.to_owned(), near: super::nearest(name, known) }
        })
    }

    /// A network of this architecture with fresh parameters, ten classes and no normalization: for looking at its layers.
    ///
    /// # Errors
    /// None in practice: fresh parameters fit.
    pub fn untrained(&'static self, device: Device) -> Result<Model, ModelError> {
        let channels = self.input[0] as usize;
        let normalize = Normalize { mean: vec![0.0; channels], std: vec![1.0; channels] };
        Model::fresh(self, 0, Compute::f32(device), &normalize, 10)
    }

    /// Builds the network from the tensors that `scope` gives.
    pub(super) fn build(&self, scope: Scope, classes: i64) -> Box<dyn Network> {
        match self.form {
            Form::CifarResNet { depth } => Box::new(CifarResNet::new(scope, depth, classes)),
            Form::Vit(config) => Box::new(VisionTransformer::new(scope, config, classes)),
        }
    }
}
