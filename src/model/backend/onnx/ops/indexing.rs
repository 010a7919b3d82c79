//! Choosing elements by their places, and putting elements in places.

use tch::{Kind, TchError, Tensor};

use super::together;
use crate::model::backend::graph::{Args, Lower, Lowered, Part, Value, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("ScatterND", scatter_nd),
    ("ScatterElements", scatter_elements),
    ("OneHot", one_hot),
];

/// Places from the end as places from the start, beside `x` on its device.
fn places(x: &Tensor, places: &Tensor, side: i64) -> Result<[Tensor; 2], TchError> {
    let [x, places] = together(x, &places.f_to_kind(Kind::Int64)?)?;
    let places = places.f_where_self(&places.f_ge(0)?, &places.f_add_scalar(side)?)?;
    Ok([x, places])
}

fn gather(args: &mut Args) -> Lowered {
    let (x, indices, axis) = (args.slot("0")?, args.slot("1")?, args.fixed("axis", 0)?);
    if let Some(Value::Tensor(place)) = args.builder.constant(indices)
        && place.dim() == 0
        && let Ok(index) = place.f_int64_value(&[])
    {
        args.part = Part::Selection { input: x, dim: axis, index };
    }
    one(move |frame| {
        let x = frame.tensor(x)?;
        let axis = axis.rem_euclid(x.dim().max(1) as i64);
        let size = x.size();
        let indices = frame.tensor(indices)?;
        let side =
            size.get(axis as usize).copied().ok_or_else(|| refuse("gathers from a tensor without dimensions"))?;
        let [x, flat] = places(x, &indices.f_reshape([-1])?, side)?;
        let mut shape = size[..axis as usize].to_vec();
        shape.extend(indices.size());
        shape.extend(&size[axis as usize + 1..]);
        x.f_index_select(axis, &flat)?.f_reshape(&shape)
    })
}

fn gather_elements(args: &mut Args) -> Lowered {
    let (x, indices, axis) = (args.slot("0")?, args.slot("1")?, args.fixed("axis", 0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let side = x.size()[axis.rem_euclid(x.dim().max(1) as i64) as usize];
        let [x, places] = places(x, frame.tensor(indices)?, side)?;
        x.f_gather(axis, &places, false)
    })
}

/// The last dimension of `indices` as one tensor of places for each dimension that it tells.
fn apart(indices: &Tensor) -> Result<Vec<Option<Tensor>>, TchError> {
    Ok(indices.f_to_kind(Kind::Int64)?.f_unbind(-1)?.into_iter().map(Some).collect())
}

fn gather_nd(args: &mut Args) -> Lowered {
    let (x, indices) = (args.slot("0")?, args.slot("1")?);
    if args.fixed("batch_dims", 0)? != 0 {
        return Err("gathers by batch dimensions, which is not supported".to_owned());
    }
    one(move |frame| {
        let [x, indices] = together(frame.tensor(x)?, frame.tensor(indices)?)?;
        x.f_index(&apart(&indices)?)
    })
}

fn scatter_nd(args: &mut Args) -> Lowered {
    let (x, indices, updates) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    if args.text("reduction", "none")? != "none" {
        return Err("combines what it scatters, which is not supported".to_owned());
    }
    one(move |frame| {
        let [x, indices] = together(frame.tensor(x)?, frame.tensor(indices)?)?;
        let [x, updates] = together(&x, frame.tensor(updates)?)?;
        x.f_index_put(&apart(&indices)?, &updates.f_to_kind(x.kind())?, false)
    })
}

fn scatter_elements(args: &mut Args) -> Lowered {
    let (x, indices, updates) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    let axis = args.fixed("axis", 0)?;
    if args.text("reduction", "none")? != "none" {
        return Err("combines what it scatters, which is not supported".to_owned());
    }
    one(move |frame| {
        let x = frame.tensor(x)?;
        let side = x.size()[axis.rem_euclid(x.dim().max(1) as i64) as usize];
        let [x, places] = places(x, frame.tensor(indices)?, side)?;
        x.f_scatter(axis, &places, &frame.tensor(updates)?.f_to_kind(x.kind())?)
    })
}

fn one_hot(args: &mut Args) -> Lowered {
    let (indices, depth, values, axis) = (args.slot("0")?, args.slot("1")?, args.slot("2")?, args.fixed("axis", -1)?);
    one(move |frame| {
        let depth = super::integers(frame, depth)?.first().copied().unwrap_or(0);
        let values = frame.tensor(values)?;
        let indices = frame.tensor(indices)?.f_to_kind(Kind::Int64)?.f_remainder(depth)?;
        let hot = indices.f_one_hot(depth)?.f_to_kind(values.kind())?;
        let (off, on) = (values.f_select(0, 0)?, values.f_select(0, 1)?);
        let filled = hot.f_mul(&on.f_sub(&off)?)?.f_add(&off)?;
        if axis == -1 { Ok(filled) } else { filled.f_movedim_int(-1, axis) }
    })
}
