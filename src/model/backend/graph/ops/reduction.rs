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
    ("aten.prod.default", |args| all(args, |x| x.f_prod(None))),
    ("aten.trace.default", |args| all(args, |x| x.f_trace())),
    ("aten.nanmean.default", |args| over(args, |x, dims, keep| x.f_nanmean(dims, keep, None))),
    ("aten.nansum.default", |args| over(args, |x, dims, keep| x.f_nansum(dims, keep, None))),
    ("aten.all.dims", |args| over(args, |x, dims, keep| x.f_all_dims(dims, keep))),
    ("aten.count_nonzero.dim_IntList", count_nonzero),
    ("aten.count_nonzero.default", count_nonzero),
    ("aten.var_mean.default", |args| spread_and_mean(args, false)),
    ("aten.std_mean.default", |args| spread_and_mean(args, true)),
    ("aten.linalg_norm.default", linalg_norm),
    ("aten.nanmedian.default", |args| all(args, |x| x.f_nanmedian())),
    ("aten.msort.default", |args| all(args, |x| x.f_msort())),
    ("aten.frobenius_norm.dim", |args| norm(args, "p")),
    ("aten.norm.ScalarOpt_dim_dtype", |args| norm(args, "p")),
    ("aten.norm.ScalarOpt_dtype", |args| norm(args, "p")),
    ("aten.cumprod.default", cumprod),
    ("aten.logcumsumexp.default", logcumsumexp),
    ("aten.cummax.default", |args| running(args, |x, dim| x.f_cummax(dim))),
    ("aten.cummin.default", |args| running(args, |x, dim| x.f_cummin(dim))),
    ("aten.median.dim", |args| chosen(args, |x, dim, keep| x.f_median_dim(dim, keep))),
    ("aten.nanmedian.dim", |args| chosen(args, |x, dim, keep| x.f_nanmedian_dim(dim, keep))),
    ("aten.mode.default", |args| chosen(args, |x, dim, keep| x.f_mode(dim, keep))),
    ("aten.median.default", |args| all(args, |x| x.f_median())),
    ("aten.aminmax.default", aminmax),
    ("aten.diff.default", diff),
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

/// Of vectors; with an order and two dimensions it is a matrix norm.
fn linalg_norm(args: &mut Args) -> Lowered {
    let ordered = args.take("ord").is_some();
    let along = args.optional_fixed_ints("dim")?;
    if ordered && along.is_none_or(|dims| dims.len() != 1) {
        return Err("is the norm of a matrix, which is not supported; use torch.linalg.vector_norm".to_owned());
    }
    norm(args, "ord")
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

fn cumprod(args: &mut Args) -> Lowered {
    let (x, dim, kind) = (args.first()?, args.fixed("dim", 0)?, args.kind("dtype")?);
    one(move |frame| wide(frame.tensor(x)?)?.f_cumprod(dim, kind))
}

fn logcumsumexp(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    one(move |frame| wide(frame.tensor(x)?)?.f_logcumsumexp(dim))
}

type Pair = Result<(Tensor, Tensor), TchError>;

fn running(args: &mut Args, compute: fn(&Tensor, i64) -> Pair) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    many(move |frame| {
        let (values, places) = compute(frame.tensor(x)?, dim)?;
        Ok(vec![values, places])
    })
}

fn chosen(args: &mut Args, compute: fn(&Tensor, i64, bool) -> Pair) -> Lowered {
    let (x, dim, keep) = (args.first()?, args.fixed("dim", -1)?, args.truth("keepdim", false)?);
    many(move |frame| {
        let (values, places) = compute(frame.tensor(x)?, dim, keep)?;
        Ok(vec![values, places])
    })
}

fn aminmax(args: &mut Args) -> Lowered {
    let (x, dim, keep) = (args.first()?, args.optional_float("dim")?, args.truth("keepdim", false)?);
    let dim = dim.map(|dim| dim as i64);
    many(move |frame| {
        let (least, most) = frame.tensor(x)?.f_aminmax(dim, keep)?;
        Ok(vec![least, most])
    })
}

fn count_nonzero(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, dimensions(args)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        match &dims {
            Some(dims) => x.f_count_nonzero_dim_intlist(dims),
            None => x.f_count_nonzero(None),
        }
    })
}

fn diff(args: &mut Args) -> Lowered {
    let (x, n, dim) = (args.first()?, args.fixed("n", 1)?, args.fixed("dim", -1)?);
    let (before, after) = (args.optional("prepend")?, args.optional("append")?);
    one(move |frame| frame.tensor(x)?.f_diff(n, dim, frame.optional(before)?, frame.optional(after)?))
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
