//! Vision Transformers (Dosovitskiy et al. 2021, <https://arxiv.org/abs/2010.11929>) whose normalization stands before attention and
//! MLP, parameters and layers named as torchvision or timm names them. Options make the others of the family: the distillation
//! token of DeiT (Touvron et al. 2021, <https://arxiv.org/abs/2012.12877>), the normalized embeddings of CLIP (Radford et al. 2021,
//! <https://arxiv.org/abs/2103.00020>), layer scale and registers of DINOv2 (Oquab et al. 2023, <https://arxiv.org/abs/2304.07193>;
//! Darcet et al. 2023, <https://arxiv.org/abs/2309.16588>), and the convolutional stem of Xiao et al. 2021
//! (<https://arxiv.org/abs/2106.14881>) instead of the patch projection, which learns faster from few images.
//!
//! Beside what has a name of its own there, a block shows, in timm's words: `attn.logits` (scaled products of queries and keys before
//! the softmax, `[N, heads, T, T]`, only when wanted), `attn.heads` (`[N, T, width]`, the heads side by side), the residual stream
//! after attention (`add`), and under the block's own name the residual stream behind it. `fc_norm`, or `pool` in torchvision's
//! words, is the vector that is classified.

mod block;
mod framework;
mod hugging_face;
mod members;
mod position;

use tch::{Kind, Tensor};

use super::Network;
use super::architecture::{Family, Geometry};
use super::convolution::{BatchNorm2d, Conv2d, ConvForm};
use super::layers::{LayerNorm, Linear, wide};
use super::probe::{Flow, NoProbe, Probe, Site};
use super::tokens::Tokens;
use super::weights::{Init, Scope, WeightsFile};
use crate::suite::Backward;
use block::Block;

pub use super::transformer::Activation;
pub use framework::Framework;
pub(super) use members::ARCHITECTURES;

/// The tokens before those of the patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// None.
    None,
    /// The class token.
    Class,
    /// The class token and a distillation token, each with a classifier: DeiT. Logits are the mean of both.
    ClassAndDistillation,
    /// The class token and as many registers.
    ClassAndRegisters(i64),
}

impl Prefix {
    /// Number of tokens.
    pub const fn count(self) -> i64 {
        match self {
            Prefix::None => 0,
            Prefix::Class => 1,
            Prefix::ClassAndDistillation => 2,
            Prefix::ClassAndRegisters(registers) => 1 + registers,
        }
    }
}

/// How pixels become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// One projection of each patch.
    Patches,
    /// 3x3 convolutions with batch normalization and ReLU, two of them halving the image, and a 1x1 convolution: as many
    /// tokens as patches of 4.
    Convolutions,
}

/// The form of a ViT.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Whose names it has.
    pub framework: Framework,
    /// Side of a square patch.
    pub patch: i64,
    /// Features of a token.
    pub width: i64,
    /// Blocks.
    pub depth: usize,
    /// Heads of each block.
    pub heads: i64,
    /// Tokens before those of the patches. Without any, the mean of the patch tokens is classified, or else the class token.
    pub prefix: Prefix,
    /// Whether these tokens have position embeddings too.
    pub prefix_positions: bool,
    /// Whether embeddings are normalized before the first block.
    pub pre_norm: bool,
    /// Whether what a block adds to the residual stream has a factor for each feature.
    pub layer_scale: bool,
    /// Activation inside the MLPs.
    pub activation: Activation,
    /// Epsilon of layer normalization.
    pub epsilon: f64,
    /// Stem.
    pub stem: Stem,
}

impl Config {
    /// The plain ViT with a class token.
    pub const fn new(framework: Framework, patch: i64, width: i64, depth: usize, heads: i64) -> Self {
        Config {
            framework,
            patch,
            width,
            depth,
            heads,
            prefix: Prefix::Class,
            prefix_positions: true,
            pre_norm: false,
            layer_scale: false,
            activation: Activation::Gelu,
            epsilon: 1e-6,
            stem: Stem::Patches,
        }
    }

    /// Rows and columns of the grid of patches.
    fn grid(&self, geometry: Geometry) -> [i64; 2] {
        [geometry.height / self.patch, geometry.width / self.patch]
    }
}

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(VisionTransformer::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        let (patch, [_, height, width]) = (self.patch, geometry.image());
        let divisible = height > 0 && width > 0 && height % patch == 0 && width % patch == 0;
        (!divisible).then(|| format!("it cuts images into patches of {patch}x{patch}; {height}x{width} is no multiple"))
    }

    /// Files of Hugging Face's `ViTForImageClassification` and `DeiTForImageClassificationWithTeacher` get timm's names.
    fn adopt(&self, weights: &mut WeightsFile) {
        if self.framework == Framework::Timm {
            hugging_face::adopt(weights);
        }
    }
}

/// Pixels `[N, C, H, W]` to a grid of tokens `[N, width, H/patch, W/patch]`.
enum Tokenizer {
    Patches(Conv2d),
    Convolutions { stages: Vec<(Conv2d, BatchNorm2d, Site)>, proj: Conv2d },
}

impl Tokenizer {
    fn new(scope: &Scope, config: &Config, channels: i64) -> Self {
        let width = config.width;
        match config.stem {
            Stem::Patches => {
                let (scope, patch) = (scope / config.framework.names().patches, config.patch);
                // Where a normalization follows, it has the bias.
                let form = ConvForm::new(channels, width, patch).stride(patch);
                Tokenizer::Patches(Conv2d::new(scope, if config.pre_norm { form } else { form.biased() }))
            }
            Stem::Convolutions => {
                let scope = scope / "patch_embed";
                let sizes = [(channels, width / 2, 1), (width / 2, width / 2, 2), (width / 2, width, 2)];
                let stage = |(place, &(input, output, stride)): (usize, &(i64, i64, i64))| {
                    let at = |name: &str| format!("{name}{}", place + 1);
                    let conv = &scope / at("conv").as_str();
                    let norm = BatchNorm2d::new(&scope / at("bn").as_str(), output);
                    let form = ConvForm::same(input, output, 3).stride(stride);
                    let conv = Conv2d::new(conv.clone(), form).folded_with(&norm, &conv);
                    (conv, norm, Site::new(scope.name(&at("relu")), "ReLU"))
                };
                let stages = sizes.iter().enumerate().map(stage).collect();
                Tokenizer::Convolutions {
                    stages,
                    proj: Conv2d::new(&scope / "proj", ConvForm::new(width, width, 1).biased()),
                }
            }
        }
    }

    fn forward(&self, pixels: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        match self {
            Tokenizer::Patches(proj) => proj.forward(pixels, probe),
            Tokenizer::Convolutions { stages, proj } => {
                let mut x = pixels.shallow_clone();
                for (conv, norm, relu) in stages {
                    x = conv.normalized(&x, norm, probe)?;
                    let rectified = probe.rectify(&x);
                    x = probe.visit(relu, rectified)?;
                }
                proj.forward(&x, probe)
            }
        }
    }
}

/// The precision of the residual stream: that of the network, since its bytes are what a step waits for (a tenth of a step on a CPU); f32 in
/// training, where small changes add up.
fn stream(scope: &Scope) -> Kind {
    if scope.training.get() { Kind::Float } else { scope.compute.kind }
}

/// A Vision Transformer.
pub struct VisionTransformer {
    tokenizer: Tokenizer,
    grid: [i64; 2],
    heads: i64,
    prefix: Vec<Tensor>,
    positions: Tensor,
    prefix_positions: bool,
    embedded: Site,
    norm_pre: Option<LayerNorm>,
    /// The precision of the residual stream.
    stream: Kind,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pooled: Site,
    head: Linear,
    head_dist: Option<Linear>,
}

impl VisionTransformer {
    /// The network of `config`.
    pub fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let (names, width, grid) = (config.framework.names(), config.width, config.grid(geometry));
        let token = |name: &str, count: i64| scope.parameter(name, &[1, count, width], Init::Normal(0.02));
        let mut prefix = Vec::new();
        if config.prefix.count() > 0 {
            prefix.push(token(names.class_token, 1));
        }
        match config.prefix {
            Prefix::ClassAndDistillation => prefix.push(token("dist_token", 1)),
            Prefix::ClassAndRegisters(count) => prefix.push(token("reg_token", count)),
            Prefix::None | Prefix::Class => {}
        }
        let tokens = config.prefix.count() + grid[0] * grid[1];
        let positioned = if config.prefix_positions { config.prefix.count() } else { 0 };
        let positions = position::embeddings(scope, names.positions, positioned, grid, width, names.resampling);
        let epsilon = scope.layer_norm_epsilon(config.epsilon);
        let block = |index: usize| {
            let scope = scope / format!("{}{index}", names.blocks).as_str();
            Block::new(scope, config, tokens, epsilon)
        };
        let head = |name: &str| Linear::new(scope / name, width, geometry.classes);
        VisionTransformer {
            tokenizer: Tokenizer::new(scope, config, geometry.channels),
            grid,
            heads: config.heads,
            prefix,
            positions,
            prefix_positions: config.prefix_positions,
            embedded: Site::new(scope.name(names.embedded), "Embedding"),
            norm_pre: config.pre_norm.then(|| LayerNorm::new(scope / "norm_pre", width, epsilon)),
            stream: stream(scope),
            blocks: (0..config.depth).map(block).collect(),
            norm: LayerNorm::new(scope / names.norm, width, epsilon),
            pooled: Site::new(scope.name(names.pooled), "Pool"),
            head: head(names.head),
            head_dist: (config.prefix == Prefix::ClassAndDistillation).then(|| head("head_dist")),
        }
    }

    /// The patch tokens `[N, patches, width]` behind those of the prefix.
    fn prefixed(&self, patches: Tensor) -> Tensor {
        if self.prefix.is_empty() {
            return patches;
        }
        let rows = patches.size()[0];
        let mut parts: Vec<Tensor> = self.prefix.iter().map(|token| token.expand([rows, -1, -1], false)).collect();
        parts.push(patches);
        Tensor::cat(&parts, 1)
    }
}

impl Network for VisionTransformer {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let patches = self.tokenizer.forward(&pixels, probe)?;
        let patches = wide(&patches).flatten(2, -1).transpose(1, 2);
        let tokens = match self.prefix_positions {
            true => self.prefixed(patches) + &self.positions,
            false => self.prefixed(patches + &self.positions),
        };
        let mut x = probe.visit(&self.embedded, tokens)?;
        if let Some(norm_pre) = &self.norm_pre {
            x = norm_pre.forward(&x, probe)?;
        }
        x = x.to_kind(self.stream);
        for block in &self.blocks {
            x = block.forward(x, probe)?;
        }
        let x = self.norm.before_product(&x, probe)?;
        let pooled = match self.prefix.is_empty() {
            true => wide(&x).mean_dim([1i64].as_slice(), false, None),
            false => x.select(1, 0),
        };
        let pooled = probe.visit(&self.pooled, pooled)?;
        let logits = self.head.forward(&pooled, probe)?;
        let Some(head_dist) = &self.head_dist else { return Flow::Continue(logits) };
        let distilled = head_dist.forward(&x.select(1, 1), probe)?;
        Flow::Continue((wide(&logits) + wide(&distilled)) / 2.0)
    }

    fn heads(&self) -> Option<i64> {
        Some(self.heads)
    }

    fn final_norm(&self, x: &Tensor) -> Option<Tensor> {
        match self.norm.before_product(x, &mut NoProbe) {
            Flow::Continue(normed) => Some(normed),
            Flow::Break(()) => None,
        }
    }

    fn rewires(&self, _: Backward) -> bool {
        true
    }

    fn normed_width(&self) -> Option<i64> {
        self.positions.size().last().copied()
    }

    fn tokens(&self) -> Tokens {
        Tokens { prefix: self.prefix.iter().map(|token| token.size()[1]).sum(), grid: Some(self.grid) }
    }
}
