//! VGG (Simonyan and Zisserman 2015, <https://arxiv.org/abs/1409.1556>) as torchvision has it, with batch normalization or
//! without; parameters and layers named as torchvision names them.

use tch::Tensor;

use super::Network;
use super::architecture::{Architecture, Family, Geometry, below};
use super::convolution::{BatchNorm2d, Conv2d, ConvForm, MaxPool2d, PoolForm};
use super::layers::{Linear, wide};
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;

/// The form of a VGG.
#[derive(Debug)]
struct Config {
    /// Convolutions before each max pooling, which go to 64, 128, 256, 512 and 512 channels.
    convolutions: [usize; 5],
    /// Whether a batch normalization stands behind each.
    norm: bool,
}

const CHANNELS: [i64; 5] = [64, 128, 256, 512, 512];

/// Rows and columns before the classifier, and the features inside it.
const GRID: i64 = 7;
const HIDDEN: i64 = 4096;

const fn vgg(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let (geometry, classifier) = (Geometry::rgb(224, 1000), "classifier.6.weight");
    Architecture { name, about, geometry, stem: "features.0.weight", classifier, channels_last: true, family }
}

const A: [usize; 5] = [1, 1, 2, 2, 2];
const B: [usize; 5] = [2, 2, 2, 2, 2];
const D: [usize; 5] = [2, 2, 3, 3, 3];
const E: [usize; 5] = [2, 2, 4, 4, 4];

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    vgg("torchvision/vgg11", "VGG-11 (Simonyan and Zisserman 2015, A)", &Config { convolutions: A, norm: false }),
    vgg("torchvision/vgg11_bn", "VGG-11 with batch normalization", &Config { convolutions: A, norm: true }),
    vgg("torchvision/vgg13", "VGG-13 (B)", &Config { convolutions: B, norm: false }),
    vgg("torchvision/vgg13_bn", "VGG-13 with batch normalization", &Config { convolutions: B, norm: true }),
    vgg("torchvision/vgg16", "VGG-16 (D)", &Config { convolutions: D, norm: false }),
    vgg("torchvision/vgg16_bn", "VGG-16 with batch normalization", &Config { convolutions: D, norm: true }),
    vgg("torchvision/vgg19", "VGG-19 (E)", &Config { convolutions: E, norm: false }),
    vgg("torchvision/vgg19_bn", "VGG-19 with batch normalization", &Config { convolutions: E, norm: true }),
];

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(Vgg::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(32, geometry) // five times halved
    }
}

/// A convolution, batch normalization on demand, and ReLU.
struct Convolution {
    conv: Conv2d,
    norm: Option<BatchNorm2d>,
    relu: Site,
}

impl Convolution {
    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = match &self.norm {
            Some(norm) => self.conv.normalized(x, norm, probe)?,
            None => self.conv.forward(x, probe)?,
        };
        let rectified = probe.rectify(&x);
        probe.visit(&self.relu, rectified)
    }
}

/// A matrix product, ReLU and dropout.
struct Hidden {
    linear: Linear,
    relu: Site,
    dropout: Site,
}

impl Hidden {
    fn new(scope: &Scope, first: usize, input: i64) -> Self {
        let site = |place: usize, kind| Site::new(scope.name(&place.to_string()), kind);
        let linear = Linear::new(scope / first, input, HIDDEN);
        Hidden { linear, relu: site(first + 1, "ReLU"), dropout: site(first + 2, "Dropout") }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.linear.forward(x, probe)?;
        let rectified = probe.rectify(&x);
        let x = probe.visit(&self.relu, rectified)?;
        probe.visit(&self.dropout, x)
    }
}

/// A VGG.
struct Vgg {
    stages: Vec<(Vec<Convolution>, MaxPool2d)>,
    featured: Site,
    avgpool: Site,
    flatten: Site,
    hidden: [Hidden; 2],
    last: Linear,
    classified: Site,
}

impl Vgg {
    fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let (inside, classifier) = (scope / "features", scope / "classifier");
        let (mut place, mut input) = (0, geometry.channels);
        let mut next = || {
            place += 1;
            &inside / (place - 1)
        };
        let halves = PoolForm { kernel: 2, stride: 2, padding: 0, ceil: false };
        let stage = |(count, output): (usize, i64)| {
            let convolution = |_| {
                let at = next();
                let mut conv = Conv2d::new(at.clone(), ConvForm::same(input, output, 3).biased());
                input = output;
                let norm = config.norm.then(|| BatchNorm2d::new(next(), output));
                if let Some(norm) = &norm {
                    conv.fold(norm, &at);
                }
                Convolution { conv, norm, relu: Site::new(next().name(""), "ReLU") }
            };
            let convolutions = (0..count).map(convolution).collect();
            (convolutions, MaxPool2d::new(next(), halves))
        };
        let stages = config.convolutions.into_iter().zip(CHANNELS).map(stage).collect();
        Vgg {
            stages,
            featured: Site::new(inside.name(""), "Sequential"),
            avgpool: Site::new(scope.name("avgpool"), "AdaptiveAvgPool"),
            flatten: Site::new(scope.name("flatten"), "Flatten"),
            hidden: [Hidden::new(&classifier, 0, input * GRID * GRID), Hidden::new(&classifier, 3, HIDDEN)],
            last: Linear::new(&classifier / 6, HIDDEN, geometry.classes),
            classified: Site::new(classifier.name(""), "Sequential"),
        }
    }
}

impl Network for Vgg {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut x = pixels;
        for (convolutions, pool) in &self.stages {
            for convolution in convolutions {
                x = convolution.forward(&x, probe)?;
            }
            x = pool.forward(&x, probe)?;
        }
        x = probe.visit(&self.featured, x)?;
        x = probe.visit(&self.avgpool, wide(&x).adaptive_avg_pool2d([GRID, GRID]))?;
        x = probe.visit(&self.flatten, x.flatten(1, -1))?;
        for hidden in &self.hidden {
            x = hidden.forward(&x, probe)?;
        }
        x = self.last.forward(&x, probe)?;
        probe.visit(&self.classified, x)
    }
}
