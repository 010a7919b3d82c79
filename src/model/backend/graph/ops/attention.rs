//! Scaled dot-product attention (Vaswani et al. 2017), in one operator.

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Cost, Frame, Lower, Lowered, Rule, Slot, many, one};
use super::convolution::in_kind;
use super::{nothing, wide};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.scaled_dot_product_attention.default", attention),
    ("aten._scaled_dot_product_flash_attention_for_cpu.default", fused),
    ("aten._scaled_dot_product_flash_attention.default", fused),
    ("aten._scaled_dot_product_efficient_attention.default", fused),
    ("aten._scaled_dot_product_fused_attention_overrideable.default", fused),
    ("aten._scaled_dot_product_attention_math.default", fused),
    ("aten._scaled_dot_product_attention_math_for_mps.default", fused),
    ("aten._scaled_dot_product_cudnn_attention.default", fused),
    ("aten._native_multi_head_attention.default", heads),
    ("aten._transformer_encoder_layer_fwd.default", encoder_layer),
];

fn compute(args: &mut Args) -> Result<impl Fn(&super::super::Frame) -> Result<Tensor, TchError> + 'static, String> {
    let [query, key, value] = [args.slot("query")?, args.slot("key")?, args.slot("value")?];
    let mask = match args.optional("attn_mask")? {
        None => args.optional("attn_bias")?,
        mask => mask,
    };
    args.cost = Cost::Keys(key);
    let (share, causal) = (args.float("dropout_p", 0.0)?, args.truth("is_causal", false)?);
    let (scale, grouped) = (args.optional_float("scale")?, args.truth("enable_gqa", false)?);
    args.ignore(&["return_debug_mask", "compute_log_sumexp", "compute_logsumexp", "dropout_mask"]);
    if share > 0.0 {
        return Err("drops attention at random, as in training; call `model.eval()` before the export".to_owned());
    }
    let kind = args.builder.compute.kind;
    Ok(move |frame: &super::super::Frame| {
        let narrow =
            |tensor: &Tensor| if kind == Kind::Float { Ok(tensor.shallow_clone()) } else { tensor.f_to_kind(kind) };
        let parts = super::alike(&[frame.tensor(query)?, frame.tensor(key)?, frame.tensor(value)?])?;
        let [query, key, value] = [narrow(&parts[0])?, narrow(&parts[1])?, narrow(&parts[2])?];
        let mask = match frame.optional(mask)? {
            Some(mask) if mask.kind() != Kind::Bool => Some(mask.f_to_kind(query.kind())?),
            Some(mask) => Some(mask.shallow_clone()),
            None => None,
        };
        Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask.as_ref(), 0.0, causal, scale, grouped)
    })
}

fn attention(args: &mut Args) -> Lowered {
    one(compute(args)?)
}

/// The kernels that decomposed graphs name; only the first of their outputs is for evaluation.
fn fused(args: &mut Args) -> Lowered {
    let compute = compute(args)?;
    many(move |frame| {
        let answer = compute(frame)?;
        let rest = (0..8).map(|_| nothing(&answer));
        let rest = rest.collect::<Result<Vec<_>, _>>()?;
        Ok(std::iter::once(answer).chain(rest).collect())
    })
}

/// Attention of several heads with its projections, as PyTorch computes it where no gradients are asked for.
struct Heads {
    count: i64,
    width: i64,
    qkv: [Slot; 2],
    projection: [Slot; 2],
    kind: Kind,
}

impl Heads {
    fn read(args: &mut Args, count: &str) -> Result<Self, String> {
        let (count, width) = (args.fixed(count, 1)?, args.fixed("embed_dim", 0)?);
        let qkv = [args.weight("qkv_weight")?, args.slot("qkv_bias")?];
        let projection = [args.weight("proj_weight")?, args.slot("proj_bias")?];
        if args.optional("mask")?.is_some() {
            return Err(
                "has a mask, which is not supported; export it with parameters that require gradients".to_owned()
            );
        }
        let kind = args.builder.compute.kind;
        args.ignore(&["mask_type", "average_attn_weights"]);
        args.rule = Rule::Last;
        Ok(Heads { count: count.max(1), width, qkv, projection, kind })
    }

    /// Queries, keys and values from rows of three tensors, which may be the same.
    fn attend(&self, frame: &Frame, [query, key, value]: [&Tensor; 3]) -> Result<Tensor, TchError> {
        let (weights, biases) = (frame.tensor(self.qkv[0])?, in_kind(frame.tensor(self.qkv[1])?, self.kind)?);
        let part = |x: &Tensor, place: i64| {
            let weight = weights.f_narrow(0, place * self.width, self.width)?;
            let bias = biases.f_narrow(0, place * self.width, self.width)?;
            let rows = in_kind(x, self.kind)?.f_linear(&weight, Some(&bias))?;
            rows.f_unflatten(-1, [self.count, self.width / self.count])?.f_transpose(1, 2)
        };
        let (query, key, value) = (part(query, 0)?, part(key, 1)?, part(value, 2)?);
        let mask = None::<Tensor>;
        let answer = Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask, 0.0, false, None, false)?;
        let joined = answer.f_transpose(1, 2)?.f_flatten(2, 3)?;
        joined
            .f_linear(frame.tensor(self.projection[0])?, Some(&in_kind(frame.tensor(self.projection[1])?, self.kind)?))
    }
}

fn heads(args: &mut Args) -> Lowered {
    let parts = [args.slot("query")?, args.slot("key")?, args.slot("value")?];
    let heads = Heads::read(args, "num_head")?;
    if args.truth("need_weights", true)? {
        return Err("gives the weights of attention besides values, which is not supported; pass `need_weights=False`"
            .to_owned());
    }
    many(move |frame| {
        let [query, key, value] = [frame.tensor(parts[0])?, frame.tensor(parts[1])?, frame.tensor(parts[2])?];
        let answer = heads.attend(frame, [query, key, value])?;
        let weights = answer.f_detach()?;
        Ok(vec![answer, weights])
    })
}

/// A whole layer of a Transformer's encoder.
fn encoder_layer(args: &mut Args) -> Lowered {
    let (x, heads) = (args.slot("src")?, Heads::read(args, "num_heads")?);
    let (smooth, first, epsilon) =
        (args.truth("use_gelu", false)?, args.truth("norm_first", false)?, args.float("eps", 1e-5)?);
    let before = [args.slot("norm_weight_1")?, args.slot("norm_bias_1")?];
    let behind = [args.slot("norm_weight_2")?, args.slot("norm_bias_2")?];
    let wider = [args.weight("ffn_weight_1")?, args.slot("ffn_bias_1")?];
    let narrower = [args.weight("ffn_weight_2")?, args.slot("ffn_bias_2")?];
    let (width, kind) = (heads.width, heads.kind);
    one(move |frame| {
        let norm = |x: &Tensor, [weight, bias]: [Slot; 2]| {
            wide(x)?.f_layer_norm([width], Some(frame.tensor(weight)?), Some(frame.tensor(bias)?), epsilon, true)
        };
        let linear = |x: &Tensor, [weight, bias]: [Slot; 2]| {
            in_kind(x, kind)?.f_linear(frame.tensor(weight)?, Some(&in_kind(frame.tensor(bias)?, kind)?))
        };
        let attend = |x: &Tensor| heads.attend(frame, [x, x, x]);
        let feed = |x: &Tensor| {
            let wide = linear(x, wider)?;
            linear(&if smooth { wide.f_gelu("none")? } else { wide.f_relu()? }, narrower)
        };
        let x = frame.tensor(x)?;
        if first {
            let x = x.f_add(&attend(&norm(x, before)?)?)?;
            return x.f_add(&feed(&norm(&x, behind)?)?);
        }
        let x = norm(&x.f_add(&attend(x)?)?, before)?;
        norm(&x.f_add(&feed(&x)?)?, behind)
    })
}
