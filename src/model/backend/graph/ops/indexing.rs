//! Choosing elements by their places, and putting elements in places.

use tch::{TchError, Tensor};

use super::super::{Args, Frame, Lower, Lowered, Resolved, Slot, many, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.index.Tensor", index),
    ("aten._unsafe_index.Tensor", index),
    ("aten.index_put.default", index_put),
    ("aten._unsafe_index_put.default", index_put),
    ("aten.index_select.default", index_select),
    ("aten.embedding.default", embedding),
    ("aten.gather.default", gather),
    ("aten.take_along_dim.default", take_along),
    ("aten.scatter.src", scatter),
    ("aten.scatter.value", scatter_value),
    ("aten.scatter_add.default", scatter_add),
    ("aten.select_scatter.default", select_scatter),
    ("aten.slice_scatter.default", slice_scatter),
    ("aten.topk.default", topk),
    ("aten.sort.default", sort),
    ("aten.argsort.default", argsort),
    ("aten.one_hot.default", one_hot),
    ("aten.bucketize.Tensor", bucketize),
    ("aten.copy.default", copy),
    ("aten.index_add.default", index_add),
    ("aten.index_fill.int_Scalar", index_fill),
    ("aten.index_fill.int_Tensor", index_fill),
    ("aten.index_copy.default", index_copy),
    ("aten.masked_scatter.default", masked_scatter),
    ("aten.scatter_reduce.two", scatter_reduce),
    ("aten.take.default", take),
    ("aten.searchsorted.Tensor", searchsorted),
    ("aten.diagonal_scatter.default", diagonal_scatter),
    ("aten.kthvalue.default", kth),
    ("aten.sort.stable", sort),
    ("aten.argsort.stable", argsort),
];

fn indices<'f>(frame: &'f Frame, slots: &[Option<Slot>]) -> Result<Vec<Option<&'f Tensor>>, TchError> {
    slots.iter().map(|slot| frame.optional(*slot)).collect()
}

fn index(args: &mut Args) -> Lowered {
    let (x, slots) = (args.first()?, args.optional_slots("indices")?);
    one(move |frame| frame.tensor(x)?.f_index(&indices(frame, &slots)?))
}

fn index_put(args: &mut Args) -> Lowered {
    let (x, slots, values) = (args.first()?, args.optional_slots("indices")?, args.slot("values")?);
    let accumulate = args.truth("accumulate", false)?;
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_index_put(&indices(frame, &slots)?, &frame.tensor(values)?.f_to_kind(x.kind())?, accumulate)
    })
}

fn index_select(args: &mut Args) -> Lowered {
    let (x, dim, places) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?);
    one(move |frame| frame.tensor(x)?.f_index_select(dim, frame.tensor(places)?))
}

fn embedding(args: &mut Args) -> Lowered {
    let (weight, places) = (args.slot("weight")?, args.slot("indices")?);
    args.ignore(&["padding_idx", "scale_grad_by_freq", "sparse"]);
    one(move |frame| Tensor::f_embedding(frame.tensor(weight)?, frame.tensor(places)?, -1, false, false))
}

fn gather(args: &mut Args) -> Lowered {
    let (x, dim, places) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?);
    args.ignore(&["sparse_grad"]);
    one(move |frame| frame.tensor(x)?.f_gather(dim, frame.tensor(places)?, false))
}

fn take_along(args: &mut Args) -> Lowered {
    let (x, places) = (args.first()?, args.slot("indices")?);
    let dim = args.fixed("dim", 0)?;
    one(move |frame| frame.tensor(x)?.f_take_along_dim(frame.tensor(places)?, dim))
}

fn scatter(args: &mut Args) -> Lowered {
    let (x, dim, places, from) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.slot("src")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_scatter(dim, frame.tensor(places)?, &frame.tensor(from)?.f_to_kind(x.kind())?)
    })
}

fn scatter_value(args: &mut Args) -> Lowered {
    let (x, dim, places, value) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.number("value")?);
    one(move |frame| frame.tensor(x)?.f_scatter_value(dim, frame.tensor(places)?, value.get(frame)?))
}

fn scatter_add(args: &mut Args) -> Lowered {
    let (x, dim, places, from) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.slot("src")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_scatter_add(dim, frame.tensor(places)?, &frame.tensor(from)?.f_to_kind(x.kind())?)
    })
}

fn index_add(args: &mut Args) -> Lowered {
    let (x, dim, places, from) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.slot("source")?);
    let alpha = args.float("alpha", 1.0)?;
    one(move |frame| {
        let x = frame.tensor(x)?;
        let from = frame.tensor(from)?.f_to_kind(x.kind())?;
        x.f_index_add(dim, frame.tensor(places)?, &if alpha == 1.0 { from } else { from.f_mul_scalar(alpha)? })
    })
}

fn index_fill(args: &mut Args) -> Lowered {
    let (x, dim, places, value) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.operand("value")?);
    one(move |frame| match value.get(frame)? {
        Resolved::Tensor(value) => frame.tensor(x)?.f_index_fill_int_tensor(dim, frame.tensor(places)?, value),
        Resolved::Scalar(value) => frame.tensor(x)?.f_index_fill(dim, frame.tensor(places)?, value),
    })
}

fn index_copy(args: &mut Args) -> Lowered {
    let (x, dim, places, from) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.slot("source")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_index_copy(dim, frame.tensor(places)?, &frame.tensor(from)?.f_to_kind(x.kind())?)
    })
}

fn masked_scatter(args: &mut Args) -> Lowered {
    let (x, mask, from) = (args.first()?, args.slot("mask")?, args.slot("source")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_masked_scatter(frame.tensor(mask)?, &frame.tensor(from)?.f_to_kind(x.kind())?)
    })
}

/// How values that go to the same place become one.
#[derive(Clone, Copy)]
enum Reduction {
    Sum,
    Product,
    Mean,
    Largest,
    Smallest,
}

fn scatter_reduce(args: &mut Args) -> Lowered {
    let (x, dim, places, from) = (args.first()?, args.fixed("dim", 0)?, args.slot("index")?, args.slot("src")?);
    let (how, with_own) = (args.text("reduce", "sum")?, args.truth("include_self", true)?);
    let how = match how.as_str() {
        "sum" => Reduction::Sum,
        "prod" => Reduction::Product,
        "mean" => Reduction::Mean,
        "amax" => Reduction::Largest,
        "amin" => Reduction::Smallest,
        _ => return Err(format!("reduces by `{how}`; `sum`, `prod`, `mean`, `amax` and `amin` are known")),
    };
    one(move |frame| {
        let (x, places) = (frame.tensor(x)?, frame.tensor(places)?);
        let from = frame.tensor(from)?.f_to_kind(x.kind())?;
        // How many values go to each place.
        let sent = || x.f_zeros_like()?.f_scatter_add(dim, places, &from.f_ones_like()?);
        let base =
            |rest: f64| if with_own { Ok(x.shallow_clone()) } else { x.f_masked_fill(&sent()?.f_gt(0.0)?, rest) };
        match how {
            Reduction::Sum => base(0.0)?.f_scatter_add(dim, places, &from),
            Reduction::Product => base(1.0)?.f_scatter_reduce(dim, places, &from, "multiply"),
            Reduction::Mean => {
                let count = if with_own { sent()?.f_add_scalar(1.0)? } else { sent()?.f_clamp_min(1.0)? };
                base(0.0)?.f_scatter_add(dim, places, &from)?.f_div(&count)
            }
            Reduction::Largest => largest(&base(f64::NEG_INFINITY)?, dim, places, &from),
            Reduction::Smallest => largest(&base(f64::INFINITY)?.f_neg()?, dim, places, &from.f_neg()?)?.f_neg(),
        }
    })
}

/// The largest of the values that `places` sends to each place of `x` along `dim`, and of the one that is there.
fn largest(x: &Tensor, dim: i64, places: &Tensor, from: &Tensor) -> Result<Tensor, TchError> {
    let [x, places, from] = [x, places, from].map(|tensor| tensor.f_transpose(dim, -1));
    let (x, places, from) = (x?, places?, from?);
    if places.size() != from.size() || x.size()[..x.dim() - 1] != places.size()[..x.dim() - 1] {
        return Err(refuse("scatters from a part of the rows, which is not supported"));
    }
    let targets = Tensor::f_arange(x.size()[x.dim() - 1], (places.kind(), places.device()))?;
    let elsewhere = places.f_unsqueeze(-1)?.f_ne_tensor(&targets)?;
    let sent = from.f_unsqueeze(-1)?.f_masked_fill(&elsewhere, f64::NEG_INFINITY)?;
    Tensor::f_cat(&[x.f_unsqueeze(-2)?, sent], -2)?.f_amax([-2], false)?.f_transpose(dim, -1)
}

fn take(args: &mut Args) -> Lowered {
    let (x, places) = (args.first()?, args.slot("index")?);
    one(move |frame| frame.tensor(x)?.f_take(frame.tensor(places)?))
}

fn searchsorted(args: &mut Args) -> Lowered {
    let (sorted, x) = (args.slot("sorted_sequence")?, args.slot("self")?);
    let (narrow, right) = (args.truth("out_int32", false)?, args.truth("right", false)?);
    let right = right || args.text("side", "left")? == "right";
    one(move |frame| {
        let side = if right { "right" } else { "left" };
        frame.tensor(x)?.f_searchsorted(frame.tensor(sorted)?, narrow, right, side, None::<Tensor>)
    })
}

fn diagonal_scatter(args: &mut Args) -> Lowered {
    let (x, from, offset) = (args.first()?, args.slot("src")?, args.fixed("offset", 0)?);
    let (a, b) = (args.fixed("dim1", 0)?, args.fixed("dim2", 1)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_diagonal_scatter(&frame.tensor(from)?.f_to_kind(x.kind())?, offset, a, b)
    })
}

fn kth(args: &mut Args) -> Lowered {
    let (x, k) = (args.first()?, args.fixed("k", 1)?);
    let (dim, keep) = (args.fixed("dim", -1)?, args.truth("keepdim", false)?);
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_kthvalue(k, dim, keep)?;
        Ok(vec![values, places])
    })
}

fn select_scatter(args: &mut Args) -> Lowered {
    let (x, from, dim, place) = (args.first()?, args.slot("src")?, args.fixed("dim", 0)?, args.int("index")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_select_scatter(&frame.tensor(from)?.f_to_kind(x.kind())?, dim, place.get(frame)?)
    })
}

fn slice_scatter(args: &mut Args) -> Lowered {
    let (x, from, dim) = (args.first()?, args.slot("src")?, args.fixed("dim", 0)?);
    let (start, end, step) = (args.optional_int("start")?, args.optional_int("end")?, args.fixed("step", 1)?);
    one(move |frame| {
        let get = |int: Option<super::super::Int>| int.map(|int| int.get(frame)).transpose();
        let x = frame.tensor(x)?;
        x.f_slice_scatter(&frame.tensor(from)?.f_to_kind(x.kind())?, dim, get(start)?, get(end)?, step)
    })
}

fn topk(args: &mut Args) -> Lowered {
    let (x, k, dim) = (args.first()?, args.int("k")?, args.fixed("dim", -1)?);
    let (largest, sorted) = (args.truth("largest", true)?, args.truth("sorted", true)?);
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_topk(k.get(frame)?, dim, largest, sorted)?;
        Ok(vec![values, places])
    })
}

fn sort(args: &mut Args) -> Lowered {
    let (x, dim, descending) = (args.first()?, args.fixed("dim", -1)?, args.truth("descending", false)?);
    args.ignore(&["stable"]);
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_sort(dim, descending)?;
        Ok(vec![values, places])
    })
}

fn argsort(args: &mut Args) -> Lowered {
    let (x, dim, descending) = (args.first()?, args.fixed("dim", -1)?, args.truth("descending", false)?);
    args.ignore(&["stable"]);
    one(move |frame| frame.tensor(x)?.f_argsort(dim, descending))
}

fn one_hot(args: &mut Args) -> Lowered {
    let (x, classes) = (args.first()?, args.fixed("num_classes", -1)?);
    one(move |frame| frame.tensor(x)?.f_one_hot(classes))
}

fn bucketize(args: &mut Args) -> Lowered {
    let (x, bounds) = (args.slot("self")?, args.slot("boundaries")?);
    let (narrow, right) = (args.truth("out_int32", false)?, args.truth("right", false)?);
    one(move |frame| frame.tensor(x)?.f_bucketize(frame.tensor(bounds)?, narrow, right))
}

/// What `copy_` leaves in the first argument.
fn copy(args: &mut Args) -> Lowered {
    let (x, from) = (args.first()?, args.slot("src")?);
    args.ignore(&["non_blocking"]);
    one(move |frame| {
        let x = frame.tensor(x)?;
        frame.tensor(from)?.f_to_kind(x.kind())?.f_expand(x.size(), false)?.f_contiguous()
    })
}
