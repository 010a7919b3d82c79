//! Residual networks: one family, whose options cover torchvision's and timm's ResNets, wide ResNets and ResNeXts for ImageNet,
//! and the forms for 32x32 images that robustness papers use, with pre-activation or without.

mod block;
mod members;
mod names;

use tch::Tensor;

use self::block::{Block, Branch, Change};
pub(super) use self::members::ARCHITECTURES;
use self::names::Names;
use super::Network;
use super::architecture::{Family, Geometry, below};
use super::convolution::{BatchNorm2d, Conv2d, ConvForm, GlobalPool, MaxPool2d, PoolForm};
use super::layers::Linear;
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;

/// How an image enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stem {
    /// A 7x7 convolution of stride 2, batch normalization, ReLU, and 3x3 max pooling of stride 2.
    Large,
    /// A 3x3 convolution, and, unless blocks begin with their own, batch normalization and ReLU.
    Small,
}

/// The form of a residual network.
#[derive(Debug)]
struct Config {
    branch: Branch,
    change: Change,
    /// Blocks of each stage. Each stage but the first halves rows and columns and doubles the channels.
    stages: &'static [usize],
    stem: Stem,
    /// Channels behind the stem.
    entry: i64,
    /// Channels of the first stage.
    planes: i64,
    names: &'static Names,
}

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(ResNet::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(1, geometry)
    }
}

/// Batch normalization and the ReLU behind it.
struct Activated {
    norm: BatchNorm2d,
    relu: Site,
}

impl Activated {
    fn new(scope: &Scope, norm: &str, relu: &str, channels: i64) -> Self {
        Activated { norm: BatchNorm2d::new(scope / norm, channels), relu: Site::new(scope.name(relu), "ReLU") }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        self.activate(self.norm.forward(x, probe)?, probe)
    }

    fn activate(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let rectified = probe.rectify(&x);
        probe.visit(&self.relu, rectified)
    }
}

/// The blocks of one size, and the names of what is around them.
struct Stage {
    blocks: Vec<Block>,
    out: Vec<Site>,
}

/// A residual network.
struct ResNet {
    conv1: Conv2d,
    first: Option<Activated>,
    maxpool: Option<MaxPool2d>,
    stages: Vec<Stage>,
    last: Option<Activated>,
    pool: GlobalPool,
    pooled: Option<Site>,
    classifier: Linear,
}

impl ResNet {
    fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let Config { entry, names, .. } = *config;
        let conv1 = match config.stem {
            Stem::Large => ConvForm::same(geometry.channels, entry, 7).stride(2),
            Stem::Small => ConvForm::same(geometry.channels, entry, 3),
        };
        let window = PoolForm { kernel: 3, stride: 2, padding: 1, ceil: false };
        let pre_activation = config.branch == Branch::PreActivation;
        let mut channels = entry;
        let stages = (0..config.stages.len()).map(|place| stage(scope, config, place, &mut channels)).collect();
        if let Some(unused) = names.unused {
            scope.tolerate_twin(&format!("{}1", names.stage), unused);
        }
        let mut conv1 = Conv2d::new(scope / "conv1", conv1);
        let first = (!pre_activation).then(|| Activated::new(scope, "bn1", names.relu, entry));
        if let Some(first) = &first {
            conv1.fold(&first.norm, &(scope / "conv1"));
        }
        ResNet {
            conv1,
            first,
            maxpool: (config.stem == Stem::Large).then(|| MaxPool2d::new(scope / "maxpool", window)),
            stages,
            last: pre_activation.then(|| Activated::new(scope, names.last_norm, names.relu, channels)),
            pool: GlobalPool::new(scope, names.pool[0], names.pool[1]),
            pooled: names.pooled.map(|name| Site::new(scope.name(name), "GlobalPool")),
            classifier: Linear::new(scope / names.classifier, channels, geometry.classes),
        }
    }
}

/// The stage at `place`, from `channels`, which become those behind it.
fn stage(scope: &Scope, config: &Config, place: usize, channels: &mut i64) -> Stage {
    let Config { branch, change, names, .. } = *config;
    let outer = scope / format!("{}{}", names.stage, place + 1).as_str();
    let inner = names.blocks.map_or_else(|| outer.clone(), |name| &outer / name);
    let planes = config.planes << place;
    let block = |index: usize| {
        let stride = if place > 0 && index == 0 { 2 } else { 1 };
        let block = Block::new(&inner / index, names, branch, change, [*channels, planes], stride);
        *channels = planes * branch.expansion();
        block
    };
    let blocks = (0..config.stages[place]).map(block).collect();
    let mut out = vec![Site::new(outer.name(""), "Stage")];
    if names.blocks.is_some() {
        out.insert(0, Site::new(inner.name(""), "Sequential"));
    }
    Stage { blocks, out }
}

impl Network for ResNet {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut x = match &self.first {
            Some(first) => first.activate(self.conv1.normalized(&pixels, &first.norm, probe)?, probe)?,
            None => self.conv1.forward(&pixels, probe)?,
        };
        if let Some(maxpool) = &self.maxpool {
            x = maxpool.forward(&x, probe)?;
        }
        for Stage { blocks, out } in &self.stages {
            for block in blocks {
                x = block.forward(x, probe)?;
            }
            for site in out {
                x = probe.visit(site, x)?;
            }
        }
        if let Some(last) = &self.last {
            x = last.forward(&x, probe)?;
        }
        let mut x = self.pool.forward(&x, probe)?;
        if let Some(pooled) = &self.pooled {
            x = probe.visit(pooled, x)?;
        }
        self.classifier.forward(&x, probe)
    }
}
