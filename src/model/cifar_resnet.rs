//! The residual networks for 32x32 images of He et al. 2016, section 4.2 (<https://arxiv.org/abs/1512.03385>): depth 6n + 2, three
//! stages of n basic blocks with 16, 32 and 64 channels, parameter-free shortcuts (option A).
//!
//! Layers are named as torchvision's feature extractor names those of its own residual networks.

use tch::Tensor;

use super::arch::{Architecture, Family, Geometry};
use super::layers::{BatchNorm2d, Conv2d, Linear, wide};
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;
use super::{Network, channels_last};

const fn resnet(name: &'static str, about: &'static str, family: &'static Depth) -> Architecture {
    let geometry = Geometry::rgb(32, 10);
    Architecture { name, about, geometry, stem: "conv1.weight", classifier: "fc.weight", channels_last: true, family }
}

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    resnet("cifar/resnet8", "ResNet-8 for 32x32 images (He et al. 2016, section 4.2, n = 1)", &Depth(8)),
    resnet("cifar/resnet14", "ResNet-14 for 32x32 images (n = 2)", &Depth(14)),
    resnet("cifar/resnet20", "ResNet-20 for 32x32 images (n = 3)", &Depth(20)),
    resnet("cifar/resnet32", "ResNet-32 for 32x32 images (n = 5)", &Depth(32)),
    resnet("cifar/resnet44", "ResNet-44 for 32x32 images (n = 7)", &Depth(44)),
    resnet("cifar/resnet56", "ResNet-56 for 32x32 images (n = 9)", &Depth(56)),
];

/// 6n + 2, as the paper counts.
#[derive(Debug)]
struct Depth(usize);

impl Family for Depth {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(CifarResNet::new(scope, self.0, geometry))
    }
}

struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    relu: Site,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    add: Site,
    out: Site,
    stride: i64,
    widening: i64,
}

impl BasicBlock {
    fn new(scope: Scope, input: i64, output: i64, stride: i64) -> Self {
        BasicBlock {
            conv1: Conv2d::new(&scope / "conv1", input, output, 3, stride, 1, false),
            bn1: BatchNorm2d::new(&scope / "bn1", output),
            relu: Site::new(scope.name("relu"), "ReLU"),
            conv2: Conv2d::new(&scope / "conv2", output, output, 3, 1, 1, false),
            bn2: BatchNorm2d::new(&scope / "bn2", output),
            add: Site::new(scope.name("add"), "Add"),
            out: Site::new(scope.name(""), "BasicBlock"),
            stride,
            widening: output - input,
        }
    }

    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = self.conv1.forward(&x, probe)?;
        let y = self.bn1.forward(&y, probe)?;
        let y = probe.visit(&self.relu, y.relu())?;
        let y = self.conv2.forward(&y, probe)?;
        let y = self.bn2.forward(&y, probe)?;
        let y = probe.visit(&self.add, y + self.shortcut(x))?;
        probe.visit(&self.out, y.relu())
    }

    /// Option A: every other row and column, and zeros for the new channels.
    fn shortcut(&self, x: Tensor) -> Tensor {
        if self.widening == 0 {
            return x;
        }
        let (height, width, side) = (x.size()[2], x.size()[3], self.widening / 2);
        x.slice(2, 0, height, self.stride).slice(3, 0, width, self.stride).constant_pad_nd([0, 0, 0, 0, side, side])
    }
}

/// A CIFAR ResNet.
pub struct CifarResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    relu: Site,
    stages: Vec<(Vec<BasicBlock>, Site)>,
    avgpool: Site,
    fc: Linear,
    channels_last: bool,
}

impl CifarResNet {
    /// The network of `depth` 6n + 2.
    pub fn new(scope: &Scope, depth: usize, geometry: Geometry) -> Self {
        let blocks = (depth - 2) / 6;
        let mut input = 16;
        let stages = (1..=3)
            .map(|stage| {
                let scope = scope / format!("layer{stage}").as_str();
                let output = 16 << (stage - 1);
                let blocks = (0..blocks)
                    .map(|index| {
                        let stride = if stage > 1 && index == 0 { 2 } else { 1 };
                        let block = BasicBlock::new(&scope / index, input, output, stride);
                        input = output;
                        block
                    })
                    .collect();
                (blocks, Site::new(scope.name(""), "Stage"))
            })
            .collect();
        CifarResNet {
            conv1: Conv2d::new(scope / "conv1", geometry.channels, 16, 3, 1, 1, false),
            bn1: BatchNorm2d::new(scope / "bn1", 16),
            relu: Site::new(scope.name("relu"), "ReLU"),
            stages,
            avgpool: Site::new(scope.name("avgpool"), "GlobalAvgPool"),
            fc: Linear::new(scope / "fc", 64, geometry.classes),
            channels_last: scope.compute.channels_last,
        }
    }
}

impl Network for CifarResNet {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = if self.channels_last { channels_last(&pixels) } else { pixels };
        let x = self.conv1.forward(&x, probe)?;
        let x = self.bn1.forward(&x, probe)?;
        let mut x = probe.visit(&self.relu, x.relu())?;
        for (blocks, site) in &self.stages {
            for block in blocks {
                x = block.forward(x, probe)?;
            }
            x = probe.visit(site, x)?;
        }
        let x = probe.visit(&self.avgpool, wide(&x).mean_dim([2i64, 3].as_slice(), false, None))?;
        self.fc.forward(&x, probe)
    }
}
