//! SqueezeNet (Iandola et al. 2016, <https://arxiv.org/abs/1602.07360>), versions 1.0 and 1.1; parameters and layers named as
//! torchvision names them.

use tch::Tensor;

use super::Network;
use super::architecture::{Architecture, Family, Geometry, below};
use super::convolution::{Conv2d, ConvForm, MaxPool2d, PoolForm};
use super::layers::wide;
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;

/// The form of a SqueezeNet.
#[derive(Debug)]
struct Config {
    /// Channels of the first convolution.
    entry: i64,
    /// Rows and columns of its kernels.
    kernel: i64,
    /// The fire modules before which a max pooling stands.
    pools: [usize; 3],
    /// Rows and columns of the smallest image.
    least: i64,
}

/// Channels of the eight fire modules between squeezing and expanding; each expands to eight times as many.
const SQUEEZED: [i64; 8] = [16, 16, 32, 32, 48, 48, 64, 64];

const POOL: PoolForm = PoolForm { kernel: 3, stride: 2, padding: 0, ceil: true };

const fn squeezenet(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let (geometry, classifier) = (Geometry::rgb(224, 1000), "classifier.1.weight");
    Architecture { name, about, geometry, stem: "features.0.weight", classifier, channels_last: true, family }
}

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    squeezenet(
        "torchvision/squeezenet1_0",
        "SqueezeNet 1.0 (Iandola et al. 2016)",
        &Config { entry: 96, kernel: 7, pools: [0, 3, 7], least: 21 },
    ),
    squeezenet(
        "torchvision/squeezenet1_1",
        "SqueezeNet 1.1, with less than half the cost of 1.0",
        &Config { entry: 64, kernel: 3, pools: [0, 2, 4], least: 17 },
    ),
];

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(SqueezeNet::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(self.least, geometry)
    }
}

/// A convolution and the ReLU behind it.
struct Activated {
    conv: Conv2d,
    relu: Site,
}

impl Activated {
    fn new(scope: &Scope, conv: &str, relu: &str, form: ConvForm) -> Self {
        Activated { conv: Conv2d::new(scope / conv, form.biased()), relu: Site::new(scope.name(relu), "ReLU") }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.conv.forward(x, probe)?;
        let rectified = probe.rectify(&x);
        probe.visit(&self.relu, rectified)
    }
}

/// Squeezes the channels by a 1x1 convolution and expands them by a 1x1 and a 3x3 beside each other.
struct Fire {
    squeeze: Activated,
    expand1x1: Activated,
    expand3x3: Activated,
    cat: Site,
    out: Site,
}

impl Fire {
    fn new(scope: Scope, input: i64, squeezed: i64) -> Self {
        let part = |name: &str, form| Activated::new(&scope, name, &format!("{name}_activation"), form);
        Fire {
            squeeze: part("squeeze", ConvForm::new(input, squeezed, 1)),
            expand1x1: part("expand1x1", ConvForm::new(squeezed, 4 * squeezed, 1)),
            expand3x3: part("expand3x3", ConvForm::same(squeezed, 4 * squeezed, 3)),
            cat: Site::new(scope.name("cat"), "Concatenation"),
            out: Site::new(scope.name(""), "Fire"),
        }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.squeeze.forward(x, probe)?;
        let (narrow, broad) = (self.expand1x1.forward(&x, probe)?, self.expand3x3.forward(&x, probe)?);
        let x = probe.visit(&self.cat, Tensor::cat(&[narrow, broad], 1))?;
        probe.visit(&self.out, x)
    }
}

/// A SqueezeNet.
struct SqueezeNet {
    stem: Activated,
    fires: Vec<(Option<MaxPool2d>, Fire)>,
    featured: Site,
    dropout: Site,
    classifier: Activated,
    pool: Site,
    classified: Site,
    flatten: Site,
}

impl SqueezeNet {
    fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let (inside, classifier) = (scope / "features", scope / "classifier");
        let stem = ConvForm::new(geometry.channels, config.entry, config.kernel).stride(2);
        let (mut place, mut input) = (1, config.entry); // behind the convolution and its ReLU
        let mut next = || {
            place += 1;
            &inside / place
        };
        let fire = |(index, squeezed): (usize, i64)| {
            let pool = config.pools.contains(&index).then(|| MaxPool2d::new(next(), POOL));
            let fire = Fire::new(next(), input, squeezed);
            input = 8 * squeezed;
            (pool, fire)
        };
        let fires = SQUEEZED.into_iter().enumerate().map(fire).collect();
        SqueezeNet {
            stem: Activated::new(&inside, "0", "1", stem),
            fires,
            featured: Site::new(inside.name(""), "Sequential"),
            dropout: Site::new(classifier.name("0"), "Dropout"),
            classifier: Activated::new(&classifier, "1", "2", ConvForm::new(input, geometry.classes, 1)),
            pool: Site::new(classifier.name("3"), "GlobalAvgPool"),
            classified: Site::new(classifier.name(""), "Sequential"),
            flatten: Site::new(scope.name("flatten"), "Flatten"),
        }
    }
}

impl Network for SqueezeNet {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut x = self.stem.forward(&pixels, probe)?;
        for (pool, fire) in &self.fires {
            if let Some(pool) = pool {
                x = pool.forward(&x, probe)?;
            }
            x = fire.forward(&x, probe)?;
        }
        x = probe.visit(&self.featured, x)?;
        x = probe.visit(&self.dropout, x)?;
        x = self.classifier.forward(&x, probe)?;
        x = probe.visit(&self.pool, wide(&x).adaptive_avg_pool2d([1, 1]))?;
        x = probe.visit(&self.classified, x)?;
        probe.visit(&self.flatten, x.flatten(1, -1))
    }
}
