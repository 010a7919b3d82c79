//! Sums, means, extremes and norms over dimensions.

use tch::{Kind, TchError, Tensor};

use super::Whole;
use crate::model::backend::graph::{Args, Lower, Lowered, many, one};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("ReduceMean", |args| reduce(args, |x, dims| x.f_mean_dim(dims, true, None))),
    ("ReduceSum", |args| reduce(args, |x, dims| x.f_sum_dim_intlist(dims, true, None))),
    ("ReduceMax", |args| reduce(args, |x, dims| x.f_amax(dims, true))),
    ("ReduceMin", |args| reduce(args, |x, dims| x.f_amin(dims, true))),
    ("ReduceL1", |args| reduce(args, |x, dims| x.f_norm_scalaropt_dim(1.0, dims, true))),
    ("ReduceL2", |args| reduce(args, |x, dims| x.f_norm_scalaropt_dim(2.0, dims, true))),
    ("ReduceLogSumExp", |args| reduce(args, |x, dims| x.f_logsumexp(dims, true))),
    ("ReduceLogSum", |args| reduce(args, |x, dims| x.f_sum_dim_intlist(dims, true, None)?.f_log())),
    ("ReduceSumSquare", |args| reduce(args, |x, dims| x.f_square()?.f_sum_dim_intlist(dims, true, None))),
    ("ReduceProd", |args| reduce(args, product)),
    ("LpNormalization", lp_normalization),
    ("ArgMax", |args| place(args, true)),
    ("ArgMin", |args| place(args, false)),
    ("TopK", topk),
    ("CumSum", cumsum),
];

fn product(x: &Tensor, dims: &[i64]) -> Result<Tensor, TchError> {
    dims.iter().try_fold(x.shallow_clone(), |x, &dim| x.f_prod_dim_int(dim, true, None))
}

type Reduce = fn(&Tensor, &[i64]) -> Result<Tensor, TchError>;

fn reduce(args: &mut Args, compute: Reduce) -> Lowered {
    let (x, axes) = (args.slot("0")?, Whole::read(args, "axes", "1")?);
    let (keep, nothing) = (args.truth("keepdims", true)?, args.truth("noop_with_empty_axes", false)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let x = if x.kind() == Kind::BFloat16 { x.f_to_kind(Kind::Float)? } else { x.shallow_clone() };
        let axes = axes.as_ref().map(|axes| axes.get(frame)).transpose()?.unwrap_or_default();
        let dims = match axes.is_empty() {
            true if nothing => return Ok(x),
            true => (0..x.dim() as i64).collect(),
            false => axes,
        };
        let reduced = compute(&x, &dims)?;
        if keep { Ok(reduced) } else { reduced.f_squeeze_dims(&dims) }
    })
}

fn lp_normalization(args: &mut Args) -> Lowered {
    let (x, axis, p) = (args.slot("0")?, args.fixed("axis", -1)?, args.fixed("p", 2)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_div(&x.f_norm_scalaropt_dim(p as f64, [axis], true)?)
    })
}

fn place(args: &mut Args, largest: bool) -> Lowered {
    let (x, axis, keep) = (args.slot("0")?, args.fixed("axis", 0)?, args.truth("keepdims", true)?);
    args.ignore(&["select_last_index"]);
    one(move |frame| match largest {
        true => frame.tensor(x)?.f_argmax(axis, keep),
        false => frame.tensor(x)?.f_argmin(axis, keep),
    })
}

fn topk(args: &mut Args) -> Lowered {
    let (x, k, axis) = (args.slot("0")?, args.slot("1")?, args.fixed("axis", -1)?);
    let (largest, sorted) = (args.truth("largest", true)?, args.truth("sorted", true)?);
    many(move |frame| {
        let k = super::integers(frame, k)?.first().copied().unwrap_or(1);
        let (values, places) = frame.tensor(x)?.f_topk(k, axis, largest, sorted)?;
        Ok(vec![values, places])
    })
}

fn cumsum(args: &mut Args) -> Lowered {
    let (x, axis) = (args.slot("0")?, args.slot("1")?);
    let (exclusive, reverse) = (args.truth("exclusive", false)?, args.truth("reverse", false)?);
    one(move |frame| {
        let axis = super::integers(frame, axis)?.first().copied().unwrap_or(0);
        let x = frame.tensor(x)?;
        let turned = if reverse { x.f_flip([axis])? } else { x.shallow_clone() };
        let sums = turned.f_cumsum(axis, Some(x.kind()))?;
        let sums = if exclusive { sums.f_sub(&turned)? } else { sums };
        if reverse { sums.f_flip([axis]) } else { Ok(sums) }
    })
}
