//! Sums, means, extremes and norms over dimensions, in f32.

use tch::{TchError, Tensor};

use super::super::{Args, Lower, Lowered, many, one};
use super::wide;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.mean.default", |args| all(args, |x| x.f_mean(None))),
    ("aten.sum.default", |args| all(args, |x| x.f_sum(None))),
    ("aten.max.default", |args| all(args, |x| x.f_max())),
    ("aten.min.default", |args| all(args, |x| x.f_min())),
    ("aten.mean.dim", |args| over(args, |x, dims, keep| x.f_mean_dim(dims, keep, None))),
    ("aten.sum.dim_IntList", |args| over(args, |x, dims, keep| x.f_sum_dim_intlist(dims, keep, None))),
    ("aten.amax.default", |args| over(args, |x, dims, keep| x.f_amax(dims.unwrap_or(&[]), keep))),
    ("aten.amin.default", |args| over(args, |x, dims, keep| x.f_amin(dims.unwrap_or(&[]), keep))),
    ("aten.logsumexp.default", |args| over(args, |x, dims, keep| x.f_logsumexp(dims.unwrap_or(&[]), keep))),
    ("aten.any.dim", |args| over(args, |x, dims, keep| x.f_any_dims(dims, keep))),
    ("aten.any.dims", |args| over(args, |x, dims, keep| x.f_any_dims(dims, keep))),
    ("aten.all.dim", |args| over(args, |x, dims, keep| x.f_all_dims(dims, keep))),
    ("aten.any.default", |args| all(args, |x| x.f_any())),
    ("aten.all.default", |args| all(args, |x| x.f_all())),
    ("aten.max.dim", |args| extreme(args, true)),
    ("aten.min.dim", |args| extreme(args, false)),
    ("aten.var.correction", |args| spread(args, false)),
    ("aten.var.dim", |args| spread(args, false)),
    ("aten.var.default", |args| spread(args, false)),
    ("aten.std.correction", |args| spread(args, true)),
    ("aten.std.dim", |args| spread(args, true)),
    ("aten.std.default", |args| spread(args, true)),
    ("aten.var_mean.correction", |args| spread_and_mean(args, false)),
    ("aten.var_mean.dim", |args| spread_and_mean(args, false)),
    ("aten.std_mean.correction", |args| spread_and_mean(args, true)),
    ("aten.std_mean.dim", |args| spread_and_mean(args, true)),
    ("aten.linalg_vector_norm.default", |args| norm(args, "ord")),
    ("aten.norm.ScalarOpt_dim", |args| norm(args, "p")),
    ("aten.norm.Scalar", |args| norm(args, "p")),
    ("aten.cumsum.default", cumsum),
    ("aten.prod.dim_int", prod),
    ("aten.argmax.default", |args| place(args, true)),
    ("aten.argmin.default", |args| place(args, false)),
];

fn all(args: &mut Args, compute: fn(&Tensor) -> Result<Tensor, TchError>) -> Lowered {
    let (x, kind) = (args.first()?, args.kind("dtype")?);
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        compute(&kind.map_or_else(|| Ok(x.shallow_clone()), |kind| x.f_to_kind(kind))?)
    })
}

/// The dimensions; none for all of them.
fn dimensions(args: &mut Args) -> Result<Option<Vec<i64>>, String> {
    Ok(args.optional_fixed_ints("dim")?.filter(|dims| !dims.is_empty()))
}

type Over = fn(&Tensor, Option<&[i64]>, bool) -> Result<Tensor, TchError>;

fn over(args: &mut Args, compute: Over) -> Lowered {
    let (x, dims, keep) = (args.first()?, dimensions(args)?, args.truth("keepdim", false)?);
    let kind = args.kind("dtype")?;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let x = kind.map_or_else(|| Ok(x.shallow_clone()), |kind| x.f_to_kind(kind))?;
        compute(&x, dims.as_deref(), keep)
    })
}

fn extreme(args: &mut Args, largest: bool) -> Lowered {
    let (x, dim, keep) = (args.first()?, args.fixed("dim", 0)?, args.truth("keepdim", false)?);
    many(move |frame| {
        let x = frame.tensor(x)?;
        let (values, places) = if largest { x.f_max_dim(dim, keep) } else { x.f_min_dim(dim, keep) }?;
        Ok(vec![values, places])
    })
}

/// Dimensions, correction and whether dimensions are kept, of a variance.
fn corrected(args: &mut Args) -> Result<(Option<Vec<i64>>, f64, bool), String> {
    let usual = if args.truth("unbiased", true)? { 1.0 } else { 0.0 };
    Ok((dimensions(args)?, args.float("correction", usual)?, args.truth("keepdim", false)?))
}

fn spread(args: &mut Args, root: bool) -> Lowered {
    let (x, (dims, correction, keep)) = (args.first()?, corrected(args)?);
    one(move |frame| {
        let (x, dims) = (wide(frame.tensor(x)?)?, dims.as_deref());
        if root { x.f_std_correction(dims, correction, keep) } else { x.f_var_correction(dims, correction, keep) }
    })
}

fn spread_and_mean(args: &mut Args, root: bool) -> Lowered {
    let (x, (dims, correction, keep)) = (args.first()?, corrected(args)?);
    many(move |frame| {
        let (x, dims) = (wide(frame.tensor(x)?)?, dims.as_deref());
        let spread =
            if root { x.f_std_correction(dims, correction, keep) } else { x.f_var_correction(dims, correction, keep) };
        Ok(vec![spread?, x.f_mean_dim(dims, keep, None)?])
    })
}

fn norm(args: &mut Args, order: &str) -> Lowered {
    let (x, p, dims) = (args.first()?, args.float(order, 2.0)?, dimensions(args)?);
    let (keep, kind) = (args.truth("keepdim", false)?, args.kind("dtype")?);
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let x = kind.map_or_else(|| Ok(x.shallow_clone()), |kind| x.f_to_kind(kind))?;
        let every: Vec<i64> = (0..x.dim() as i64).collect();
        x.f_norm_scalaropt_dim(p, dims.as_deref().unwrap_or(&every), keep)
    })
}

fn cumsum(args: &mut Args) -> Lowered {
    let (x, dim, kind) = (args.first()?, args.fixed("dim", 0)?, args.kind("dtype")?);
    one(move |frame| wide(frame.tensor(x)?)?.f_cumsum(dim, kind))
}

fn prod(args: &mut Args) -> Lowered {
    let (x, dim, keep) = (args.first()?, args.fixed("dim", 0)?, args.truth("keepdim", false)?);
    let kind = args.kind("dtype")?;
    one(move |frame| wide(frame.tensor(x)?)?.f_prod_dim_int(dim, keep, kind))
}

fn place(args: &mut Args, largest: bool) -> Lowered {
    let (x, dim, keep) = (args.first()?, args.optional_float("dim")?, args.truth("keepdim", false)?);
    let dim = dim.map(|dim| dim as i64);
    one(move |frame| match largest {
        true => frame.tensor(x)?.f_argmax(dim, keep),
        false => frame.tensor(x)?.f_argmin(dim, keep),
    })
}
