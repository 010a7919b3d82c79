//! Numbers that depend on the images' number and size, and checks on them.

use tch::TchError;

use super::super::{Args, Frame, Lower, Lowered, Number, Value, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.sym_size.int", size),
    ("aten.size.int", size),
    ("aten.sym_numel.default", numel),
    ("aten.sym_stride.int", stride),
    ("aten.sym_storage_offset.default", beginning),
    ("_operator.add", |args| arithmetic(args, i64::checked_add, |a, b| a + b)),
    ("_operator.sub", |args| arithmetic(args, i64::checked_sub, |a, b| a - b)),
    ("_operator.mul", |args| arithmetic(args, i64::checked_mul, |a, b| a * b)),
    ("_operator.floordiv", |args| arithmetic(args, floor_div, |a, b| (a / b).floor())),
    ("_operator.mod", |args| arithmetic(args, i64::checked_rem_euclid, |a, b| a.rem_euclid(b))),
    ("_operator.pow", |args| arithmetic(args, power, f64::powf)),
    ("_operator.truediv", |args| real(args, |a, b| a / b)),
    ("_operator.neg", |args| convert(args, |value| -value, true)),
    ("_operator.eq", |args| truth(args, |a, b| a == b)),
    ("_operator.ne", |args| truth(args, |a, b| a != b)),
    ("_operator.gt", |args| truth(args, |a, b| a > b)),
    ("_operator.ge", |args| truth(args, |a, b| a >= b)),
    ("_operator.lt", |args| truth(args, |a, b| a < b)),
    ("_operator.le", |args| truth(args, |a, b| a <= b)),
    ("_operator.and_", |args| truth(args, |a, b| a != 0.0 && b != 0.0)),
    ("_operator.or_", |args| truth(args, |a, b| a != 0.0 || b != 0.0)),
    ("_operator.pos", |args| convert(args, |value| value, true)),
    ("_operator.not_", |args| negated(args)),
    ("torch.sym_not", |args| negated(args)),
    ("torch.sym_ite", choice),
    ("torch.sym_sum", sum),
    ("math.sqrt", |args| convert(args, f64::sqrt, false)),
    ("math.pow", |args| real(args, f64::powf)),
    ("torch.sym_float", |args| convert(args, |value| value, false)),
    ("torch.sym_int", |args| convert(args, f64::trunc, true)),
    ("torch._sym_sqrt", |args| convert(args, f64::sqrt, false)),
    ("math.ceil", |args| convert(args, f64::ceil, true)),
    ("math.floor", |args| convert(args, f64::floor, true)),
    ("math.trunc", |args| convert(args, f64::trunc, true)),
    ("builtins.round", |args| convert(args, f64::round, true)),
    ("torch.sym_max", |args| arithmetic(args, |a, b| Some(a.max(b)), f64::max)),
    ("torch.sym_min", |args| arithmetic(args, |a, b| Some(a.min(b)), f64::min)),
];

/// Nodes that check and compute nothing: a pass that would fail them fails where their values are used.
pub fn is_check(name: &str) -> bool {
    const CHECKS: &[&str] = &[
        "aten._assert_tensor_metadata.default",
        "aten._assert_scalar.default",
        "aten._assert_async.msg",
        "aten.sym_constrain_range.default",
        "aten.sym_constrain_range_for_size.default",
        "aten._linalg_check_errors.default",
        "aten._assert_async.default",
        "aten._functional_assert_async.msg",
        "aten._functional_assert_scalar.default",
    ];
    CHECKS.contains(&name)
}

fn size(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    Ok(Box::new(move |frame| {
        let size = frame.tensor(x)?.size();
        let place = if dim < 0 { dim + size.len() as i64 } else { dim };
        let found = usize::try_from(place).ok().and_then(|place| size.get(place));
        found
            .copied()
            .map(Value::Int)
            .ok_or_else(|| refuse(format!("a tensor of shape {size:?} has no dimension {dim}")))
    }))
}

/// As if the values lay one after another: layouts are chosen here, not in the file.
fn stride(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    Ok(Box::new(move |frame| {
        let size = frame.tensor(x)?.size();
        let place = dim.rem_euclid(size.len().max(1) as i64) as usize;
        Ok(Value::Int(size.iter().skip(place + 1).product()))
    }))
}

fn beginning(args: &mut Args) -> Lowered {
    args.first()?;
    Ok(Box::new(|_| Ok(Value::Int(0))))
}

fn numel(args: &mut Args) -> Lowered {
    let x = args.first()?;
    Ok(Box::new(move |frame| Ok(Value::Int(frame.tensor(x)?.numel() as i64))))
}

fn operands(args: &mut Args) -> Result<(Number, Number), String> {
    let (Some(a), Some(b)) = (args.name(0), args.name(1)) else { return Err("lacks an operand".to_owned()) };
    Ok((args.number(&a)?, args.number(&b)?))
}

/// Whether the number is a whole one in this pass.
fn integer(number: Number, frame: &Frame) -> Result<Option<i64>, TchError> {
    Ok(match number {
        Number::Int(value) => Some(value),
        Number::Float(_) => None,
        Number::Computed(slot) => match frame.value(slot)? {
            Value::Int(value) => Some(*value),
            Value::Bool(value) => Some(i64::from(*value)),
            _ => None,
        },
    })
}

/// Whole numbers stay whole.
fn arithmetic(args: &mut Args, exact: fn(i64, i64) -> Option<i64>, inexact: fn(f64, f64) -> f64) -> Lowered {
    let (a, b) = operands(args)?;
    Ok(Box::new(move |frame| match (integer(a, frame)?, integer(b, frame)?) {
        (Some(a), Some(b)) => exact(a, b).map(Value::Int).ok_or_else(|| refuse(format!("{a} and {b} give no size"))),
        _ => Ok(Value::Float(inexact(a.float(frame)?, b.float(frame)?))),
    }))
}

fn real(args: &mut Args, compute: fn(f64, f64) -> f64) -> Lowered {
    let (a, b) = operands(args)?;
    Ok(Box::new(move |frame| Ok(Value::Float(compute(a.float(frame)?, b.float(frame)?)))))
}

fn truth(args: &mut Args, compute: fn(f64, f64) -> bool) -> Lowered {
    let (a, b) = operands(args)?;
    Ok(Box::new(move |frame| Ok(Value::Bool(compute(a.float(frame)?, b.float(frame)?)))))
}

fn convert(args: &mut Args, compute: fn(f64) -> f64, to_whole: bool) -> Lowered {
    let name = args.name(0).ok_or("lacks an operand")?;
    let number = args.number(&name)?;
    Ok(Box::new(move |frame| {
        let value = compute(number.float(frame)?);
        Ok(if to_whole { Value::Int(value as i64) } else { Value::Float(value) })
    }))
}

fn negated(args: &mut Args) -> Lowered {
    let name = args.name(0).ok_or("lacks an operand")?;
    let number = args.number(&name)?;
    Ok(Box::new(move |frame| Ok(Value::Bool(number.float(frame)? == 0.0))))
}

/// One of two numbers, by a condition on sizes.
fn choice(args: &mut Args) -> Lowered {
    let names = [args.name(0), args.name(1), args.name(2)];
    let [Some(condition), Some(yes), Some(no)] = names else { return Err("lacks an operand".to_owned()) };
    let (condition, yes, no) = (args.number(&condition)?, args.number(&yes)?, args.number(&no)?);
    Ok(Box::new(move |frame| {
        let number = if condition.float(frame)? != 0.0 { yes } else { no };
        match integer(number, frame)? {
            Some(value) => Ok(Value::Int(value)),
            None => Ok(Value::Float(number.float(frame)?)),
        }
    }))
}

fn sum(args: &mut Args) -> Lowered {
    let name = args.name(0).ok_or("lacks an operand")?;
    let terms = args.ints(&name)?;
    Ok(Box::new(move |frame| {
        let sum = terms.get(frame)?.into_iter().try_fold(0i64, i64::checked_add);
        sum.map(Value::Int).ok_or_else(|| refuse("a sum of sizes is too large"))
    }))
}

fn floor_div(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn power(a: i64, b: i64) -> Option<i64> {
    a.checked_pow(u32::try_from(b).ok()?)
}
