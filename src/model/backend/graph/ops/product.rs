//! Matrix products, in the precision that the network computes in.

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Cost, Lower, Lowered, Rule, one};
use super::convolution::in_kind;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.linear.default", linear),
    ("aten.matmul.default", |args| product(args, "other")),
    ("aten.mm.default", |args| product(args, "mat2")),
    ("aten.bmm.default", |args| product(args, "mat2")),
    ("aten.mv.default", |args| product(args, "vec")),
    ("aten.addmm.default", |args| with_sum(args, "mat1", "mat2")),
    ("aten.baddbmm.default", |args| with_sum(args, "batch1", "batch2")),
    ("aten.einsum.default", einsum),
    ("aten.outer.default", outer),
    ("aten.cosine_similarity.default", cosine_similarity),
    ("aten.cdist.default", cdist),
];

fn linear(args: &mut Args) -> Lowered {
    let (x, weight, bias) = (args.first()?, args.weight("weight")?, args.bias("bias")?);
    (args.cost, args.rule) = (Cost::Inner(x), Rule::Last);
    let kind = args.builder.compute.kind;
    one(move |frame| in_kind(frame.tensor(x)?, kind)?.f_linear(frame.tensor(weight)?, frame.optional(bias)?))
}

fn product(args: &mut Args, other: &str) -> Lowered {
    let x = args.first()?;
    let x = args.cast(x, false);
    let other = args.slot(other)?;
    let other = args.cast(other, false);
    (args.cost, args.rule) = (Cost::Inner(x), Rule::Nowhere);
    args.ignore(&["out_dtype"]);
    if args.constant_shape(other).is_some() {
        args.rule = Rule::Last;
    }
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?])?;
        pair[0].f_matmul(&pair[1])
    })
}

/// `input * beta + a @ b * alpha`.
fn with_sum(args: &mut Args, a: &str, b: &str) -> Lowered {
    let input = args.first()?;
    let (a, b) = (args.slot(a)?, args.slot(b)?);
    let (a, b) = (args.cast(a, false), args.cast(b, false));
    let (beta, alpha) = (args.float("beta", 1.0)?, args.float("alpha", 1.0)?);
    (args.cost, args.rule) = (Cost::Inner(a), Rule::Last);
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(a)?, frame.tensor(b)?])?;
        let input = frame.tensor(input)?;
        if beta == 1.0 && alpha == 1.0 && pair[0].dim() == 2 && input.kind() == pair[0].kind() {
            return input.f_addmm(&pair[0], &pair[1]);
        }
        let product = pair[0].f_matmul(&pair[1])?;
        let product = if alpha == 1.0 { product } else { product.f_mul_scalar(alpha)? };
        match beta {
            0.0 => Ok(product),
            1.0 => product.f_add(input),
            _ => product.f_add(&input.f_mul_scalar(beta)?),
        }
    })
}

fn einsum(args: &mut Args) -> Lowered {
    let (equation, tensors) = (args.text("equation", "")?, args.slots("tensors")?);
    args.ignore(&["path"]);
    args.rule = Rule::Nowhere;
    if let Some(first) = tensors.first() {
        args.cost = Cost::Inner(*first);
    }
    let kind = args.builder.compute.kind;
    one(move |frame| {
        let found = frame.tensors(&tensors)?;
        let cast: Result<Vec<Tensor>, TchError> = match kind {
            Kind::Float => super::alike(&found),
            kind => found.iter().map(|tensor| in_kind(tensor, kind)).collect(),
        };
        Tensor::f_einsum(&equation, &cast?, None::<i64>)
    })
}

fn outer(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("vec2")?);
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?])?;
        pair[0].f_unsqueeze(1)?.f_mul(&pair[1].f_unsqueeze(0)?)
    })
}

fn cosine_similarity(args: &mut Args) -> Lowered {
    let (x, other) = (args.slot("x1")?, args.slot("x2")?);
    let (dim, epsilon) = (args.fixed("dim", 1)?, args.float("eps", 1e-8)?);
    one(move |frame| Tensor::f_cosine_similarity(frame.tensor(x)?, frame.tensor(other)?, dim, epsilon))
}

fn cdist(args: &mut Args) -> Lowered {
    let (x, other, p) = (args.slot("x1")?, args.slot("x2")?, args.float("p", 2.0)?);
    args.ignore(&["compute_mode"]);
    one(move |frame| Tensor::f_cdist(frame.tensor(x)?, frame.tensor(other)?, p, None))
}
