//! Arithmetic, element by element.

use tch::{Kind, Scalar, TchError, Tensor};

use super::super::{Args, Lower, Lowered, Number, Part, Resolved, one};
use super::{unary, wide_unary};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.add.Tensor", add),
    ("aten.add.Scalar", add),
    ("aten.sub.Tensor", sub),
    ("aten.sub.Scalar", sub),
    ("aten.subtract.Tensor", sub),
    ("aten.subtract.Scalar", sub),
    ("aten.rsub.Tensor", rsub),
    ("aten.rsub.Scalar", rsub),
    ("aten.mul.Tensor", mul),
    ("aten.mul.Scalar", mul),
    ("aten.multiply.Tensor", mul),
    ("aten.multiply.Scalar", mul),
    ("aten.div.Tensor", div),
    ("aten.div.Scalar", div),
    ("aten.divide.Tensor", div),
    ("aten.divide.Scalar", div),
    ("aten.true_divide.Tensor", div),
    ("aten.true_divide.Scalar", div),
    ("aten.div.Tensor_mode", div_mode),
    ("aten.div.Scalar_mode", div_mode),
    ("aten.divide.Tensor_mode", div_mode),
    ("aten.floor_divide.default", floor_divide),
    ("aten.floor_divide.Scalar", floor_divide),
    ("aten.remainder.Scalar", remainder),
    ("aten.remainder.Tensor", remainder),
    ("aten.fmod.Scalar", remainder_towards_zero),
    ("aten.fmod.Tensor", remainder_towards_zero),
    ("aten.pow.Tensor_Scalar", pow),
    ("aten.pow.Tensor_Tensor", pow),
    ("aten.pow.Scalar", pow_scalar),
    ("aten.addcmul.default", addcmul),
    ("aten.addcdiv.default", addcdiv),
    ("aten.lerp.Scalar", lerp),
    ("aten.lerp.Tensor", lerp),
    ("aten.clamp.default", clamp),
    ("aten.clip.default", clamp),
    ("aten.clamp.Tensor", clamp_tensor),
    ("aten.clamp_min.default", |args| clamp_one(args, "min", true)),
    ("aten.clamp_max.default", |args| clamp_one(args, "max", false)),
    ("aten.clamp_min.Tensor", |args| pair(args, "min", |x, y| x.f_clamp_min_tensor(y))),
    ("aten.clamp_max.Tensor", |args| pair(args, "max", |x, y| x.f_clamp_max_tensor(y))),
    ("aten.clip.Tensor", clamp_tensor),
    ("aten.maximum.default", |args| extreme(args, true)),
    ("aten.minimum.default", |args| extreme(args, false)),
    ("aten.max.other", |args| extreme(args, true)),
    ("aten.min.other", |args| extreme(args, false)),
    ("aten.fmax.default", |args| pair(args, "other", |x, y| x.f_fmax(y))),
    ("aten.fmin.default", |args| pair(args, "other", |x, y| x.f_fmin(y))),
    ("aten.hypot.default", |args| pair(args, "other", |x, y| x.f_hypot(y))),
    ("aten.logaddexp.default", |args| pair(args, "other", |x, y| x.f_logaddexp(y))),
    ("aten.logaddexp2.default", |args| pair(args, "other", |x, y| x.f_logaddexp2(y))),
    ("aten.copysign.Tensor", |args| pair(args, "other", |x, y| x.f_copysign(y))),
    ("aten.heaviside.default", |args| pair(args, "values", |x, y| x.f_heaviside(y))),
    ("aten.arctan2.default", atan2),
    ("aten.xlogy.Tensor", |args| pair(args, "other", |x, y| x.f_xlogy(y))),
    ("aten.special_xlogy.default", |args| pair(args, "other", |x, y| x.f_xlogy(y))),
    ("aten.atan2.default", atan2),
    ("aten.nan_to_num.default", nan_to_num),
    ("aten.neg.default", unary!(|x| x.f_neg())),
    ("aten.abs.default", unary!(|x| x.f_abs())),
    ("aten.sign.default", unary!(|x| x.f_sign())),
    ("aten.square.default", unary!(|x| x.f_square())),
    ("aten.floor.default", unary!(|x| x.f_floor())),
    ("aten.ceil.default", unary!(|x| x.f_ceil())),
    ("aten.round.default", unary!(|x| x.f_round())),
    ("aten.trunc.default", unary!(|x| x.f_trunc())),
    ("aten.frac.default", unary!(|x| x.f_frac())),
    ("aten.sqrt.default", wide_unary!(|x| x.f_sqrt())),
    ("aten.rsqrt.default", wide_unary!(|x| x.f_rsqrt())),
    ("aten.reciprocal.default", wide_unary!(|x| x.f_reciprocal())),
    ("aten.exp.default", wide_unary!(|x| x.f_exp())),
    ("aten.exp2.default", wide_unary!(|x| x.f_exp2())),
    ("aten.expm1.default", wide_unary!(|x| x.f_expm1())),
    ("aten.log.default", wide_unary!(|x| x.f_log())),
    ("aten.log2.default", wide_unary!(|x| x.f_log2())),
    ("aten.log10.default", wide_unary!(|x| x.f_log10())),
    ("aten.log1p.default", wide_unary!(|x| x.f_log1p())),
    ("aten.sin.default", wide_unary!(|x| x.f_sin())),
    ("aten.cos.default", wide_unary!(|x| x.f_cos())),
    ("aten.tan.default", wide_unary!(|x| x.f_tan())),
    ("aten.asin.default", wide_unary!(|x| x.f_asin())),
    ("aten.acos.default", wide_unary!(|x| x.f_acos())),
    ("aten.atan.default", wide_unary!(|x| x.f_atan())),
    ("aten.sinh.default", wide_unary!(|x| x.f_sinh())),
    ("aten.cosh.default", wide_unary!(|x| x.f_cosh())),
    ("aten.sinc.default", wide_unary!(|x| x.f_sinc())),
    ("aten.asinh.default", wide_unary!(|x| x.f_asinh())),
    ("aten.acosh.default", wide_unary!(|x| x.f_acosh())),
    ("aten.atanh.default", wide_unary!(|x| x.f_atanh())),
    ("aten.special_expm1.default", wide_unary!(|x| x.f_expm1())),
    ("aten.special_log1p.default", wide_unary!(|x| x.f_log1p())),
    ("aten.special_exp2.default", wide_unary!(|x| x.f_exp2())),
    ("aten.lgamma.default", wide_unary!(|x| x.f_lgamma())),
    ("aten.digamma.default", wide_unary!(|x| x.f_digamma())),
    ("aten.arccos.default", wide_unary!(|x| x.f_acos())),
    ("aten.arcsin.default", wide_unary!(|x| x.f_asin())),
    ("aten.arctan.default", wide_unary!(|x| x.f_atan())),
    ("aten.arccosh.default", wide_unary!(|x| x.f_acosh())),
    ("aten.arcsinh.default", wide_unary!(|x| x.f_asinh())),
    ("aten.arctanh.default", wide_unary!(|x| x.f_atanh())),
    ("aten.fix.default", unary!(|x| x.f_trunc())),
    ("aten.float_power.Tensor_Scalar", pow),
    ("aten.float_power.Tensor_Tensor", pow),
    ("aten.divide.Scalar_mode", div_mode),
    ("aten.copysign.Scalar", |args| binary(args, |x, y| x.f_copysign(y), |x, y| x.f_copysign_scalar(y))),
    ("aten.ldexp.Tensor", |args| pair(args, "other", |x, y| x.f_ldexp(y))),
    ("aten.deg2rad.default", unary!(|x| x.f_deg2rad())),
    ("aten.rad2deg.default", unary!(|x| x.f_rad2deg())),
    ("aten.sgn.default", unary!(|x| x.f_sgn())),
    ("aten.positive.default", unary!(|x| Ok(x.shallow_clone()))),
    ("aten.negative.default", unary!(|x| x.f_neg())),
    ("aten.absolute.default", unary!(|x| x.f_abs())),
    ("aten.round.decimals", round_decimals),
];

/// `x` by `other`, a tensor or a number.
fn binary(
    args: &mut Args,
    tensor: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>,
    scalar: fn(&Tensor, Scalar) -> Result<Tensor, TchError>,
) -> Lowered {
    let (x, other) = (args.first()?, args.operand("other")?);
    one(move |frame| match other.get(frame)? {
        Resolved::Tensor(other) => tensor(frame.tensor(x)?, other),
        Resolved::Scalar(other) => scalar(frame.tensor(x)?, other),
    })
}

/// `other` times `alpha`, where that is not one.
fn scaled(args: &mut Args) -> Result<Option<Number>, String> {
    Ok(args
        .optional_number("alpha")?
        .filter(|alpha| !matches!(alpha, Number::Int(1)) && !matches!(alpha, Number::Float(1.0))))
}

/// A sum or difference with its factor.
fn linear(args: &mut Args, sign: f64) -> Lowered {
    let Some(alpha) = scaled(args)? else {
        return match sign > 0.0 {
            true => {
                let kernel = binary(args, |x, y| x.f_add(y), |x, y| x.f_add_scalar(y))?;
                if let [first, second] = args.reads[..] {
                    args.part = Part::Sum { first, second };
                }
                Ok(kernel)
            }
            false => binary(args, |x, y| x.f_sub(y), |x, y| x.f_sub_scalar(y)),
        };
    };
    let (x, other) = (args.first()?, args.operand("other")?);
    one(move |frame| {
        let (x, alpha) = (frame.tensor(x)?, alpha.float(frame)?);
        match other.get(frame)? {
            Resolved::Tensor(other) => x.f_add(&other.f_mul_scalar(sign * alpha)?),
            Resolved::Scalar(other) => x.f_add_scalar(sign * alpha * real(other)?),
        }
    })
}

/// A number as a real one.
fn real(scalar: Scalar) -> Result<f64, TchError> {
    Tensor::f_scalar_tensor(scalar, (Kind::Double, tch::Device::Cpu))?.f_double_value(&[])
}

fn add(args: &mut Args) -> Lowered {
    linear(args, 1.0)
}

fn sub(args: &mut Args) -> Lowered {
    linear(args, -1.0)
}

fn rsub(args: &mut Args) -> Lowered {
    let Some(alpha) = scaled(args)? else {
        return binary(args, |x, y| y.f_sub(x), |x, y| x.f_neg()?.f_add_scalar(y));
    };
    let (x, other) = (args.first()?, args.operand("other")?);
    one(move |frame| {
        let less = frame.tensor(x)?.f_mul_scalar(-alpha.float(frame)?)?;
        match other.get(frame)? {
            Resolved::Tensor(other) => less.f_add(other),
            Resolved::Scalar(other) => less.f_add_scalar(other),
        }
    })
}

fn mul(args: &mut Args) -> Lowered {
    binary(args, |x, y| x.f_mul(y), |x, y| x.f_mul_scalar(y))
}

fn div(args: &mut Args) -> Lowered {
    binary(args, |x, y| x.f_div(y), |x, y| x.f_div_scalar(y))
}

fn div_mode(args: &mut Args) -> Lowered {
    let mode = args.text("rounding_mode", "")?;
    match mode.as_str() {
        "" => div(args),
        "floor" => binary(args, |x, y| x.f_div_tensor_mode(y, "floor"), |x, y| x.f_div_scalar_mode(y, "floor")),
        "trunc" => binary(args, |x, y| x.f_div_tensor_mode(y, "trunc"), |x, y| x.f_div_scalar_mode(y, "trunc")),
        other => Err(format!("rounds by the mode `{other}`, which is not known")),
    }
}

fn floor_divide(args: &mut Args) -> Lowered {
    binary(args, |x, y| x.f_floor_divide(y), |x, y| x.f_floor_divide_scalar(y))
}

fn remainder(args: &mut Args) -> Lowered {
    binary(args, |x, y| x.f_remainder_tensor(y), |x, y| x.f_remainder(y))
}

fn remainder_towards_zero(args: &mut Args) -> Lowered {
    binary(args, |x, y| x.f_fmod_tensor(y), |x, y| x.f_fmod(y))
}

fn pow(args: &mut Args) -> Lowered {
    let (x, exponent) = (args.first()?, args.operand("exponent")?);
    one(move |frame| {
        let x = super::wide(frame.tensor(x)?)?;
        match exponent.get(frame)? {
            Resolved::Tensor(exponent) => x.f_pow(exponent),
            Resolved::Scalar(exponent) => x.f_pow_tensor_scalar(exponent),
        }
    })
}

fn pow_scalar(args: &mut Args) -> Lowered {
    let (base, exponent) = (args.number("self")?, args.slot("exponent")?);
    one(move |frame| Tensor::f_pow_scalar(base.get(frame)?, frame.tensor(exponent)?))
}

fn addcmul(args: &mut Args) -> Lowered {
    let (x, a, b) = (args.first()?, args.slot("tensor1")?, args.slot("tensor2")?);
    let value = args.float("value", 1.0)?;
    one(move |frame| {
        let product = frame.tensor(a)?.f_mul(frame.tensor(b)?)?;
        frame.tensor(x)?.f_add(&if value == 1.0 { product } else { product.f_mul_scalar(value)? })
    })
}

fn addcdiv(args: &mut Args) -> Lowered {
    let (x, a, b) = (args.first()?, args.slot("tensor1")?, args.slot("tensor2")?);
    let value = args.float("value", 1.0)?;
    one(move |frame| frame.tensor(x)?.f_add(&frame.tensor(a)?.f_div(frame.tensor(b)?)?.f_mul_scalar(value)?))
}

fn lerp(args: &mut Args) -> Lowered {
    let (x, end, weight) = (args.first()?, args.slot("end")?, args.operand("weight")?);
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(end)?])?;
        match weight.get(frame)? {
            Resolved::Tensor(weight) => pair[0].f_lerp_tensor(&pair[1], weight),
            Resolved::Scalar(weight) => pair[0].f_lerp(&pair[1], weight),
        }
    })
}

fn clamp(args: &mut Args) -> Lowered {
    let (x, low, high) = (args.first()?, args.optional_number("min")?, args.optional_number("max")?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        match (low, high) {
            (Some(low), Some(high)) => x.f_clamp(low.get(frame)?, high.get(frame)?),
            (Some(low), None) => x.f_clamp_min(low.get(frame)?),
            (None, Some(high)) => x.f_clamp_max(high.get(frame)?),
            (None, None) => Ok(x.shallow_clone()),
        }
    })
}

fn clamp_tensor(args: &mut Args) -> Lowered {
    let (x, low, high) = (args.first()?, args.optional("min")?, args.optional("max")?);
    one(move |frame| frame.tensor(x)?.f_clamp_tensor(frame.optional(low)?, frame.optional(high)?))
}

fn clamp_one(args: &mut Args, name: &str, low: bool) -> Lowered {
    let (x, bound) = (args.first()?, args.number(name)?);
    one(move |frame| match low {
        true => frame.tensor(x)?.f_clamp_min(bound.get(frame)?),
        false => frame.tensor(x)?.f_clamp_max(bound.get(frame)?),
    })
}

fn pair(args: &mut Args, other: &str, compute: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Lowered {
    let (x, other) = (args.first()?, args.slot(other)?);
    one(move |frame| {
        let pair = super::alike(&[frame.tensor(x)?, frame.tensor(other)?])?;
        compute(&pair[0], &pair[1])
    })
}

fn round_decimals(args: &mut Args) -> Lowered {
    let (x, decimals) = (args.first()?, args.fixed("decimals", 0)?);
    one(move |frame| frame.tensor(x)?.f_round_decimals(decimals))
}

fn extreme(args: &mut Args, largest: bool) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    one(move |frame| match largest {
        true => frame.tensor(x)?.f_maximum(frame.tensor(other)?),
        false => frame.tensor(x)?.f_minimum(frame.tensor(other)?),
    })
}

fn atan2(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    one(move |frame| frame.tensor(x)?.f_atan2(frame.tensor(other)?))
}

fn nan_to_num(args: &mut Args) -> Lowered {
    let x = args.first()?;
    let (nan, above, below) =
        (args.optional_float("nan")?, args.optional_float("posinf")?, args.optional_float("neginf")?);
    one(move |frame| frame.tensor(x)?.f_nan_to_num(nan, above, below))
}
