//! Swin Transformers (Liu et al. 2021, <https://arxiv.org/abs/2103.14030>): attention inside windows that every other block shifts by
//! half, with a bias for relative positions, on maps that shrink from stage to stage. Parameters and layers are named as torchvision
//! names them.
//!
//! torchvision holds these maps as `[N, H, W, C]`; probes see `[N, C, H, W]`. Beside what has a name there, a block shows, only when
//! wanted: `attn.qkv` and `attn.heads` (in the order of the image, padded to whole windows) and `attn.logits` (scaled products of
//! queries and keys with the position bias, before mask and softmax, `[N, heads, windows * T, T]` for T tokens in a window).

use tch::{Kind, Tensor};

use super::Network;
use super::architecture::{Architecture, Family, Geometry, below};
use super::convolution::{Conv2d, ConvForm};
use super::layers::{LayerNorm, Linear, wide};
use super::probe::{Flow, Piece, Probe, Site};
use super::transformer::{Activation, Mlp, products, split, weigh, weights};
use super::weights::{Init, Scope};
use crate::suite::Backward;
use windows::Windows;

mod windows;

const EPSILON: f64 = 1e-5;

const fn swin(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let (stem, classifier) = ("features.0.0.weight", "head.weight");
    Architecture { name, about, geometry: Geometry::rgb(224, 1000), stem, classifier, channels_last: false, family }
}

const fn published(width: i64, depths: &'static [usize], heads: &'static [i64]) -> Config {
    Config { patch: 4, width, depths, heads, window: 7 }
}

/// The members of the family.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    swin("torchvision/swin_t", "Swin-T (Liu et al. 2021)", &published(96, &[2, 2, 6, 2], &[3, 6, 12, 24])),
    swin("torchvision/swin_s", "Swin-S (Liu et al. 2021)", &published(96, &[2, 2, 18, 2], &[3, 6, 12, 24])),
    swin("torchvision/swin_b", "Swin-B (Liu et al. 2021)", &published(128, &[2, 2, 18, 2], &[4, 8, 16, 32])),
];

/// The form of a Swin Transformer.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Side of a square patch.
    pub patch: i64,
    /// Features of a token in the first stage; they double from stage to stage.
    pub width: i64,
    /// Blocks of each stage.
    pub depths: &'static [usize],
    /// Heads of the blocks of each stage.
    pub heads: &'static [i64],
    /// Side of a square window.
    pub window: i64,
}

impl Family for Config {
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network> {
        Box::new(SwinTransformer::new(scope, self, geometry))
    }

    fn unfit(&self, geometry: Geometry) -> Option<String> {
        below(self.patch, geometry)
    }
}

struct Attention {
    windows: Windows,
    qkv: Linear,
    position_biases: Tensor,
    position_index: Tensor,
    logits: Site,
    mixed: Site,
    projection: Linear,
    out: Site,
    heads: i64,
}

impl Attention {
    fn new(scope: Scope, width: i64, heads: i64, windows: Windows) -> Self {
        scope.tolerate("relative_position_index");
        let (side, tokens) = (2 * windows.side - 1, windows.side * windows.side);
        let table = scope.parameter("relative_position_bias_table", &[side * side, heads], Init::Normal(0.02));
        let each = (width / heads) as u64;
        Attention {
            position_index: windows.relative_positions().to_device(table.device()),
            position_biases: table,
            qkv: Linear::new(&scope / "qkv", width, 3 * width).inner(),
            logits: Site { macs_per_value: each, ..Site::new(scope.name("logits"), "AttentionLogits") },
            mixed: Site { macs_per_value: tokens as u64, ..Site::new(scope.name("heads"), "AttentionHeads") }.inner(),
            projection: Linear::new(&scope / "proj", width, width).inner(),
            out: Site::new(scope.name(""), "Attention").inner(),
            heads,
            windows,
        }
    }

    /// `[N, H, W, C]` to the same.
    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let rows = x.size()[0];
        let qkv = self.qkv.product(&self.windows.cut(&self.windows.pad(x)));
        let qkv = self.show(&self.qkv.site, qkv, rows, probe)?;
        let (q, k, v) = split(&qkv, self.heads);
        let logits = products(&q, &k) + self.position_bias().to_kind(v.kind());
        let logits = self.show_logits(logits, rows, probe)?;
        let weights = probe.piece(Piece::Weights, weights(&self.windows.masked(logits), v.kind()));
        let mixed = self.show(&self.mixed, weigh(&weights, &v), rows, probe)?;
        let y = self.windows.crop(&self.windows.join(&self.projection.product(&mixed), rows));
        let y = self.projection.site.show(y, probe)?;
        self.out.show(y, probe)
    }

    /// `[1, heads, T, T]`.
    fn position_bias(&self) -> Tensor {
        let tokens = self.windows.side * self.windows.side;
        let biases = self.position_biases.index_select(0, &self.position_index);
        biases.view([tokens, tokens, -1]).permute([2, 0, 1]).unsqueeze(0)
    }

    /// Shows values of windows `[N * windows, T, C]` in the order of the image, if they are wanted.
    fn show(&self, site: &Site, values: Tensor, rows: i64, probe: &mut dyn Probe) -> Flow<Tensor> {
        if !probe.wants(site) {
            return Flow::Continue(values);
        }
        let joined = site.show(self.windows.join(&values, rows), probe)?;
        Flow::Continue(self.windows.cut(&joined))
    }

    /// Shows logits `[N * windows, heads, T, T]` as `[N, heads, windows * T, T]`, if they are wanted.
    fn show_logits(&self, logits: Tensor, rows: i64, probe: &mut dyn Probe) -> Flow<Tensor> {
        if !probe.wants(&self.logits) {
            return Flow::Continue(logits);
        }
        let tokens = logits.size()[3];
        let by_head = logits.view([rows, -1, self.heads, tokens, tokens]).transpose(1, 2);
        let probed = probe.visit(&self.logits, by_head.reshape([rows, self.heads, -1, tokens]))?;
        let back = probed.view([rows, self.heads, -1, tokens, tokens]).transpose(1, 2);
        Flow::Continue(back.reshape([-1, self.heads, tokens, tokens]))
    }
}

struct Block {
    norm1: LayerNorm,
    attention: Attention,
    after_attention: Site,
    norm2: LayerNorm,
    mlp: Mlp,
    out: Site,
}

impl Block {
    fn new(scope: Scope, width: i64, heads: i64, windows: Windows) -> Self {
        Block {
            norm1: LayerNorm::new(&scope / "norm1", width, EPSILON).inner(),
            attention: Attention::new(&scope / "attn", width, heads, windows),
            after_attention: Site::new(scope.name("add"), "Residual").inner(),
            norm2: LayerNorm::new(&scope / "norm2", width, EPSILON).inner(),
            mlp: Mlp::new(&scope / "mlp", ["0", "1", "3"], width, Activation::Gelu).inner(),
            out: Site::new(scope.name(""), "SwinTransformerBlock").inner(),
        }
    }

    /// `[N, H, W, C]` to the same, in f32.
    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = self.norm1.before_product(&x, probe)?;
        let y = self.attention.forward(&y, probe)?;
        let x = self.after_attention.show(x + y, probe)?;
        let y = self.norm2.before_product(&x, probe)?;
        let y = self.mlp.forward(&y, probe)?;
        self.out.show(x + y, probe)
    }
}

/// Four neighbours become one token of twice the width.
struct PatchMerging {
    norm: LayerNorm,
    reduction: Linear,
    out: Site,
}

impl PatchMerging {
    fn new(scope: Scope, width: i64) -> Self {
        PatchMerging {
            norm: LayerNorm::new(&scope / "norm", 4 * width, EPSILON).inner(),
            reduction: Linear::without_bias(&scope / "reduction", 4 * width, 2 * width).inner(),
            out: Site::new(scope.name(""), "PatchMerging").inner(),
        }
    }

    /// `[N, H, W, C]` to `[N, H/2, W/2, 2 C]`, halves rounded up.
    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let (height, width) = (x.size()[1], x.size()[2]);
        let x = match (height % 2, width % 2) {
            (0, 0) => x,
            (below, right) => x.constant_pad_nd([0, 0, 0, right, 0, below]),
        };
        let neighbours = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(y, x0)| x.slice(1, y, None, 2).slice(2, x0, None, 2));
        let x = self.norm.forward(&Tensor::cat(&neighbours, -1), probe)?;
        let x = self.reduction.forward(&x, probe)?;
        self.out.show(wide(&x), probe)
    }
}

struct Stage {
    merging: Option<PatchMerging>,
    blocks: Vec<Block>,
    out: Site,
}

/// A Swin Transformer.
pub struct SwinTransformer {
    patches: Conv2d,
    embedded: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
    avgpool: Site,
    head: Linear,
}

impl SwinTransformer {
    /// The network of `config`.
    pub fn new(scope: &Scope, config: &Config, geometry: Geometry) -> Self {
        let (mut width, features) = (config.width, scope / "features");
        let form = ConvForm::new(geometry.channels, width, config.patch).stride(config.patch).biased();
        let patches = Conv2d::new(&features / "0.0", form);
        let embedded = LayerNorm::new(&features / "0.2", width, EPSILON).inner();
        let mut map = [geometry.height / config.patch, geometry.width / config.patch];
        let mut stages = Vec::new();
        for (index, (&depth, &heads)) in config.depths.iter().zip(config.heads).enumerate() {
            let merging = (index > 0).then(|| {
                let merging = PatchMerging::new(&features / (2 * index), width);
                map = map.map(|size| size.div_euclid(2) + size % 2);
                width *= 2;
                merging
            });
            let stage = &features / (2 * index + 1);
            let block = |place: usize| {
                let windows = Windows::new(config.window, place % 2 == 1, map, scope.compute.device);
                Block::new(&stage / place, width, heads, windows)
            };
            let blocks = (0..depth).map(block).collect();
            stages.push(Stage { merging, blocks, out: Site::new(stage.name(""), "Stage").inner() });
        }
        SwinTransformer {
            patches,
            embedded,
            stages,
            norm: LayerNorm::new(scope / "norm", width, EPSILON).inner(),
            avgpool: Site::new(scope.name("avgpool"), "GlobalAvgPool"),
            head: Linear::new(scope / "head", width, geometry.classes),
        }
    }
}

impl Network for SwinTransformer {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = self.patches.forward(&pixels, probe)?;
        let mut x = self.embedded.forward(&wide(&x).permute([0, 2, 3, 1]), probe)?;
        for stage in &self.stages {
            if let Some(merging) = &stage.merging {
                x = merging.forward(x, probe)?;
            }
            for block in &stage.blocks {
                x = block.forward(x, probe)?;
            }
            x = stage.out.show(x, probe)?;
        }
        let x = self.norm.forward(&x, probe)?;
        let x = probe.visit(&self.avgpool, x.mean_dim([1i64, 2].as_slice(), false, Kind::Float))?;
        self.head.forward(&x, probe)
    }

    fn rewires(&self, backward: Backward) -> bool {
        // Windows see few tokens each, for which the other one is not published.
        backward == Backward::Pna
    }
}
