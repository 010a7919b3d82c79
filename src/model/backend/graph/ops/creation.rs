//! Tensors made of nothing but numbers.

use tch::{Kind, Scalar, TchError, Tensor};

use super::super::{Args, Frame, Ints, Lower, Lowered, MOST_VALUES, Number, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.zeros.default", |args| filled(args, Some(0.0), false)),
    ("aten.ones.default", |args| filled(args, Some(1.0), false)),
    ("aten.empty.memory_format", |args| filled(args, Some(0.0), false)),
    ("aten.full.default", |args| filled(args, None, false)),
    ("aten.new_zeros.default", |args| filled(args, Some(0.0), true)),
    ("aten.new_ones.default", |args| filled(args, Some(1.0), true)),
    ("aten.new_empty.default", |args| filled(args, Some(0.0), true)),
    ("aten.new_full.default", |args| filled(args, None, true)),
    ("aten.zeros_like.default", |args| like(args, Some(0.0))),
    ("aten.zero.default", |args| like(args, Some(0.0))),
    ("aten.ones_like.default", |args| like(args, Some(1.0))),
    ("aten.empty_like.default", |args| like(args, Some(0.0))),
    ("aten.full_like.default", |args| like(args, None)),
    ("aten.fill.Scalar", fill),
    ("aten.fill.Tensor", fill),
    ("aten.scalar_tensor.default", scalar_tensor),
    ("aten.arange.default", arange),
    ("aten.arange.start", arange),
    ("aten.arange.start_step", arange),
    ("aten.linspace.default", linspace),
    ("aten.eye.default", eye),
    ("aten.eye.m", eye),
    ("aten.tril.default", |args| triangle(args, true)),
    ("aten.triu.default", |args| triangle(args, false)),
    ("aten.new_empty_strided.default", |args| filled(args, Some(0.0), true)),
    ("aten.empty_strided.default", |args| filled(args, Some(0.0), false)),
    ("aten.empty_permuted.default", |args| filled(args, Some(0.0), false)),
    ("aten.tril_indices.default", |args| triangle_places(args, Tensor::f_tril_indices)),
    ("aten.triu_indices.default", |args| triangle_places(args, Tensor::f_triu_indices)),
];

/// The kind of what is made, and what does not matter here.
fn options(args: &mut Args) -> Result<Option<Kind>, String> {
    args.ignore(&["layout", "device", "pin_memory", "memory_format", "requires_grad", "stride", "physical_layout"]);
    args.kind("dtype")
}

/// Refuses sizes that no network has.
fn sane(shape: &[i64]) -> Result<(), TchError> {
    let count = shape.iter().try_fold(1i64, |count, &size| count.checked_mul(size.max(0)));
    match count.filter(|&count| count <= MOST_VALUES) {
        Some(_) => Ok(()),
        None => Err(refuse(format!("a tensor of shape {shape:?} is too large"))),
    }
}

fn value(args: &mut Args, fixed: Option<f64>) -> Result<Number, String> {
    match fixed {
        Some(value) => Ok(Number::Float(value)),
        None => args.number("fill_value"),
    }
}

/// The kind of a number in a tensor that does not say it.
fn kind_of(value: Number) -> Kind {
    match value {
        Number::Int(_) => Kind::Int64,
        _ => Kind::Float,
    }
}

/// A tensor of one value; the kind is that of the first argument if it is a `model` for it.
fn filled(args: &mut Args, fixed: Option<f64>, model: bool) -> Lowered {
    let model = if model { Some(args.first()?) } else { None };
    let (size, kind) = (args.ints("size")?, options(args)?);
    let number = value(args, fixed)?;
    let usual = if fixed.is_some() { Kind::Float } else { kind_of(number) };
    let device = args.builder.compute.device;
    one(move |frame| {
        let shape = size.get(frame)?;
        sane(&shape)?;
        let kind = match (kind, frame.optional(model)?) {
            (Some(kind), _) => kind,
            (None, Some(model)) => model.kind(),
            (None, None) => usual,
        };
        Tensor::f_full(&shape, number.get(frame)?, (kind, device))
    })
}

fn like(args: &mut Args, fixed: Option<f64>) -> Lowered {
    let (x, kind) = (args.first()?, options(args)?);
    let number = value(args, fixed)?;
    one(move |frame| {
        let x = frame.tensor(x)?;
        Tensor::f_full(x.size(), number.get(frame)?, (kind.unwrap_or(x.kind()), x.device()))
    })
}

fn fill(args: &mut Args) -> Lowered {
    let (x, value) = (args.first()?, args.operand("value")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        match value.get(frame)? {
            super::super::Resolved::Scalar(value) => Tensor::f_full(x.size(), value, (x.kind(), x.device())),
            super::super::Resolved::Tensor(value) => {
                value.f_to_kind(x.kind())?.f_expand(x.size(), false)?.f_contiguous()
            }
        }
    })
}

fn scalar_tensor(args: &mut Args) -> Lowered {
    let (value, kind) = (args.number("s")?, options(args)?);
    let device = args.builder.compute.device;
    one(move |frame| Tensor::f_scalar_tensor(value.get(frame)?, (kind.unwrap_or(Kind::Float), device)))
}

fn arange(args: &mut Args) -> Lowered {
    let (start, end) = (args.optional_number("start")?.unwrap_or(Number::Int(0)), args.number("end")?);
    let step = args.optional_number("step")?.unwrap_or(Number::Int(1));
    let kind = options(args)?;
    let device = args.builder.compute.device;
    let integral = [start, end, step].iter().all(|number| !matches!(number, Number::Float(_)));
    let kind = kind.unwrap_or(if integral { Kind::Int64 } else { Kind::Float });
    one(move |frame| {
        let float = |number: Number| number.float(frame);
        let count = (float(end)? - float(start)?) / float(step)?;
        if !count.is_finite() || count > MOST_VALUES as f64 {
            return Err(refuse("a range is too long"));
        }
        let scalar = |number: Number| -> Result<Scalar, TchError> { number.get(frame) };
        Tensor::f_arange_start_step(scalar(start)?, scalar(end)?, scalar(step)?, (kind, device))
    })
}

fn linspace(args: &mut Args) -> Lowered {
    let (start, end, steps) = (args.number("start")?, args.number("end")?, args.int("steps")?);
    let kind = options(args)?.unwrap_or(Kind::Float);
    let device = args.builder.compute.device;
    one(move |frame| {
        let steps = steps.get(frame)?;
        sane(&[steps])?;
        Tensor::f_linspace(start.get(frame)?, end.get(frame)?, steps, (kind, device))
    })
}

fn eye(args: &mut Args) -> Lowered {
    let n = args.int("n")?;
    let size = Ints(vec![n, args.optional_int("m")?.unwrap_or(n)]);
    let kind = options(args)?.unwrap_or(Kind::Float);
    let device = args.builder.compute.device;
    one(move |frame: &Frame| {
        let shape = size.get(frame)?;
        sane(&shape)?;
        Tensor::f_eye_m(shape[0], shape[1], (kind, device))
    })
}

type Places = fn(i64, i64, i64, (Kind, tch::Device)) -> Result<Tensor, TchError>;

fn triangle_places(args: &mut Args, compute: Places) -> Lowered {
    let (rows, columns, offset) = (args.fixed("row", 0)?, args.fixed("col", 0)?, args.fixed("offset", 0)?);
    let kind = options(args)?.unwrap_or(Kind::Int64);
    let device = args.builder.compute.device;
    one(move |_| {
        sane(&[rows, columns])?;
        compute(rows, columns, offset, (kind, device))
    })
}

fn triangle(args: &mut Args, lower: bool) -> Lowered {
    let (x, diagonal) = (args.first()?, args.fixed("diagonal", 0)?);
    one(move |frame| match lower {
        true => frame.tensor(x)?.f_tril(diagonal),
        false => frame.tensor(x)?.f_triu(diagonal),
    })
}
