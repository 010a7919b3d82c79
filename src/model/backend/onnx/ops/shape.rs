//! Other shapes of the same values, joins, splits, padding, and tensors made of numbers.

use tch::{Device, Kind, TchError, Tensor};

use super::super::tensors::kind;
use super::{Whole, integers, known, together};
use crate::model::backend::graph::{Args, Lower, Lowered, MOST_VALUES, Rule, many, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("Reshape", reshape),
    ("Flatten", flatten),
    ("Transpose", transpose),
    ("Squeeze", squeeze),
    ("Unsqueeze", unsqueeze),
    ("Expand", expand),
    ("Tile", tile),
    ("Concat", concat),
    ("Split", split),
    ("Slice", slice),
    ("Pad", pad),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", space_to_depth),
    ("Shape", shape),
    ("Size", size),
    ("Range", range),
    ("ConstantOfShape", constant_of_shape),
    ("Trilu", trilu),
    ("EyeLike", eye_like),
];

fn reshape(args: &mut Args) -> Lowered {
    let (x, shape) = (args.slot("0")?, args.slot("1")?);
    let zero = args.truth("allowzero", false)?;
    let fixed = known(args, shape);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let mut shape = fixed.clone().map_or_else(|| integers(frame, shape), Ok)?;
        if !zero {
            for (place, side) in shape.iter_mut().enumerate().filter(|(_, side)| **side == 0) {
                *side = x.size().get(place).copied().unwrap_or(0);
            }
        }
        x.f_reshape(&shape)
    })
}

fn flatten(args: &mut Args) -> Lowered {
    let (x, axis) = (args.slot("0")?, args.fixed("axis", 1)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let size = x.size();
        let axis = if axis < 0 { axis + size.len() as i64 } else { axis } as usize;
        let rows: i64 = size.iter().take(axis).product();
        x.f_reshape([rows, size.iter().skip(axis).product()])
    })
}

fn transpose(args: &mut Args) -> Lowered {
    let (x, order) = (args.slot("0")?, args.optional_fixed_ints("perm")?);
    if let Some(order) = &order {
        args.rule = Rule::Permuted(order.clone());
    }
    one(move |frame| {
        let x = frame.tensor(x)?;
        let reversed: Vec<i64> = (0..x.dim() as i64).rev().collect();
        x.f_permute(order.as_ref().unwrap_or(&reversed))
    })
}

fn squeeze(args: &mut Args) -> Lowered {
    let (x, axes) = (args.slot("0")?, Whole::read(args, "axes", "1")?);
    one(move |frame| match &axes {
        Some(axes) => frame.tensor(x)?.f_squeeze_dims(axes.get(frame)?),
        None => frame.tensor(x)?.f_squeeze(),
    })
}

fn unsqueeze(args: &mut Args) -> Lowered {
    let (x, axes) = (args.slot("0")?, Whole::read(args, "axes", "1")?.ok_or("lacks the axes")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let axes = axes.get(frame)?;
        let rank = (x.dim() + axes.len()) as i64;
        let mut axes: Vec<i64> = axes.into_iter().map(|axis| if axis < 0 { axis + rank } else { axis }).collect();
        axes.sort_unstable();
        axes.into_iter().try_fold(x.shallow_clone(), |x, axis| x.f_unsqueeze(axis))
    })
}

/// To the shape that both have when each is stretched to the other.
fn expand(args: &mut Args) -> Lowered {
    let (x, shape) = (args.slot("0")?, args.slot("1")?);
    one(move |frame| {
        let (x, shape) = (frame.tensor(x)?, integers(frame, shape)?);
        let rank = shape.len().max(x.dim());
        let side = |sizes: &[i64], place: usize| (place + sizes.len()).checked_sub(rank).map_or(1, |at| sizes[at]);
        let sizes = x.size();
        let both: Vec<i64> = (0..rank)
            .map(|place| match (side(&sizes, place), side(&shape, place)) {
                (1, other) => other,
                (length, _) => length,
            })
            .collect();
        x.f_expand(&both, false)
    })
}

fn tile(args: &mut Args) -> Lowered {
    let (x, repeats) = (args.slot("0")?, args.slot("1")?);
    one(move |frame| frame.tensor(x)?.f_repeat(integers(frame, repeats)?))
}

fn concat(args: &mut Args) -> Lowered {
    let axis = args.fixed("axis", 0)?;
    let mut slots = vec![args.slot("0")?];
    while let Some(slot) = args.optional(&slots.len().to_string())? {
        slots.push(slot);
    }
    one(move |frame| {
        let tensors = frame.tensors(&slots)?;
        let device =
            tensors.iter().map(|tensor| tensor.device()).find(|device| *device != Device::Cpu).unwrap_or(Device::Cpu);
        let same: Result<Vec<Tensor>, TchError> = tensors.iter().map(|tensor| tensor.f_to_device(device)).collect();
        Tensor::f_cat(&same?, axis)
    })
}

fn split(args: &mut Args) -> Lowered {
    let (x, axis) = (args.slot("0")?, args.fixed("axis", 0)?);
    let (sizes, parts) = (Whole::read(args, "split", "1")?, args.fixed("~outputs", 1)?);
    args.ignore(&["num_outputs"]);
    many(move |frame| {
        let x = frame.tensor(x)?;
        match &sizes {
            Some(sizes) => x.f_split_with_sizes(sizes.get(frame)?, axis),
            None => {
                let side = x.size()[axis.rem_euclid(x.dim() as i64) as usize];
                x.f_split((side + parts - 1) / parts.max(1), axis)
            }
        }
    })
}

fn slice(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    let starts = Whole::read(args, "starts", "1")?.ok_or("lacks the starts")?;
    let ends = Whole::read(args, "ends", "2")?.ok_or("lacks the ends")?;
    let (axes, steps) = (Whole::read(args, "axes", "3")?, args.optional("4")?);
    one(move |frame| {
        let (starts, ends) = (starts.get(frame)?, ends.get(frame)?);
        let axes = axes.as_ref().map(|axes| axes.get(frame)).transpose()?;
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = steps.map(|slot| integers(frame, slot)).transpose()?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(refuse("starts, ends, axes and steps are not equally many"));
        }
        let mut y = frame.tensor(x)?.shallow_clone();
        for place in 0..starts.len() {
            y = sliced(&y, axes[place], starts[place], ends[place], steps[place])?;
        }
        Ok(y)
    })
}

/// Steps may go backwards, which libtorch's slices do not.
fn sliced(x: &Tensor, axis: i64, start: i64, end: i64, step: i64) -> Result<Tensor, TchError> {
    if step > 0 {
        return x.f_slice(axis, start, end, step);
    }
    let side = x.size()[axis.rem_euclid(x.dim().max(1) as i64) as usize];
    let absolute = |place: i64| if place < 0 { place.saturating_add(side) } else { place };
    let (first, last) = (absolute(start).min(side - 1), absolute(end).max(-1));
    let places: Vec<i64> = (0..).map(|count| first + count * step).take_while(|&place| place > last).collect();
    x.f_index_select(axis, &Tensor::from_slice(&places).f_to_device(x.device())?)
}

fn pad(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    let (pads, mode) = (Whole::read(args, "pads", "1")?.ok_or("lacks the pads")?, args.text("mode", "constant")?);
    let (fixed, value, axes) = (args.optional_float("value")?, args.optional("2")?, args.optional("3")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let pads = pads.get(frame)?;
        let axes = axes.map(|slot| integers(frame, slot)).transpose()?.unwrap_or_else(|| (0..x.dim() as i64).collect());
        if pads.len() != 2 * axes.len() {
            return Err(refuse("pads and axes are not equally many"));
        }
        let mut sides = vec![0; 2 * x.dim()];
        for (place, axis) in axes.iter().enumerate() {
            // libtorch lists padding from the last dimension on.
            let from_last = x.dim() - 1 - axis.rem_euclid(x.dim() as i64) as usize;
            (sides[2 * from_last], sides[2 * from_last + 1]) = (pads[place], pads[axes.len() + place]);
        }
        while sides.len() > 2 && sides.ends_with(&[0, 0]) {
            sides.truncate(sides.len() - 2);
        }
        if sides.iter().all(|&side| side == 0) {
            return Ok(x.shallow_clone());
        }
        let value = match (fixed, frame.optional(value)?) {
            (Some(value), _) => value,
            (None, Some(value)) => value.f_reshape([-1])?.f_double_value(&[0])?,
            (None, None) => 0.0,
        };
        match mode.as_str() {
            "constant" => x.f_pad(&sides, "constant", value),
            "reflect" => x.f_pad(&sides, "reflect", None),
            "edge" => x.f_pad(&sides, "replicate", None),
            other => Err(refuse(format!("padding by the mode `{other}` is not supported"))),
        }
    })
}

fn depth_to_space(args: &mut Args) -> Lowered {
    let (x, block, mode) = (args.slot("0")?, args.fixed("blocksize", 1)?, args.text("mode", "DCR")?);
    args.rule = Rule::Second;
    one(move |frame| {
        let x = frame.tensor(x)?;
        if mode == "CRD" {
            return x.f_pixel_shuffle(block);
        }
        let (n, c, h, w) = x.size4()?;
        let parts = x.f_reshape([n, block, block, c / (block * block), h, w])?.f_permute([0, 3, 4, 1, 5, 2])?;
        parts.f_reshape([n, c / (block * block), h * block, w * block])
    })
}

fn space_to_depth(args: &mut Args) -> Lowered {
    let (x, block) = (args.slot("0")?, args.fixed("blocksize", 1)?);
    args.rule = Rule::Second;
    one(move |frame| {
        let x = frame.tensor(x)?;
        let (n, c, h, w) = x.size4()?;
        let parts = x.f_reshape([n, c, h / block, block, w / block, block])?.f_permute([0, 3, 5, 1, 2, 4])?;
        parts.f_reshape([n, c * block * block, h / block, w / block])
    })
}

/// Sizes stay on the CPU.
fn shape(args: &mut Args) -> Lowered {
    let (x, start, end) = (args.slot("0")?, args.fixed("start", 0)?, args.optional_float("end")?);
    one(move |frame| {
        let size = frame.tensor(x)?.size();
        Tensor::from_slice(&size).f_slice(0, start, end.map_or(size.len() as i64, |end| end as i64), 1)
    })
}

fn size(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    one(move |frame| Tensor::f_scalar_tensor(frame.tensor(x)?.numel() as i64, (Kind::Int64, Device::Cpu)))
}

fn range(args: &mut Args) -> Lowered {
    let (start, end, step) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    let device = args.builder.compute.device;
    one(move |frame| {
        let kind = frame.tensor(start)?.kind();
        let value = |slot| frame.tensor(slot)?.f_reshape([-1])?.f_double_value(&[0]);
        let (start, end, step) = (value(start)?, value(end)?, value(step)?);
        let count = (end - start) / step;
        if !count.is_finite() || count > MOST_VALUES as f64 {
            return Err(refuse("a range is too long"));
        }
        Tensor::f_arange_start_step(start, end, step, (Kind::Double, device))?.f_to_kind(kind)
    })
}

fn constant_of_shape(args: &mut Args) -> Lowered {
    let (shape, value) = (args.slot("0")?, args.optional("value")?);
    let device = args.builder.compute.device;
    one(move |frame| {
        let shape = integers(frame, shape)?;
        let count = shape.iter().try_fold(1i64, |count, &side| count.checked_mul(side.max(0)));
        if count.is_none_or(|count| count > MOST_VALUES) {
            return Err(refuse(format!("a tensor of shape {shape:?} is too large")));
        }
        match frame.optional(value)? {
            Some(value) => value.f_to_device(device)?.f_reshape([1])?.f_expand(&shape, false)?.f_contiguous(),
            None => Tensor::f_zeros(&shape, (Kind::Float, device)),
        }
    })
}

fn trilu(args: &mut Args) -> Lowered {
    let (x, k, upper) = (args.slot("0")?, args.optional("1")?, args.truth("upper", true)?);
    one(move |frame| {
        let k = k.map(|slot| integers(frame, slot)).transpose()?.and_then(|k| k.first().copied()).unwrap_or(0);
        if upper { frame.tensor(x)?.f_triu(k) } else { frame.tensor(x)?.f_tril(k) }
    })
}

fn eye_like(args: &mut Args) -> Lowered {
    let (x, k, code) = (args.slot("0")?, args.fixed("k", 0)?, args.optional_float("dtype")?);
    if k != 0 {
        return Err("shifts the diagonal, which is not supported".to_owned());
    }
    one(move |frame| {
        let x = frame.tensor(x)?;
        let (rows, columns) = x.size2()?;
        let kind = code.and_then(|code| kind(code as i64)).unwrap_or(x.kind());
        let eye = Tensor::f_eye_m(rows, columns, (kind, x.device()))?;
        together(&eye, x).map(|[eye, _]| eye)
    })
}
