//! Vision Transformers (Dosovitskiy et al. 2021, <https://arxiv.org/abs/2010.11929>), pre-norm, parameters and layers named as timm
//! names them; on demand with the convolutional stem of Xiao et al. 2021 (<https://arxiv.org/abs/2106.14881>) instead of the patch
//! projection, which learns faster from few images.
//!
//! Each block shows `norm1`, `attn.qkv`, `attn.logits` (scaled products of queries and keys before the softmax, `[N, heads, T, T]`,
//! only when wanted), `attn.heads` (`[N, T, width]`, the heads side by side), `attn.proj`, the residual stream after attention (`add`),
//! `norm2`, `mlp.fc1`, `mlp.act`, `mlp.fc2`, and the residual stream after the block.

use tch::{Kind, Tensor};

use super::Network;
use super::arch::{Architecture, Family, Geometry};
use super::convolution::{BatchNorm2d, Conv2d, ConvForm};
use super::layers::{LayerNorm, Linear, wide};
use super::probe::{Flow, Probe, Site};
use super::weights::{Init, Scope};

/// How tokens become the vector that is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The class token.
    ClassToken,
    /// The mean over patch tokens; there is no class token.
    PatchMean,
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
    /// Side of a square patch.
    pub patch: i64,
    /// Features of a token.
    pub width: i64,
    /// Blocks.
    pub depth: usize,
    /// Heads of each block.
    pub heads: i64,
    /// Pooling.
    pub pool: Pool,
    /// Stem.
    pub stem: Stem,
}

const fn vit(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let (geometry, stem) = match family.stem {
        Stem::Patches => (Geometry::rgb(32, 10), "patch_embed.proj.weight"),
        Stem::Convolutions => (Geometry::rgb(32, 10), "patch_embed.conv1.weight"),
    };
    Architecture { name, about, geometry, stem, classifier: "head.weight", channels_last: false, family }
}

const fn small(width: i64, depth: usize, stem: Stem) -> Config {
    Config { patch: 4, width, depth, heads: 4, pool: Pool::PatchMean, stem }
}

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    vit(
        "cifar/vit-tiny",
        "ViT: patch 4, width 64, depth 4, 4 heads, mean of patch tokens",
        &small(64, 4, Stem::Patches),
    ),
    vit("cifar/vit", "ViT: patch 4, width 128, depth 6, 4 heads, mean of patch tokens", &small(128, 6, Stem::Patches)),
    vit(
        "cifar/vit-c-tiny",
        "ViT with convolutional stem: 8x8 tokens, width 64, depth 3",
        &small(64, 3, Stem::Convolutions),
    ),
    vit(
        "cifar/vit-c",
        "ViT with convolutional stem: 8x8 tokens, width 128, depth 4",
        &small(128, 4, Stem::Convolutions),
    ),
];

impl Config {
    /// Rows and columns of the grid of patches.
    fn grid(&self, geometry: Geometry) -> [i64; 2] {
        [geometry.height / self.patch, geometry.width / self.patch]
    }
}

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(VisionTransformer::new(scope, *self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        let (patch, [_, height, width]) = (self.patch, geometry.image());
        let whole = height > 0 && width > 0 && height % patch == 0 && width % patch == 0;
        (!whole).then(|| format!("it cuts images into patches of {patch}x{patch}; {height}x{width} is no multiple"))
    }
}

/// Pixels `[N, C, H, W]` to a grid of tokens `[N, width, H/patch, W/patch]`.
enum Tokenizer {
    Patches(Conv2d),
    Convolutions { stages: Vec<(Conv2d, BatchNorm2d, Site)>, proj: Conv2d },
}

impl Tokenizer {
    fn new(scope: Scope, config: Config, channels: i64) -> Self {
        let width = config.width;
        let proj = &scope / "proj";
        match config.stem {
            Stem::Patches => {
                let form = ConvForm::new(channels, width, config.patch).stride(config.patch).biased();
                Tokenizer::Patches(Conv2d::new(proj, form))
            }
            Stem::Convolutions => {
                let sizes = [(channels, width / 2, 1), (width / 2, width / 2, 2), (width / 2, width, 2)];
                let stage = |(place, &(input, output, stride)): (usize, &(i64, i64, i64))| {
                    let at = |name: &str| format!("{name}{}", place + 1);
                    let conv =
                        Conv2d::new(&scope / at("conv").as_str(), ConvForm::same(input, output, 3).stride(stride));
                    let norm = BatchNorm2d::new(&scope / at("bn").as_str(), output);
                    (conv, norm, Site::new(scope.name(&at("relu")), "ReLU"))
                };
                let stages = sizes.iter().enumerate().map(stage).collect();
                Tokenizer::Convolutions { stages, proj: Conv2d::new(proj, ConvForm::new(width, width, 1).biased()) }
            }
        }
    }

    fn forward(&self, pixels: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        match self {
            Tokenizer::Patches(proj) => proj.forward(pixels, probe),
            Tokenizer::Convolutions { stages, proj } => {
                let mut x = pixels.shallow_clone();
                for (conv, norm, relu) in stages {
                    x = conv.forward(&x, probe)?;
                    x = norm.forward(&x, probe)?;
                    x = probe.visit(relu, x.relu())?;
                }
                proj.forward(&x, probe)
            }
        }
    }
}

struct Attention {
    qkv: Linear,
    logits: Site,
    heads_out: Site,
    proj: Linear,
    heads: i64,
}

impl Attention {
    fn new(scope: Scope, config: Config, tokens: i64) -> Self {
        Attention {
            qkv: Linear::new(&scope / "qkv", config.width, 3 * config.width),
            logits: Site {
                macs_per_value: (config.width / config.heads) as u64,
                ..Site::new(scope.name("logits"), "AttentionLogits")
            },
            heads_out: Site { macs_per_value: tokens as u64, ..Site::new(scope.name("heads"), "AttentionHeads") },
            proj: Linear::new(&scope / "proj", config.width, config.width),
            heads: config.heads,
        }
    }

    /// `[N, T, width]` to the same.
    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let qkv = self.qkv.forward(x, probe)?;
        let (rows, tokens, width) = (qkv.size()[0], qkv.size()[1], qkv.size()[2] / 3);
        let each = width / self.heads;
        let qkv = qkv.view([rows, tokens, 3, self.heads, each]).permute([2, 0, 3, 1, 4]);
        let (q, k, v) = (qkv.select(0, 0), qkv.select(0, 1), qkv.select(0, 2));
        let mixed = if qkv.kind() == Kind::Float && !probe.wants(&self.logits) && qkv.device().is_cuda() {
            Tensor::scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, None, false)
        } else {
            let logits = (q * (each as f64).powf(-0.5)).matmul(&k.transpose(-2, -1));
            let logits = probe.visit(&self.logits, logits)?;
            wide(&logits).softmax(-1, Kind::Float).to_kind(v.kind()).matmul(&v)
        };
        let mixed = mixed.transpose(1, 2).reshape([rows, tokens, width]);
        let mixed = probe.visit(&self.heads_out, mixed)?;
        self.proj.forward(&mixed, probe)
    }
}

struct Block {
    norm1: LayerNorm,
    attn: Attention,
    after_attention: Site,
    norm2: LayerNorm,
    fc1: Linear,
    act: Site,
    fc2: Linear,
    out: Site,
}

impl Block {
    fn new(scope: Scope, config: Config, tokens: i64) -> Self {
        let width = config.width;
        Block {
            norm1: LayerNorm::new(&scope / "norm1", width, 1e-6),
            attn: Attention::new(&scope / "attn", config, tokens),
            after_attention: Site::new(scope.name("add"), "Residual"),
            norm2: LayerNorm::new(&scope / "norm2", width, 1e-6),
            fc1: Linear::new(&(&scope / "mlp") / "fc1", width, 4 * width),
            act: Site::new(scope.name("mlp.act"), "GELU"),
            fc2: Linear::new(&(&scope / "mlp") / "fc2", 4 * width, width),
            out: Site::new(scope.name(""), "Block"),
        }
    }

    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = self.norm1.forward(&x, probe)?;
        let y = self.attn.forward(&y, probe)?;
        let x = probe.visit(&self.after_attention, x + wide(&y))?;
        let y = self.norm2.forward(&x, probe)?;
        let y = self.fc1.forward(&y, probe)?;
        let y = probe.visit(&self.act, y.gelu("none"))?;
        let y = self.fc2.forward(&y, probe)?;
        probe.visit(&self.out, x + wide(&y))
    }
}

/// A Vision Transformer.
pub struct VisionTransformer {
    patch_embed: Tokenizer,
    cls_token: Option<Tensor>,
    pos_embed: Tensor,
    embedded: Site,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pooled: Site,
    head: Linear,
}

impl VisionTransformer {
    /// The network of `config`.
    pub fn new(scope: &Scope, config: Config, geometry: Geometry) -> Self {
        let width = config.width;
        let prefix = i64::from(config.pool == Pool::ClassToken);
        let tokens = config.grid(geometry).iter().product::<i64>() + prefix;
        VisionTransformer {
            patch_embed: Tokenizer::new(scope / "patch_embed", config, geometry.channels),
            cls_token: (prefix > 0).then(|| scope.parameter("cls_token", &[1, 1, width], Init::Normal(0.02))),
            pos_embed: scope.parameter("pos_embed", &[1, tokens, width], Init::Normal(0.02)),
            embedded: Site::new(scope.name("pos_drop"), "Embedding"),
            blocks: (0..config.depth).map(|index| Block::new(&(scope / "blocks") / index, config, tokens)).collect(),
            norm: LayerNorm::new(scope / "norm", width, 1e-6),
            pooled: Site::new(scope.name("fc_norm"), "Pool"),
            head: Linear::new(scope / "head", width, geometry.classes),
        }
    }
}

impl Network for VisionTransformer {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let patches = self.patch_embed.forward(&pixels, probe)?;
        let tokens = wide(&patches).flatten(2, -1).transpose(1, 2);
        let tokens = match &self.cls_token {
            Some(token) => Tensor::cat(&[token.expand([tokens.size()[0], 1, -1], false), tokens], 1),
            None => tokens,
        };
        let mut x = probe.visit(&self.embedded, tokens + &self.pos_embed)?;
        for block in &self.blocks {
            x = block.forward(x, probe)?;
        }
        let x = self.norm.forward(&x, probe)?;
        let x = match self.cls_token {
            Some(_) => x.select(1, 0),
            None => x.mean_dim([1i64].as_slice(), false, None),
        };
        let x = probe.visit(&self.pooled, x)?;
        self.head.forward(&x, probe)
    }

    fn prefix_tokens(&self) -> i64 {
        i64::from(self.cls_token.is_some())
    }
}
