//! ConvNeXt (Liu et al. 2022, <https://arxiv.org/abs/2201.03545>), parameters and layers named as torchvision names them.
//!
//! Inside a block, between its two `Permute` layers, torchvision holds activations as `[N, H, W, C]`. Stochastic depth does
//! nothing outside training, which these networks are not made for.

use tch::Tensor;

use super::Network;
use super::architecture::{Architecture, Family, Geometry, below};
use super::convolution::{Conv2d, ConvForm};
use super::layers::{LayerNorm, Linear, wide};
use super::probe::{Flow, Probe, Site};
use super::weights::{Init, Scope};

/// The form of a ConvNeXt.
#[derive(Debug)]
struct Config {
    /// Channels of the first stage; each further one doubles them.
    width: i64,
    /// Blocks of each stage.
    depths: [usize; 4],
}

const EPSILON: f64 = 1e-6;

const fn convnext(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let (geometry, classifier) = (Geometry::rgb(224, 1000), "classifier.2.weight");
    Architecture { name, about, geometry, stem: "features.0.0.weight", classifier, channels_last: true, family }
}

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    convnext("torchvision/convnext_tiny", "ConvNeXt-T (Liu et al. 2022)", &Config { width: 96, depths: [3, 3, 9, 3] }),
    convnext("torchvision/convnext_small", "ConvNeXt-S", &Config { width: 96, depths: [3, 3, 27, 3] }),
    convnext("torchvision/convnext_base", "ConvNeXt-B", &Config { width: 128, depths: [3, 3, 27, 3] }),
];

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(ConvNext::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(32, geometry) // patches of 4, and three times halved
    }
}

/// Layer normalization over the channels of `[N, C, H, W]`, in f32.
struct LayerNorm2d {
    site: Site,
    weight: Tensor,
    bias: Tensor,
    channels: i64,
}

impl LayerNorm2d {
    fn new(scope: Scope, channels: i64) -> Self {
        LayerNorm2d {
            site: Site::new(scope.name(""), "LayerNorm2d"),
            weight: scope.parameter("weight", &[channels], Init::Constant(1.0)),
            bias: scope.parameter("bias", &[channels], Init::Constant(0.0)),
            channels,
        }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = wide(x).permute([0, 2, 3, 1]);
        let x = x.layer_norm([self.channels], Some(&self.weight), Some(&self.bias), EPSILON, true);
        probe.visit(&self.site, x.permute([0, 3, 1, 2]))
    }
}

struct CnBlock {
    depthwise: Conv2d,
    channels_inner: Site,
    norm: LayerNorm,
    widen: Linear,
    gelu: Site,
    narrow: Linear,
    channels_outer: Site,
    branch: Site,
    layer_scale: Tensor,
    mul: Site,
    stochastic_depth: Site,
    add: Site,
    out: Site,
}

impl CnBlock {
    fn new(scope: Scope, width: i64) -> Self {
        let branch = &scope / "block";
        let depthwise = ConvForm::same(width, width, 7).groups(width).biased();
        CnBlock {
            depthwise: Conv2d::new(&branch / 0, depthwise),
            channels_inner: Site::new(branch.name("1"), "Permute").inner(),
            norm: LayerNorm::new(&branch / 2, width, EPSILON).inner(),
            widen: Linear::new(&branch / 3, width, 4 * width).inner(),
            gelu: Site::new(branch.name("4"), "GELU").inner(),
            narrow: Linear::new(&branch / 5, 4 * width, width).inner(),
            channels_outer: Site::new(branch.name("6"), "Permute"),
            branch: Site::new(branch.name(""), "Sequential"),
            layer_scale: scope.parameter("layer_scale", &[width, 1, 1], Init::Constant(1e-6)),
            mul: Site::new(scope.name("mul"), "LayerScale"),
            stochastic_depth: Site::new(scope.name("stochastic_depth"), "StochasticDepth"),
            add: Site::new(scope.name("add"), "Add"),
            out: Site::new(scope.name(""), "CNBlock"),
        }
    }

    /// `[N, C, H, W]` to the same.
    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = self.depthwise.forward(&x, probe)?;
        let y = self.channels_inner.show(wide(&y).permute([0, 2, 3, 1]), probe)?;
        let y = self.norm.forward(&y, probe)?;
        let y = self.widen.forward(&y, probe)?;
        let y = self.gelu.show(y.gelu("none"), probe)?;
        let y = self.narrow.forward(&y, probe)?;
        let y = probe.visit(&self.channels_outer, y.permute([0, 3, 1, 2]))?;
        let y = probe.visit(&self.branch, y)?;
        let y = probe.visit(&self.mul, &self.layer_scale * wide(&y))?;
        let y = probe.visit(&self.stochastic_depth, y)?;
        let x = probe.visit(&self.add, y + x)?;
        probe.visit(&self.out, x)
    }
}

/// Halves rows and columns before a stage.
struct Downsampling {
    norm: LayerNorm2d,
    conv: Conv2d,
    out: Site,
}

impl Downsampling {
    fn new(scope: Scope, width: i64) -> Self {
        Downsampling {
            norm: LayerNorm2d::new(&scope / 0, width),
            conv: Conv2d::new(&scope / 1, ConvForm::new(width, 2 * width, 2).stride(2).biased()),
            out: Site::new(scope.name(""), "Sequential"),
        }
    }

    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.norm.forward(x, probe)?;
        let x = self.conv.forward(&x, probe)?;
        probe.visit(&self.out, wide(&x))
    }
}

struct Stage {
    downsampling: Option<Downsampling>,
    blocks: Vec<CnBlock>,
    out: Site,
}

/// A ConvNeXt.
struct ConvNext {
    patches: Conv2d,
    norm: LayerNorm2d,
    embedded: Site,
    stages: Vec<Stage>,
    featured: Site,
    avgpool: Site,
    last_norm: LayerNorm2d,
    flatten: Site,
    head: Linear,
    classified: Site,
}

impl ConvNext {
    fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let (inside, classifier) = (scope / "features", scope / "classifier");
        let stem = &inside / 0;
        let stage = |(place, depth): (usize, usize)| {
            let (width, blocks) = (config.width << place, &inside / (2 * place + 1));
            Stage {
                downsampling: (place > 0).then(|| Downsampling::new(&inside / (2 * place), width / 2)),
                blocks: (0..depth).map(|index| CnBlock::new(&blocks / index, width)).collect(),
                out: Site::new(blocks.name(""), "Sequential"),
            }
        };
        let stages: Vec<Stage> = config.depths.into_iter().enumerate().map(stage).collect();
        let width = config.width << (stages.len() - 1);
        ConvNext {
            patches: Conv2d::new(&stem / 0, ConvForm::new(geometry.channels, config.width, 4).stride(4).biased()),
            norm: LayerNorm2d::new(&stem / 1, config.width),
            embedded: Site::new(stem.name(""), "Conv2dNormActivation"),
            stages,
            featured: Site::new(inside.name(""), "Sequential"),
            avgpool: Site::new(scope.name("avgpool"), "GlobalAvgPool"),
            last_norm: LayerNorm2d::new(&classifier / 0, width),
            flatten: Site::new(classifier.name("1"), "Flatten"),
            head: Linear::new(&classifier / 2, width, geometry.classes),
            classified: Site::new(classifier.name(""), "Sequential"),
        }
    }
}

impl Network for ConvNext {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.patches.forward(&pixels, probe)?;
        let x = self.norm.forward(&x, probe)?;
        let mut x = probe.visit(&self.embedded, x)?;
        for Stage { downsampling, blocks, out } in &self.stages {
            if let Some(downsampling) = downsampling {
                x = downsampling.forward(&x, probe)?;
            }
            for block in blocks {
                x = block.forward(x, probe)?;
            }
            x = probe.visit(out, x)?;
        }
        let x = probe.visit(&self.featured, x)?;
        let x = probe.visit(&self.avgpool, x.adaptive_avg_pool2d([1, 1]))?;
        let x = self.last_norm.forward(&x, probe)?;
        let x = probe.visit(&self.flatten, x.flatten(1, -1))?;
        let x = self.head.forward(&x, probe)?;
        probe.visit(&self.classified, x)
    }
}
