//! MobileNetV2 (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>): inverted residuals with depthwise convolutions;
//! parameters and layers named as torchvision names them.

use tch::Tensor;

use super::Network;
use super::architecture::{Architecture, Family, Geometry, below};
use super::convolution::{BatchNorm2d, Conv2d, ConvForm, GlobalPool};
use super::layers::Linear;
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;

/// A run of blocks of the same width.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Channels inside a block, for each channel that enters it.
    expansion: i64,
    /// Channels behind it.
    channels: i64,
    blocks: usize,
    /// Stride of the first block.
    stride: i64,
}

const fn run(expansion: i64, channels: i64, blocks: usize, stride: i64) -> Run {
    Run { expansion, channels, blocks, stride }
}

/// The form of a MobileNetV2.
#[derive(Debug)]
struct Config {
    /// Channels behind the first and the last convolution.
    entry: i64,
    last: i64,
    runs: [Run; 7],
}

/// Table 2 of the paper.
const V2: Config = Config {
    entry: 32,
    last: 1280,
    runs: [
        run(1, 16, 1, 1),
        run(6, 24, 2, 2),
        run(6, 32, 3, 2),
        run(6, 64, 4, 2),
        run(6, 96, 3, 1),
        run(6, 160, 3, 2),
        run(6, 320, 1, 1),
    ],
};

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    name: "torchvision/mobilenet_v2",
    about: "MobileNetV2 (Sandler et al. 2018)",
    geometry: Geometry::rgb(224, 1000),
    stem: "features.0.0.weight",
    classifier: "classifier.1.weight",
    channels_last: true,
    family: &V2,
}];

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(MobileNetV2::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(1, geometry)
    }
}

/// Convolution, batch normalization and ReLU6.
struct Activated {
    conv: Conv2d,
    norm: BatchNorm2d,
    relu: Site,
    out: Site,
}

impl Activated {
    fn new(scope: Scope, form: ConvForm) -> Self {
        let (mut conv, norm) = (Conv2d::new(&scope / 0, form), BatchNorm2d::new(&scope / 1, form.output()));
        conv.fold(&norm, &(&scope / 0));
        Activated {
            conv,
            norm,
            relu: Site::new(scope.name("2"), "ReLU6"),
            out: Site::new(scope.name(""), "Conv2dNormActivation"),
        }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.conv.normalized(x, &self.norm, probe)?;
        let x = probe.visit(&self.relu, x.relu6())?;
        probe.visit(&self.out, x)
    }
}

/// Widens, convolves each channel alone, narrows; and adds the input where its shape is kept.
struct InvertedResidual {
    activated: Vec<Activated>,
    conv: Conv2d,
    norm: BatchNorm2d,
    branch: Site,
    add: Option<Site>,
    out: Site,
}

impl InvertedResidual {
    fn new(scope: Scope, input: i64, run: Run, stride: i64) -> Self {
        let (inside, inner, output) = (&scope / "conv", input * run.expansion, run.channels);
        let widen = (run.expansion > 1).then(|| ConvForm::new(input, inner, 1));
        let depthwise = ConvForm::same(inner, inner, 3).stride(stride).groups(inner);
        let forms = widen.into_iter().chain([depthwise]).enumerate();
        let activated: Vec<Activated> = forms.map(|(place, form)| Activated::new(&inside / place, form)).collect();
        let next = activated.len();
        let mut conv = Conv2d::new(&inside / next, ConvForm::new(inner, output, 1));
        let norm = BatchNorm2d::new(&inside / (next + 1), output);
        conv.fold(&norm, &(&inside / next));
        InvertedResidual {
            activated,
            conv,
            norm,
            branch: Site::new(inside.name(""), "Sequential"),
            add: (stride == 1 && input == output).then(|| Site::new(scope.name("add"), "Add")),
            out: Site::new(scope.name(""), "InvertedResidual"),
        }
    }

    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut y = x.shallow_clone();
        for activated in &self.activated {
            y = activated.forward(&y, probe)?;
        }
        y = self.conv.normalized(&y, &self.norm, probe)?;
        y = probe.visit(&self.branch, y)?;
        if let Some(add) = &self.add {
            y = probe.visit(add, x + y)?;
        }
        probe.visit(&self.out, y)
    }
}

/// A MobileNetV2.
struct MobileNetV2 {
    first: Activated,
    blocks: Vec<InvertedResidual>,
    last: Activated,
    featured: Site,
    pool: GlobalPool,
    dropout: Site,
    classifier: Linear,
    classified: Site,
}

impl MobileNetV2 {
    fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let Config { entry, last, runs } = *config;
        let (inside, classifier) = (scope / "features", scope / "classifier");
        let mut input = entry;
        let mut blocks = Vec::new();
        for run in runs {
            for index in 0..run.blocks {
                let stride = if index == 0 { run.stride } else { 1 };
                blocks.push(InvertedResidual::new(&inside / (blocks.len() + 1), input, run, stride));
                input = run.channels;
            }
        }
        MobileNetV2 {
            first: Activated::new(&inside / 0, ConvForm::same(geometry.channels, entry, 3).stride(2)),
            last: Activated::new(&inside / (blocks.len() + 1), ConvForm::new(input, last, 1)),
            blocks,
            featured: Site::new(inside.name(""), "Sequential"),
            pool: GlobalPool::new(scope, "adaptive_avg_pool2d", "flatten"),
            dropout: Site::new(classifier.name("0"), "Dropout"),
            classifier: Linear::new(&classifier / 1, last, geometry.classes),
            classified: Site::new(classifier.name(""), "Sequential"),
        }
    }
}

impl Network for MobileNetV2 {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut x = self.first.forward(&pixels, probe)?;
        for block in &self.blocks {
            x = block.forward(x, probe)?;
        }
        x = self.last.forward(&x, probe)?;
        x = probe.visit(&self.featured, x)?;
        x = self.pool.forward(&x, probe)?;
        x = probe.visit(&self.dropout, x)?;
        x = self.classifier.forward(&x, probe)?;
        probe.visit(&self.classified, x)
    }
}
