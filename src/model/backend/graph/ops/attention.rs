//! Scaled dot-product attention (Vaswani et al. 2017), in one operator.

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Cost, Lower, Lowered, many, one};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.scaled_dot_product_attention.default", attention),
    ("aten._scaled_dot_product_flash_attention_for_cpu.default", fused),
    ("aten._scaled_dot_product_flash_attention.default", fused),
    ("aten._scaled_dot_product_efficient_attention.default", fused),
    ("aten._scaled_dot_product_fused_attention_overrideable.default", fused),
    ("aten._scaled_dot_product_attention_math.default", fused),
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
        let rest = (0..8).map(|_| answer.f_detach());
        let rest = rest.collect::<Result<Vec<_>, _>>()?;
        Ok(std::iter::once(answer).chain(rest).collect())
    })
}
