//! DenseNet (Huang et al. 2017, <https://arxiv.org/abs/1608.06993>): each layer of a block sees the channels of all before it.
//! Parameters and layers are named as torchvision names them today (`denselayer1.norm1`, not `denselayer1.norm.1`).

use tch::Tensor;

use super::Network;
use super::architecture::{Architecture, Family, Geometry, below};
use super::convolution::{BatchNorm2d, Conv2d, ConvForm, GlobalPool, MaxPool2d, PoolForm};
use super::layers::Linear;
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;

/// The form of a DenseNet.
#[derive(Debug)]
struct Config {
    /// Channels that each layer adds.
    growth: i64,
    /// Channels behind the stem.
    entry: i64,
    /// Layers of each block.
    blocks: [usize; 4],
}

const fn densenet(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let (geometry, classifier) = (Geometry::rgb(224, 1000), "classifier.weight");
    Architecture { name, about, geometry, stem: "features.conv0.weight", classifier, channels_last: true, family }
}

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[densenet(
    "torchvision/densenet121",
    "DenseNet-121 (Huang et al. 2017)",
    &Config { growth: 32, entry: 64, blocks: [6, 12, 24, 16] },
)];

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(DenseNet::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(29, geometry) // two halvings that round up, three that round down
    }
}

/// Batch normalization, ReLU and a convolution.
struct Step {
    norm: BatchNorm2d,
    relu: Site,
    conv: Conv2d,
}

impl Step {
    /// `place` follows the names.
    fn new(scope: &Scope, place: &str, form: ConvForm) -> Self {
        let at = |name: &str| format!("{name}{place}");
        Step {
            norm: BatchNorm2d::new(scope / at("norm").as_str(), form.input()),
            relu: Site::new(scope.name(&at("relu")), "ReLU"),
            conv: Conv2d::new(scope / at("conv").as_str(), form),
        }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.norm.forward(x, probe)?;
        let rectified = probe.rectify(&x);
        let x = probe.visit(&self.relu, rectified)?;
        self.conv.forward(&x, probe)
    }
}

struct DenseLayer {
    cat: Site,
    steps: [Step; 2],
    out: Site,
}

impl DenseLayer {
    fn new(scope: Scope, input: i64, growth: i64) -> Self {
        let (inner, outer) = (ConvForm::new(input, 4 * growth, 1), ConvForm::same(4 * growth, growth, 3));
        DenseLayer {
            cat: Site::new(scope.name("cat"), "Concatenation"),
            steps: [Step::new(&scope, "1", inner), Step::new(&scope, "2", outer)],
            out: Site::new(scope.name(""), "DenseLayer"),
        }
    }

    /// The new channels from all before.
    fn forward(&self, features: &[Tensor], probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut x = probe.visit(&self.cat, Tensor::cat(features, 1))?;
        for step in &self.steps {
            x = step.forward(&x, probe)?;
        }
        probe.visit(&self.out, x)
    }
}

/// Halves channels, rows and columns.
struct Transition {
    step: Step,
    pool: Site,
    out: Site,
}

impl Transition {
    fn new(scope: Scope, input: i64) -> Self {
        let (pool, out) = (Site::new(scope.name("pool"), "AvgPool2d"), Site::new(scope.name(""), "Transition"));
        Transition { step: Step::new(&scope, "", ConvForm::new(input, input / 2, 1)), pool, out }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.step.forward(x, probe)?;
        let x = probe.visit(&self.pool, x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>))?;
        probe.visit(&self.out, x)
    }
}

struct DenseBlock {
    layers: Vec<DenseLayer>,
    cat: Site,
    out: Site,
    transition: Option<Transition>,
}

impl DenseBlock {
    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut features = vec![x];
        for layer in &self.layers {
            features.push(layer.forward(&features, probe)?);
        }
        let x = probe.visit(&self.cat, Tensor::cat(&features, 1))?;
        let x = probe.visit(&self.out, x)?;
        match &self.transition {
            Some(transition) => transition.forward(&x, probe),
            None => Flow::Continue(x),
        }
    }
}

/// A DenseNet.
struct DenseNet {
    conv0: Conv2d,
    norm0: BatchNorm2d,
    relu0: Site,
    pool0: MaxPool2d,
    blocks: Vec<DenseBlock>,
    norm5: BatchNorm2d,
    featured: Site,
    relu: Site,
    pool: GlobalPool,
    classifier: Linear,
}

impl DenseNet {
    fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let Config { growth, entry, blocks } = *config;
        let inside = scope / "features";
        let mut channels = entry;
        let block = |(place, count): (usize, usize)| {
            let number = place + 1;
            let block = &inside / format!("denseblock{number}").as_str();
            let layer = |index: usize| {
                let scope = &block / format!("denselayer{}", index + 1).as_str();
                DenseLayer::new(scope, channels + index as i64 * growth, growth)
            };
            let layers = (0..count).map(layer).collect();
            channels += count as i64 * growth;
            let transition = (number < blocks.len()).then(|| {
                let transition = Transition::new(&inside / format!("transition{number}").as_str(), channels);
                channels /= 2;
                transition
            });
            let cat = Site::new(block.name("cat"), "Concatenation");
            DenseBlock { layers, cat, out: Site::new(block.name(""), "DenseBlock"), transition }
        };
        let blocks = blocks.into_iter().enumerate().map(block).collect();
        let window = PoolForm { kernel: 3, stride: 2, padding: 1, ceil: false };
        DenseNet {
            conv0: Conv2d::new(&inside / "conv0", ConvForm::same(geometry.channels, entry, 7).stride(2)),
            norm0: BatchNorm2d::new(&inside / "norm0", entry),
            relu0: Site::new(inside.name("relu0"), "ReLU"),
            pool0: MaxPool2d::new(&inside / "pool0", window),
            blocks,
            norm5: BatchNorm2d::new(&inside / "norm5", channels),
            featured: Site::new(inside.name(""), "Sequential"),
            relu: Site::new(scope.name("relu"), "ReLU"),
            pool: GlobalPool::new(scope, "adaptive_avg_pool2d", "flatten"),
            classifier: Linear::new(scope / "classifier", channels, geometry.classes),
        }
    }
}

impl Network for DenseNet {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.conv0.forward(&pixels, probe)?;
        let x = self.norm0.forward(&x, probe)?;
        let rectified = probe.rectify(&x);
        let x = probe.visit(&self.relu0, rectified)?;
        let mut x = self.pool0.forward(&x, probe)?;
        for block in &self.blocks {
            x = block.forward(x, probe)?;
        }
        let x = self.norm5.forward(&x, probe)?;
        let x = probe.visit(&self.featured, x)?;
        let rectified = probe.rectify(&x);
        let x = probe.visit(&self.relu, rectified)?;
        let x = self.pool.forward(&x, probe)?;
        self.classifier.forward(&x, probe)
    }
}
