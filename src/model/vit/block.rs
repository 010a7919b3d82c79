//! One block of a Vision Transformer: attention, then two matrix products, each added to the residual stream.

use tch::{Kind, Tensor};

use super::Config;
use crate::model::layers::{LayerNorm, LayerScale, Linear};
use crate::model::probe::{Flow, Piece, Probe, Site};
use crate::model::transformer::{Mlp, fused, products, split, weigh, weights};
use crate::model::weights::Scope;

struct Attention {
    qkv: Linear,
    logits: Site,
    mixed: Site,
    projection: Linear,
    out: Site,
    heads: i64,
}

impl Attention {
    fn new(scope: Scope, config: &Config, tokens: i64) -> Self {
        let names = config.framework.names();
        let (qkv, separator) = names.qkv;
        let each = (config.width / config.heads) as u64;
        Attention {
            qkv: Linear::new((&scope / qkv).separated_by(separator), config.width, 3 * config.width),
            logits: Site { macs_per_value: each, ..Site::new(scope.name("logits"), "AttentionLogits") },
            mixed: Site { macs_per_value: tokens as u64, ..Site::new(scope.name("heads"), "AttentionHeads") },
            projection: Linear::new(&scope / names.projection, config.width, config.width),
            out: Site::new(scope.name(""), "Attention"),
            heads: config.heads,
        }
    }

    /// `[N, T, width]` to the same.
    fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let qkv = self.qkv.forward(x, probe)?;
        let (q, k, v) = split(&probe.piece(Piece::Qkv, qkv), self.heads);
        // On a CPU the fused kernel of bf16 is the slower one.
        let fuses = v.kind() == Kind::Float || v.device().is_cuda();
        let mixed = if fuses && !probe.wants(&self.logits) && !probe.wants_pieces() {
            fused(&q, &k, &v)
        } else {
            let weights = weights(&probe.visit(&self.logits, products(&q, &k))?, v.kind());
            weigh(&probe.piece(Piece::Weights, weights), &v)
        };
        let mixed = probe.visit(&self.mixed, mixed)?;
        let y = self.projection.forward(&mixed, probe)?;
        probe.visit(&self.out, y)
    }
}

/// A block of a Vision Transformer.
pub struct Block {
    norm1: LayerNorm,
    attention: Attention,
    scale1: Option<LayerScale>,
    after_attention: Site,
    norm2: LayerNorm,
    mlp: Mlp,
    scale2: Option<LayerScale>,
    out: Site,
}

impl Block {
    /// The block of a network of `config` that sees `tokens` tokens; `epsilon` is that of its normalization.
    pub fn new(scope: Scope, config: &Config, tokens: i64, epsilon: f64) -> Self {
        let (names, width) = (config.framework.names(), config.width);
        let scale = |name: &str| config.layer_scale.then(|| LayerScale::new(&scope / name, width));
        Block {
            norm1: LayerNorm::new(&scope / names.norm1, width, epsilon),
            attention: Attention::new(&scope / names.attention, config, tokens),
            scale1: scale("ls1"),
            after_attention: Site::new(scope.name("add"), "Residual"),
            norm2: LayerNorm::new(&scope / names.norm2, width, epsilon),
            mlp: Mlp::new(&scope / "mlp", names.mlp, width, config.activation),
            scale2: scale("ls2"),
            out: Site::new(scope.name(""), "Block"),
        }
    }

    /// `[N, T, width]` to the same. Where the residual stream is f32, what is added to it is widened as it is added.
    pub fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = self.norm1.before_product(&x, probe)?;
        let y = self.attention.forward(&y, probe)?;
        let y = LayerScale::forward(self.scale1.as_ref(), y, probe)?;
        let x = probe.visit(&self.after_attention, joined(x, y))?;
        let x = probe.piece(Piece::Stream, x);
        let y = self.norm2.before_product(&x, probe)?;
        let y = self.mlp.forward(&y, probe)?;
        let y = probe.piece(Piece::Mlp, y);
        let y = LayerScale::forward(self.scale2.as_ref(), y, probe)?;
        let x = probe.visit(&self.out, joined(x, y))?;
        Flow::Continue(probe.piece(Piece::Stream, x))
    }
}

/// The stream with what a branch adds, in the stream's precision.
fn joined(stream: Tensor, branch: Tensor) -> Tensor {
    if stream.kind() == Kind::BFloat16 { stream + branch.to_kind(Kind::BFloat16) } else { stream + branch }
}
