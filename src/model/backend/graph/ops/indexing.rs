//! Choosing elements by their places, and putting elements in places.

use tch::{TchError, Tensor};

use super::super::{Args, Frame, Lower, Lowered, Slot, many, one};

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
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_sort(dim, descending)?;
        Ok(vec![values, places])
    })
}

fn argsort(args: &mut Args) -> Lowered {
    let (x, dim, descending) = (args.first()?, args.fixed("dim", -1)?, args.truth("descending", false)?);
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
