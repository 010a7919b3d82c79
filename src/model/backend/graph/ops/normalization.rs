//! Normalization with running statistics, or over the values of one image, in f32.

use tch::{TchError, Tensor};

use super::super::{Args, Lower, Lowered, Part, Rule, many, one};
use super::{nothing, wide};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.batch_norm.default", batch_norm),
    ("aten._native_batch_norm_legit_no_training.default", |args| native(args, batch_norm)),
    ("aten._native_batch_norm_legit.default", |args| native(args, batch_norm)),
    ("aten.native_batch_norm.default", |args| native(args, batch_norm)),
    ("aten.cudnn_batch_norm.default", |args| native(args, batch_norm)),
    ("aten.miopen_batch_norm.default", |args| native(args, batch_norm)),
    ("aten._batch_norm_no_update.default", |args| native(args, batch_norm)),
    ("aten._batch_norm_with_update.default", trains),
    ("aten._batch_norm_with_update_functional.default", trains),
    ("aten._native_batch_norm_legit_functional.default", trains),
    ("aten._native_batch_norm_legit.no_stats", |args| native(args, batch_norm)),
    ("aten.layer_norm.default", layer_norm),
    ("aten.native_layer_norm.default", |args| native(args, layer_norm)),
    ("aten.group_norm.default", group_norm),
    ("aten.native_group_norm.default", |args| native(args, native_group_norm)),
    ("aten.instance_norm.default", instance_norm),
    ("aten.rms_norm.default", rms_norm),
    ("aten._fused_rms_norm.default", |args| native(args, rms_norm)),
    ("aten._weight_norm.default", weight_norm),
    ("aten.local_response_norm.default", local_response_norm),
];

const TRAINS: &str = "normalizes by the batch it sees, as in training; call `model.eval()` before the export";
const ALWAYS: &str = "normalizes by the batch it sees, without running statistics, so that no image has an answer of its own; use a model with \
                      `track_running_stats=True`";

fn trains(_args: &mut Args) -> Lowered {
    Err(TRAINS.to_owned())
}

/// The same operator with statistics as further outputs, which evaluation does not read.
fn native(args: &mut Args, lower: Lower) -> Lowered {
    let kernel = lower(args)?;
    many(move |frame| match kernel(frame)? {
        super::super::Value::Tensor(tensor) => {
            let rest: Result<Vec<Tensor>, TchError> = (0..4).map(|_| nothing(&tensor)).collect();
            Ok(std::iter::once(tensor).chain(rest?).collect())
        }
        _ => Ok(Vec::new()),
    })
}

fn batch_norm(args: &mut Args) -> Lowered {
    let (x, weight, bias) = (args.first()?, args.optional("weight")?, args.optional("bias")?);
    let (mean, var) = (args.optional("running_mean")?, args.optional("running_var")?);
    let (training, epsilon) = (args.truth("training", false)?, args.float("eps", 1e-5)?);
    let epsilon = args.float("epsilon", epsilon)?;
    args.ignore(&["momentum", "exponential_average_factor", "cudnn_enabled"]);
    args.rule = Rule::Second;
    // Standardized weights (Qiao et al. 2019) are normalized so in every mode.
    if (training || mean.is_none()) && args.constant_shape(x).is_some() {
        return one(move |frame| {
            let (weight, bias) = (frame.optional(weight)?, frame.optional(bias)?);
            frame.tensor(x)?.f_batch_norm(weight, bias, None, None, true, 0.0, epsilon, true)
        });
    }
    let (Some(mean), Some(var)) = (mean, var) else { return Err(ALWAYS.to_owned()) };
    if training {
        return Err(TRAINS.to_owned());
    }
    args.part = Part::Normalization { input: x, weight, bias, mean, variance: var, epsilon };
    one(move |frame| {
        let (weight, bias) = (frame.optional(weight)?, frame.optional(bias)?);
        let (mean, var) = (Some(frame.tensor(mean)?), Some(frame.tensor(var)?));
        frame.tensor(x)?.f_batch_norm(weight, bias, mean, var, false, 0.1, epsilon, true)
    })
}

fn layer_norm(args: &mut Args) -> Lowered {
    let (x, shape) = (args.first()?, args.fixed_ints("normalized_shape", &[])?);
    let (weight, bias, epsilon) = (args.optional("weight")?, args.optional("bias")?, args.float("eps", 1e-5)?);
    args.ignore(&["cudnn_enable"]);
    if shape.len() == 1 {
        args.rule = Rule::Last;
    }
    one(move |frame| {
        let (weight, bias) = (frame.optional(weight)?, frame.optional(bias)?);
        wide(frame.tensor(x)?)?.f_layer_norm(&shape, weight, bias, epsilon, true)
    })
}

fn group_norm(args: &mut Args) -> Lowered {
    let (x, groups) = (args.first()?, args.fixed("num_groups", 1)?);
    let (weight, bias, epsilon) = (args.optional("weight")?, args.optional("bias")?, args.float("eps", 1e-5)?);
    args.ignore(&["cudnn_enabled"]);
    args.rule = Rule::Second;
    one(move |frame| {
        let (weight, bias) = (frame.optional(weight)?, frame.optional(bias)?);
        wide(frame.tensor(x)?)?.f_group_norm(groups, weight, bias, epsilon, true)
    })
}

fn native_group_norm(args: &mut Args) -> Lowered {
    let (x, groups) = (args.first()?, args.fixed("group", 1)?);
    let (weight, bias, epsilon) = (args.optional("weight")?, args.optional("bias")?, args.float("eps", 1e-5)?);
    args.ignore(&["N", "C", "HxW"]);
    args.rule = Rule::Second;
    one(move |frame| {
        let (weight, bias) = (frame.optional(weight)?, frame.optional(bias)?);
        wide(frame.tensor(x)?)?.f_group_norm(groups, weight, bias, epsilon, true)
    })
}

fn instance_norm(args: &mut Args) -> Lowered {
    let (x, weight, bias) = (args.first()?, args.optional("weight")?, args.optional("bias")?);
    let (mean, var) = (args.optional("running_mean")?, args.optional("running_var")?);
    let (statistics, epsilon) = (args.truth("use_input_stats", true)?, args.float("eps", 1e-5)?);
    args.ignore(&["momentum", "cudnn_enabled"]);
    // With running statistics it is evaluation that uses them.
    if statistics && mean.is_some() {
        return Err(TRAINS.to_owned());
    }
    args.rule = Rule::Second;
    one(move |frame| {
        let (weight, bias) = (frame.optional(weight)?, frame.optional(bias)?);
        let (mean, var) = if statistics { (None, None) } else { (frame.optional(mean)?, frame.optional(var)?) };
        wide(frame.tensor(x)?)?.f_instance_norm(weight, bias, mean, var, statistics, 0.1, epsilon, true)
    })
}

fn rms_norm(args: &mut Args) -> Lowered {
    let (x, shape) = (args.first()?, args.fixed_ints("normalized_shape", &[])?);
    let (weight, epsilon) = (args.optional("weight")?, args.optional_float("eps")?);
    args.rule = Rule::Last;
    one(move |frame| wide(frame.tensor(x)?)?.f_rms_norm(&shape, frame.optional(weight)?, epsilon))
}

fn weight_norm(args: &mut Args) -> Lowered {
    let (v, g, dim) = (args.slot("v")?, args.slot("g")?, args.fixed("dim", 0)?);
    one(move |frame| {
        let v = frame.tensor(v)?;
        let others: Vec<i64> = (0..v.dim() as i64).filter(|&other| other != dim.rem_euclid(v.dim() as i64)).collect();
        v.f_mul(&frame.tensor(g)?.f_div(&v.f_norm_scalaropt_dim(2.0, &others, true)?)?)
    })
}

/// Each value divided by the sum of squares of its neighbours among the channels (Krizhevsky et al. 2012).
fn local_response_norm(args: &mut Args) -> Lowered {
    let (x, size, alpha) = (args.first()?, args.fixed("size", 5)?, args.float("alpha", 1e-4)?);
    let (beta, k) = (args.float("beta", 0.75)?, args.float("k", 1.0)?);
    args.rule = Rule::Second;
    one(move |frame| response_norm(&wide(frame.tensor(x)?)?, size, alpha, beta, k))
}

/// Local response normalization of `[N, C, H, W]` over `size` channels.
pub fn response_norm(x: &Tensor, size: i64, alpha: f64, beta: f64, k: f64) -> Result<Tensor, TchError> {
    let (before, after) = (size / 2, (size - 1) / 2);
    let squares = x.f_square()?.f_unsqueeze(1)?;
    let padded = squares.f_pad([0, 0, 0, 0, before, after], "constant", 0.0)?;
    let mean = padded.f_avg_pool3d([size, 1, 1], [1, 1, 1], [0, 0, 0], false, true, None)?.f_squeeze_dim(1)?;
    x.f_div(&mean.f_mul_scalar(alpha)?.f_add_scalar(k)?.f_pow_tensor_scalar(beta)?)
}
