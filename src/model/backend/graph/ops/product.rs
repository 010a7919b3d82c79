//! Matrix products, in the precision that the network computes in.

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Cost, Lower, Lowered, Rule, one};
use super::convolution::in_kind;
use super::unary;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.linear.default", linear),
    ("aten.matmul.default", |args| product(args, "other")),
    ("aten.mm.default", |args| product(args, "mat2")),
    ("aten.bmm.default", |args| product(args, "mat2")),
    ("aten.mv.default", |args| product(args, "vec")),
    ("aten.addmm.default", |args| with_sum(args, "mat1", "mat2")),
    ("aten.baddbmm.default", |args| with_sum(args, "batch1", "batch2")),
    ("aten.linalg_matmul.default", |args| product(args, "other")),
    ("aten.addmv.default", |args| with_sum(args, "mat", "vec")),
    ("aten.addbmm.default", batches_with_sum),
    ("aten.dot.default", |args| pair(args, "tensor", |x, y| x.f_dot(y))),
    ("aten.vdot.default", |args| pair(args, "other", |x, y| x.f_dot(y))),
    ("aten.inner.default", |args| pair(args, "other", |x, y| x.f_inner(y))),
    ("aten.kron.default", |args| pair(args, "other", |x, y| x.f_kron(y))),
    ("aten.ger.default", outer),
    ("aten.addr.default", outer_with_sum),
    ("aten.inverse.default", unary!(|x| x.f_inverse())),
    ("aten.linalg_inv.default", unary!(|x| x.f_inverse())),
    ("aten.dist.default", distance),
    ("aten.cross.default", |args| along(args, "other", |x, y, dim| x.f_linalg_cross(y, dim))),
    ("aten.pdist.default", pdist),
    ("aten._pdist_forward.default", pdist),
    ("aten.tensordot.default", tensordot),
    ("aten.bilinear.default", bilinear),
    ("aten.linalg_multi_dot.default", multi_dot),
    ("aten.chain_matmul.default", |args| several(args, "matrices")),
    ("aten.linalg_cross.default", |args| along(args, "other", |x, y, dim| x.f_linalg_cross(y, dim))),
    ("aten.linalg_vecdot.default", |args| along(args, "y", Tensor::f_linalg_vecdot)),
    ("aten.pairwise_distance.default", pairwise_distance),
    ("aten._cdist_forward.default", cdist),
    ("aten._euclidean_dist.default", |args| pair(args, "x2", Tensor::f_internal_euclidean_dist)),
    ("aten.einsum.default", einsum),
    ("aten.outer.default", outer),
    ("aten.cosine_similarity.default", cosine_similarity),
    ("aten.cdist.default", cdist),
];

fn linear(args: &mut Args) -> Lowered {
    let (x, weight, bias) = (args.first()?, args.weight("weight")?, args.bias("bias")?);
    (args.cost, args.rule) = (Cost::Inner(x), Rule::Last);
    let kind = args.builder.compute.kind;
    one(move |frame| {
        let x = in_kind(frame.tensor(x)?, kind)?.f_contiguous()?;
        x.f_linear(frame.tensor(weight)?, frame.optional(bias)?)
    })
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
        times(&pair[0], &pair[1])
    })
}

/// A matrix product. Of rows that do not lie one after another libtorch makes one with a matrix for each image, three times as slow as a
/// copy of them and one product.
pub fn times(x: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    if x.dim() > 2 && y.dim() == 2 { x.f_contiguous()?.f_matmul(y) } else { x.f_matmul(y) }
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

fn pair(args: &mut Args, other: &str, compute: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Lowered {
    let (x, other) = (args.first()?, args.slot(other)?);
    args.rule = Rule::Nowhere;
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?])?;
        compute(&pair[0], &pair[1])
    })
}

fn along(args: &mut Args, other: &str, compute: fn(&Tensor, &Tensor, i64) -> Result<Tensor, TchError>) -> Lowered {
    let (x, other, dim) = (args.first()?, args.slot(other)?, args.fixed("dim", -1)?);
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?])?;
        compute(&pair[0], &pair[1], dim)
    })
}

/// The sum of the products of two batches of matrices, and of one matrix more.
fn batches_with_sum(args: &mut Args) -> Lowered {
    let (input, a, b) = (args.first()?, args.slot("batch1")?, args.slot("batch2")?);
    let (beta, alpha) = (args.float("beta", 1.0)?, args.float("alpha", 1.0)?);
    (args.cost, args.rule) = (Cost::Inner(a), Rule::Nowhere);
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(a)?, frame.tensor(b)?])?;
        let sum = pair[0].f_matmul(&pair[1])?.f_sum_dim_intlist([0i64].as_slice(), false, None)?;
        sum.f_mul_scalar(alpha)?.f_add(&frame.tensor(input)?.f_mul_scalar(beta)?)
    })
}

fn outer_with_sum(args: &mut Args) -> Lowered {
    let (input, a, b) = (args.first()?, args.slot("vec1")?, args.slot("vec2")?);
    let (beta, alpha) = (args.float("beta", 1.0)?, args.float("alpha", 1.0)?);
    one(move |frame| {
        let product = frame.tensor(a)?.f_unsqueeze(1)?.f_mul(&frame.tensor(b)?.f_unsqueeze(0)?)?;
        product.f_mul_scalar(alpha)?.f_add(&frame.tensor(input)?.f_mul_scalar(beta)?)
    })
}

fn distance(args: &mut Args) -> Lowered {
    let (x, other, p) = (args.first()?, args.slot("other")?, args.float("p", 2.0)?);
    one(move |frame| {
        let less = frame.tensor(x)?.f_sub(frame.tensor(other)?)?;
        let every: Vec<i64> = (0..less.dim() as i64).collect();
        less.f_norm_scalaropt_dim(p, every, false)
    })
}

fn pdist(args: &mut Args) -> Lowered {
    let (x, p) = (args.first()?, args.float("p", 2.0)?);
    one(move |frame| frame.tensor(x)?.f_pdist(p))
}

fn tensordot(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    let (dims, others) = (args.fixed_ints("dims_self", &[])?, args.fixed_ints("dims_other", &[])?);
    args.rule = Rule::Nowhere;
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?])?;
        pair[0].f_tensordot(&pair[1], &dims, &others)
    })
}

fn bilinear(args: &mut Args) -> Lowered {
    let (x, other) = (args.slot("input1")?, args.slot("input2")?);
    let (weight, bias) = (args.slot("weight")?, args.optional("bias")?);
    args.rule = Rule::Last;
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?, frame.tensor(weight)?])?;
        Tensor::f_bilinear(&pair[0], &pair[1], &pair[2], frame.optional(bias)?)
    })
}

fn multi_dot(args: &mut Args) -> Lowered {
    several(args, "tensors")
}

/// The product of several matrices.
fn several(args: &mut Args, name: &str) -> Lowered {
    let tensors = args.slots(name)?;
    args.rule = Rule::Nowhere;
    one(move |frame| Tensor::f_linalg_multi_dot(&super::alike(&frame.tensors(&tensors)?)?))
}

fn pairwise_distance(args: &mut Args) -> Lowered {
    let (x, other, p) = (args.slot("x1")?, args.slot("x2")?, args.float("p", 2.0)?);
    let (epsilon, keep) = (args.float("eps", 1e-6)?, args.truth("keepdim", false)?);
    one(move |frame| Tensor::f_pairwise_distance(frame.tensor(x)?, frame.tensor(other)?, p, epsilon, keep))
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
