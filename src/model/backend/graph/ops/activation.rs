//! Nonlinearities, element by element, and softmax.

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Lower, Lowered, Part, one};
use super::{unary, wide, wide_unary};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.relu.default", relu),
    ("aten.relu6.default", unary!(|x| x.f_clamp(0.0, 6.0))),
    ("aten.sigmoid.default", unary!(|x| x.f_sigmoid())),
    ("aten.tanh.default", unary!(|x| x.f_tanh())),
    ("aten.silu.default", unary!(|x| x.f_silu())),
    ("aten.mish.default", unary!(|x| x.f_mish())),
    ("aten.selu.default", unary!(|x| x.f_selu())),
    ("aten.hardsigmoid.default", unary!(|x| x.f_hardsigmoid())),
    ("aten.hardswish.default", unary!(|x| x.f_hardswish())),
    ("aten.log_sigmoid.default", unary!(|x| x.f_log_sigmoid())),
    ("aten.erf.default", wide_unary!(|x| x.f_erf())),
    ("aten.erfc.default", wide_unary!(|x| x.f_erfc())),
    ("aten.erfinv.default", wide_unary!(|x| x.f_erfinv())),
    ("aten.special_expit.default", unary!(|x| x.f_sigmoid())),
    ("aten.logit.default", logit),
    ("aten.hardshrink.default", |args| shrunk(args, |x, _| Ok(x.shallow_clone()))),
    ("aten.softshrink.default", |args| shrunk(args, |x, bound| x.f_sub(&x.f_sign()?.f_mul_scalar(bound)?))),
    ("aten.log_sigmoid_forward.default", log_sigmoid_forward),
    ("aten.softsign.default", unary!(|x| x.f_div(&x.f_abs()?.f_add_scalar(1.0)?))),
    ("aten.gelu.default", gelu),
    ("aten.hardtanh.default", hardtanh),
    ("aten.leaky_relu.default", leaky_relu),
    ("aten.rrelu.default", rrelu),
    ("aten.prelu.default", prelu),
    ("aten._prelu_kernel.default", prelu),
    ("aten.elu.default", elu),
    ("aten.celu.default", celu),
    ("aten.softplus.default", softplus),
    ("aten.threshold.default", threshold),
    ("aten.glu.default", glu),
    ("aten.softmax.int", softmax),
    ("aten._softmax.default", softmax),
    ("aten._safe_softmax.default", softmax),
    ("aten.log_softmax.int", log_softmax),
    ("aten._log_softmax.default", log_softmax),
    ("aten.dropout.default", dropout),
    ("aten.feature_dropout.default", dropout),
    ("aten.alpha_dropout.default", dropout),
    ("aten.feature_alpha_dropout.default", dropout),
    ("aten.native_dropout.default", native_dropout),
];

fn relu(args: &mut Args) -> Lowered {
    let x = args.first()?;
    args.part = Part::Rectifier { input: x };
    one(move |frame| frame.tensor(x)?.f_relu())
}

fn gelu(args: &mut Args) -> Lowered {
    let (x, approximate) = (args.first()?, args.text("approximate", "none")?);
    one(move |frame| frame.tensor(x)?.f_gelu(&approximate))
}

fn hardtanh(args: &mut Args) -> Lowered {
    let (x, low, high) = (args.first()?, args.float("min_val", -1.0)?, args.float("max_val", 1.0)?);
    one(move |frame| frame.tensor(x)?.f_clamp(low, high))
}

/// The slope below zero as a weight, in the kind of `x`: its gradient at zero is PyTorch's.
fn leaky(x: &Tensor, slope: f64) -> Result<Tensor, TchError> {
    x.f_prelu(&Tensor::f_full([1], slope, (x.kind(), x.device()))?)
}

fn leaky_relu(args: &mut Args) -> Lowered {
    let (x, slope) = (args.first()?, args.float("negative_slope", 0.01)?);
    one(move |frame| leaky(frame.tensor(x)?, slope))
}

/// Outside of training the mean of both slopes.
fn rrelu(args: &mut Args) -> Lowered {
    let (x, low, high) = (args.first()?, args.float("lower", 1.0 / 8.0)?, args.float("upper", 1.0 / 3.0)?);
    if args.truth("training", false)? {
        return Err("draws random slopes, as in training; call `model.eval()` before the export".to_owned());
    }
    args.ignore(&["generator"]);
    one(move |frame| leaky(frame.tensor(x)?, (low + high) / 2.0))
}

fn prelu(args: &mut Args) -> Lowered {
    let (x, weight) = (args.first()?, args.slot("weight")?);
    one(move |frame| {
        let (x, weight) = (frame.tensor(x)?, frame.tensor(weight)?.f_to_kind(frame.tensor(x)?.kind())?);
        // The kernel's weight has the rank of `x`, the module's one dimension.
        if weight.dim() > 1 { x.f_where_self(&x.f_gt(0.0)?, &x.f_mul(&weight)?) } else { x.f_prelu(&weight) }
    })
}

fn elu(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.first()?, args.float("alpha", 1.0)?);
    let (scale, input_scale) = (args.float("scale", 1.0)?, args.float("input_scale", 1.0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        if [alpha, scale, input_scale] == [1.0; 3] {
            return x.f_elu();
        }
        let below = x.f_clamp_max(0.0)?.f_mul_scalar(input_scale)?.f_expm1()?.f_mul_scalar(alpha * scale)?;
        x.f_mul_scalar(scale)?.f_where_self(&x.f_gt(0.0)?, &below)
    })
}

fn celu(args: &mut Args) -> Lowered {
    let (x, alpha) = (args.first()?, args.float("alpha", 1.0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let below = x.f_clamp_max(0.0)?.f_div_scalar(alpha)?.f_expm1()?.f_mul_scalar(alpha)?;
        x.f_where_self(&x.f_gt(0.0)?, &below)
    })
}

fn softplus(args: &mut Args) -> Lowered {
    let (x, beta, threshold) = (args.first()?, args.float("beta", 1.0)?, args.float("threshold", 20.0)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        if beta == 1.0 && threshold == 20.0 {
            return x.f_softplus();
        }
        let scaled = x.f_mul_scalar(beta)?;
        let curved = scaled.f_clamp_max(threshold)?.f_exp()?.f_log1p()?.f_div_scalar(beta)?;
        x.f_where_self(&scaled.f_gt(threshold)?, &curved)
    })
}

fn logit(args: &mut Args) -> Lowered {
    let (x, epsilon) = (args.first()?, args.optional_float("eps")?);
    one(move |frame| wide(frame.tensor(x)?)?.f_logit(epsilon))
}

/// Zero between the bounds, and outside of them what `beyond` makes of the values.
fn shrunk(args: &mut Args, beyond: fn(&Tensor, f64) -> Result<Tensor, TchError>) -> Lowered {
    let (x, bound) = (args.first()?, args.float("lambd", 0.5)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        beyond(x, bound)?.f_where_self(&x.f_abs()?.f_gt(bound)?, &x.f_zeros_like()?)
    })
}

/// With what the backward pass of PyTorch keeps.
fn log_sigmoid_forward(args: &mut Args) -> Lowered {
    let x = args.first()?;
    super::super::many(move |frame| {
        let x = frame.tensor(x)?;
        Ok(vec![x.f_log_sigmoid()?, x.f_detach()?])
    })
}

fn threshold(args: &mut Args) -> Lowered {
    let (x, at, value) = (args.first()?, args.float("threshold", 0.0)?, args.float("value", 0.0)?);
    one(move |frame| frame.tensor(x)?.f_threshold(at, value))
}

fn glu(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", -1)?);
    one(move |frame| frame.tensor(x)?.f_glu(dim))
}

fn softmax(args: &mut Args) -> Lowered {
    let (x, dim, kind) = (args.first()?, args.fixed("dim", -1)?, args.kind("dtype")?);
    args.ignore(&["half_to_float"]);
    one(move |frame| wide(frame.tensor(x)?)?.f_softmax(dim, kind))
}

fn log_softmax(args: &mut Args) -> Lowered {
    let (x, dim, kind) = (args.first()?, args.fixed("dim", -1)?, args.kind("dtype")?);
    args.ignore(&["half_to_float"]);
    one(move |frame| wide(frame.tensor(x)?)?.f_log_softmax(dim, kind))
}

pub const TRAINS: &str = "drops values at random, as in training; call `model.eval()` before the export (`F.dropout` heeds it with \
                          `training=self.training` only)";

fn dropout(args: &mut Args) -> Lowered {
    let (x, share) = (args.first()?, args.float("p", 0.5)?);
    if args.truth("train", false)? && share > 0.0 {
        return Err(TRAINS.to_owned());
    }
    one(move |frame| Ok(frame.tensor(x)?.shallow_clone()))
}

fn native_dropout(args: &mut Args) -> Lowered {
    let (x, share) = (args.first()?, args.float("p", 0.5)?);
    if args.truth("train", false)? && share > 0.0 {
        return Err(TRAINS.to_owned());
    }
    super::super::many(move |frame| {
        let x = frame.tensor(x)?;
        Ok(vec![x.shallow_clone(), Tensor::f_ones(x.size(), (Kind::Bool, x.device()))?])
    })
}
