//! Arithmetic, comparisons and nonlinearities, element by element.

use tch::{Kind, TchError, Tensor};

use super::super::tensors::kind;
use super::together;
use crate::model::backend::graph::{Args, Lower, Lowered, Part, one};

/// Lowers an operator on one tensor.
macro_rules! unary {
    ($compute:expr) => {
        |args| {
            let x = args.slot("0")?;
            one(move |frame| {
                let compute: fn(&Tensor) -> Result<Tensor, TchError> = $compute;
                compute(frame.tensor(x)?)
            })
        }
    };
}

/// Lowers an operator on two tensors.
macro_rules! binary {
    ($compute:expr) => {
        |args| {
            let (x, y) = (args.slot("0")?, args.slot("1")?);
            one(move |frame| {
                let compute: fn(&Tensor, &Tensor) -> Result<Tensor, TchError> = $compute;
                let [x, y] = together(frame.tensor(x)?, frame.tensor(y)?)?;
                compute(&x, &y)
            })
        }
    };
}

pub const OPERATORS: &[(&str, Lower)] = &[
    ("Add", add),
    ("Sub", binary!(|x, y| x.f_sub(y))),
    ("Mul", binary!(|x, y| x.f_mul(y))),
    ("Div", binary!(div)),
    ("Pow", binary!(|x, y| x.f_pow(y)?.f_to_kind(x.kind()))),
    ("Equal", binary!(|x, y| x.f_eq_tensor(y))),
    ("Less", binary!(|x, y| x.f_lt_tensor(y))),
    ("LessOrEqual", binary!(|x, y| x.f_le_tensor(y))),
    ("Greater", binary!(|x, y| x.f_gt_tensor(y))),
    ("GreaterOrEqual", binary!(|x, y| x.f_ge_tensor(y))),
    ("And", binary!(|x, y| x.f_logical_and(y))),
    ("Or", binary!(|x, y| x.f_logical_or(y))),
    ("Xor", binary!(|x, y| x.f_logical_xor(y))),
    ("PRelu", binary!(|x, slope| x.f_where_self(&x.f_gt(0.0)?, &x.f_mul(slope)?))),
    ("Mod", modulo),
    ("Max", |args| several(args, |x, y| x.f_maximum(y))),
    ("Min", |args| several(args, |x, y| x.f_minimum(y))),
    ("Sum", |args| several(args, |x, y| x.f_add(y))),
    ("Mean", mean),
    ("BitwiseAnd", binary!(|x, y| x.f_bitwise_and_tensor(y))),
    ("BitwiseOr", binary!(|x, y| x.f_bitwise_or_tensor(y))),
    ("BitwiseXor", binary!(|x, y| x.f_bitwise_xor_tensor(y))),
    ("BitwiseNot", unary!(|x| x.f_bitwise_not())),
    ("Asin", unary!(|x| x.f_asin())),
    ("Acos", unary!(|x| x.f_acos())),
    ("Sinh", unary!(|x| x.f_sinh())),
    ("Cosh", unary!(|x| x.f_cosh())),
    ("Asinh", unary!(|x| x.f_asinh())),
    ("Acosh", unary!(|x| x.f_acosh())),
    ("Atanh", unary!(|x| x.f_atanh())),
    ("FastGelu", biased_gelu),
    ("BiasGelu", exact_biased_gelu),
    ("QuickGelu", quick_gelu),
    ("Shrink", shrink),
    ("Hardmax", hardmax),
    ("IsInf", is_inf),
    ("Where", choose),
    ("Relu", relu),
    ("Sigmoid", unary!(|x| x.f_sigmoid())),
    ("Tanh", unary!(|x| x.f_tanh())),
    ("Softplus", unary!(|x| x.f_softplus())),
    ("Softsign", unary!(|x| x.f_div(&x.f_abs()?.f_add_scalar(1.0)?))),
    ("Mish", unary!(|x| x.f_mish())),
    ("HardSwish", unary!(|x| x.f_hardswish())),
    ("Erf", unary!(|x| x.f_erf())),
    ("Exp", unary!(|x| x.f_exp())),
    ("Log", unary!(|x| x.f_log())),
    ("Sqrt", unary!(|x| x.f_sqrt())),
    ("Reciprocal", unary!(|x| x.f_reciprocal())),
    ("Abs", unary!(|x| x.f_abs())),
    ("Neg", unary!(|x| x.f_neg())),
    ("Sign", unary!(|x| x.f_sign())),
    ("Floor", unary!(|x| x.f_floor())),
    ("Ceil", unary!(|x| x.f_ceil())),
    ("Round", unary!(|x| x.f_round())),
    ("Sin", unary!(|x| x.f_sin())),
    ("Cos", unary!(|x| x.f_cos())),
    ("Tan", unary!(|x| x.f_tan())),
    ("Atan", unary!(|x| x.f_atan())),
    ("Not", unary!(|x| x.f_logical_not())),
    ("IsNaN", unary!(|x| x.f_isnan())),
    ("Identity", unary!(|x| Ok(x.shallow_clone()))),
    ("Gelu", gelu),
    ("Swish", swish),
    ("LeakyRelu", leaky_relu),
    ("Elu", |args| exponential(args, 1.0, 1.0)),
    ("Selu", |args| exponential(args, 1.673_263_192_176_818_8, 1.050_700_974_464_416_5)),
    ("Celu", celu),
    ("ThresholdedRelu", thresholded),
    ("HardSigmoid", hard_sigmoid),
    ("Clip", clip),
    ("Softmax", |args| softmax(args, false)),
    ("LogSoftmax", |args| softmax(args, true)),
    ("Dropout", dropout),
    ("Cast", cast),
    ("CastLike", cast_like),
];

/// Whole numbers are divided towards zero.
fn add(args: &mut Args) -> Lowered {
    let (first, second) = (args.slot("0")?, args.slot("1")?);
    args.part = Part::Sum { first, second };
    one(move |frame| {
        let [x, y] = together(frame.tensor(first)?, frame.tensor(second)?)?;
        x.f_add(&y)
    })
}

fn relu(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    args.part = Part::Rectifier { input: x };
    one(move |frame| frame.tensor(x)?.f_relu())
}

fn div(x: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    if x.is_floating_point() || y.is_floating_point() { x.f_div(y) } else { x.f_div_tensor_mode(y, "trunc") }
}

fn modulo(args: &mut Args) -> Lowered {
    let (x, y, towards_zero) = (args.slot("0")?, args.slot("1")?, args.truth("fmod", false)?);
    one(move |frame| {
        let [x, y] = together(frame.tensor(x)?, frame.tensor(y)?)?;
        if towards_zero { x.f_fmod_tensor(&y) } else { x.f_remainder_tensor(&y) }
    })
}

fn several(args: &mut Args, compute: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Lowered {
    let mut slots = vec![args.slot("0")?];
    for place in 1.. {
        match args.optional(&place.to_string())? {
            Some(slot) => slots.push(slot),
            None => break,
        }
    }
    one(move |frame| {
        let first = frame.tensor(slots[0])?.shallow_clone();
        slots[1..].iter().try_fold(first, |sum, slot| {
            let [sum, next] = together(&sum, frame.tensor(*slot)?)?;
            compute(&sum, &next)
        })
    })
}

fn mean(args: &mut Args) -> Lowered {
    let mut slots = vec![args.slot("0")?];
    while let Some(slot) = args.optional(&slots.len().to_string())? {
        slots.push(slot);
    }
    one(move |frame| {
        let first = frame.tensor(slots[0])?.shallow_clone();
        let sum = slots[1..].iter().try_fold(first, |sum, slot| {
            let [sum, next] = together(&sum, frame.tensor(*slot)?)?;
            sum.f_add(&next)
        })?;
        sum.f_div_scalar(slots.len() as f64)
    })
}

/// With a bias, and with the tangent that approximates.
fn biased_gelu(args: &mut Args) -> Lowered {
    let (x, bias) = (args.slot("0")?, args.optional("1")?);
    one(move |frame| with_bias(frame.tensor(x)?, frame.optional(bias)?)?.f_gelu("tanh"))
}

fn exact_biased_gelu(args: &mut Args) -> Lowered {
    let (x, bias) = (args.slot("0")?, args.optional("1")?);
    one(move |frame| with_bias(frame.tensor(x)?, frame.optional(bias)?)?.f_gelu("none"))
}

fn with_bias(x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    bias.map_or_else(|| Ok(x.shallow_clone()), |bias| x.f_add(bias))
}

fn quick_gelu(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.slot("0")?, args.float("alpha", 1.702)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_mul(&x.f_mul_scalar(alpha)?.f_sigmoid()?)
    })
}

/// Zero between the bounds, nearer to zero by `bias` outside.
fn shrink(args: &mut Args) -> Lowered {
    let (x, bound, bias) = (args.slot("0")?, args.float("lambd", 0.5)?, args.float("bias", 0.0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let nearer = x.f_sub(&x.f_sign()?.f_mul_scalar(bias)?)?;
        nearer.f_where_self(&x.f_abs()?.f_gt(bound)?, &x.f_zeros_like()?)
    })
}

fn hardmax(args: &mut Args) -> Lowered {
    let newer = args.fixed("~opset", 13)? >= 13;
    let (x, axis) = (args.slot("0")?, args.fixed("axis", if newer { -1 } else { 1 })?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let place = x.f_argmax(axis, true)?;
        x.f_zeros_like()?.f_scatter_value(axis, &place, 1.0)
    })
}

fn is_inf(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    let (above, below) = (args.truth("detect_positive", true)?, args.truth("detect_negative", true)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        match (above, below) {
            (true, true) => x.f_isinf(),
            (true, false) => x.f_isposinf(),
            (false, true) => x.f_isneginf(),
            (false, false) => x.f_isinf()?.f_logical_and(&x.f_isfinite()?),
        }
    })
}

fn choose(args: &mut Args) -> Lowered {
    let (condition, yes, no) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    one(move |frame| {
        let [yes, no] = together(frame.tensor(yes)?, frame.tensor(no)?)?;
        let condition = frame.tensor(condition)?.f_to_device(yes.device())?.f_to_kind(Kind::Bool)?;
        yes.f_where_self(&condition, &no)
    })
}

fn gelu(args: &mut Args) -> Lowered {
    let (x, approximate) = (args.slot("0")?, args.text("approximate", "none")?);
    one(move |frame| frame.tensor(x)?.f_gelu(&approximate))
}

fn swish(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.slot("0")?, args.float("alpha", 1.0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        if alpha == 1.0 { x.f_silu() } else { x.f_mul(&x.f_mul_scalar(alpha)?.f_sigmoid()?) }
    })
}

fn leaky_relu(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.slot("0")?, args.float("alpha", 0.01)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        x.f_prelu(&Tensor::f_full([1], alpha, (x.kind(), x.device()))?)
    })
}

/// `gamma * x` above zero, `gamma * alpha * (exp(x) - 1)` below.
fn exponential(args: &mut Args, alpha: f64, gamma: f64) -> Lowered {
    let (x, alpha, gamma) = (args.slot("0")?, args.float("alpha", alpha)?, args.float("gamma", gamma)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let below = x.f_clamp_max(0.0)?.f_expm1()?.f_mul_scalar(alpha * gamma)?;
        x.f_mul_scalar(gamma)?.f_where_self(&x.f_gt(0.0)?, &below)
    })
}

fn celu(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.slot("0")?, args.float("alpha", 1.0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let below = x.f_clamp_max(0.0)?.f_div_scalar(alpha)?.f_expm1()?.f_mul_scalar(alpha)?;
        x.f_where_self(&x.f_gt(0.0)?, &below)
    })
}

fn thresholded(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.slot("0")?, args.float("alpha", 1.0)?);
    one(move |frame| frame.tensor(x)?.f_threshold(alpha, 0.0))
}

fn hard_sigmoid(args: &mut Args) -> Lowered {
    let (x, alpha, beta) = (args.slot("0")?, args.float("alpha", 0.2)?, args.float("beta", 0.5)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        // With PyTorch's slope its own kernel, which has its own gradient at the ends.
        if (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 {
            return x.f_hardsigmoid();
        }
        x.f_mul_scalar(alpha)?.f_add_scalar(beta)?.f_clamp(0.0, 1.0)
    })
}

fn clip(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    let (fixed_low, fixed_high) = (args.optional_float("min")?, args.optional_float("max")?);
    let (low, high) = (args.optional("1")?, args.optional("2")?);
    one(move |frame| {
        let bound =
            |fixed: Option<f64>, slot: Option<crate::model::backend::graph::Slot>| match (fixed, frame.optional(slot)?)
            {
                (Some(value), _) => Ok::<_, TchError>(Some(value)),
                (None, Some(tensor)) if tensor.numel() == 1 => Ok(Some(tensor.f_double_value(&vec![0; tensor.dim()])?)),
                _ => Ok(None),
            };
        let x = frame.tensor(x)?;
        match (bound(fixed_low, low)?, bound(fixed_high, high)?) {
            (Some(low), Some(high)) => x.f_clamp(low, high),
            (Some(low), None) => x.f_clamp_min(low),
            (None, Some(high)) => x.f_clamp_max(high),
            (None, None) => Ok(x.shallow_clone()),
        }
    })
}

/// Before operator set 13 over all dimensions from the axis on.
fn softmax(args: &mut Args, log: bool) -> Lowered {
    let newer = args.fixed("~opset", 13)? >= 13;
    let (x, axis) = (args.slot("0")?, args.fixed("axis", if newer { -1 } else { 1 })?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let x = if x.kind() == Kind::BFloat16 { x.f_to_kind(Kind::Float)? } else { x.shallow_clone() };
        let over = |x: &Tensor, dim: i64| if log { x.f_log_softmax(dim, None) } else { x.f_softmax(dim, None) };
        let dims = x.dim() as i64;
        if newer || axis.rem_euclid(dims.max(1)) == dims - 1 {
            return over(&x, axis);
        }
        over(&x.f_flatten(axis, -1)?, axis).and_then(|flat| flat.f_reshape(x.size()))
    })
}

fn dropout(args: &mut Args) -> Lowered {
    let x = args.slot("0")?;
    args.ignore(&["1", "ratio", "seed"]);
    if let Some(training) = args.optional("2")?.and_then(|slot| super::known(args, slot))
        && training != [0]
    {
        return Err("drops values at random, as in training; export the model in evaluation mode".to_owned());
    }
    let outputs = args.fixed("~outputs", 1)?;
    crate::model::backend::graph::many(move |frame| {
        let x = frame.tensor(x)?;
        let mask = || Tensor::f_ones(x.size(), (Kind::Bool, x.device()));
        let mut found = vec![x.shallow_clone()];
        if outputs > 1 {
            found.push(mask()?);
        }
        Ok(found)
    })
}

fn cast(args: &mut Args) -> Lowered {
    let (x, code) = (args.slot("0")?, args.fixed("to", 1)?);
    args.ignore(&["saturate", "round_mode"]);
    let kind = kind(code).ok_or_else(|| format!("casts to a kind of number ({code}) that is not supported"))?;
    let kind = if matches!(kind, Kind::Half | Kind::BFloat16) { Kind::Float } else { kind };
    one(move |frame| frame.tensor(x)?.f_to_kind(kind))
}

fn cast_like(args: &mut Args) -> Lowered {
    let (x, like) = (args.slot("0")?, args.slot("1")?);
    args.ignore(&["saturate"]);
    one(move |frame| frame.tensor(x)?.f_to_kind(frame.tensor(like)?.kind()))
}
