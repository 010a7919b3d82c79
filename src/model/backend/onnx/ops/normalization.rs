//! Normalization with running statistics, or over the values of one image, in f32.

use super::network::wide;
use crate::model::backend::graph::{Args, Lower, Lowered, Part, Rule, Slot, one, ops};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("MeanVarianceNormalization", mean_variance),
    ("BatchNormalization", batch_normalization),
    ("InstanceNormalization", instance_normalization),
    ("LayerNormalization", layer_normalization),
    ("RMSNormalization", rms_normalization),
    ("SimplifiedLayerNormalization", rms_normalization),
    ("GroupNormalization", group_normalization),
    ("LRN", response_normalization),
];

fn batch_normalization(args: &mut Args) -> Lowered {
    let [x, scale, bias, mean, var] =
        [args.slot("0")?, args.slot("1")?, args.slot("2")?, args.slot("3")?, args.slot("4")?];
    let epsilon = args.float("epsilon", 1e-5)?;
    args.ignore(&["momentum", "spatial"]);
    args.rule = Rule::Second;
    if args.truth("training_mode", false)? || args.fixed("~outputs", 1)? > 1 {
        return Err("normalizes by the batch it sees, as in training; export the model in evaluation mode".to_owned());
    }
    args.part = Part::Normalization { input: x, weight: Some(scale), bias: Some(bias), mean, variance: var, epsilon };
    one(move |frame| {
        let [scale, bias, mean, var] = [scale, bias, mean, var].map(|slot| frame.tensor(slot));
        frame.tensor(x)?.f_batch_norm(Some(scale?), Some(bias?), Some(mean?), Some(var?), false, 0.1, epsilon, true)
    })
}

fn instance_normalization(args: &mut Args) -> Lowered {
    let (x, scale, bias) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    let epsilon = args.float("epsilon", 1e-5)?;
    args.rule = Rule::Second;
    one(move |frame| {
        let (scale, bias) = (Some(frame.tensor(scale)?), Some(frame.tensor(bias)?));
        wide(frame.tensor(x)?)?.f_instance_norm(scale, bias, None, None, true, 0.1, epsilon, true)
    })
}

fn layer_normalization(args: &mut Args) -> Lowered {
    let (x, scale, bias) = (args.slot("0")?, args.slot("1")?, args.optional("2")?);
    let (axis, epsilon) = (args.fixed("axis", -1)?, args.float("epsilon", 1e-5)?);
    args.ignore(&["stash_type"]);
    if axis == -1 {
        args.rule = Rule::Last;
    }
    let outputs = args.fixed("~outputs", 1)?;
    if outputs > 1 {
        return Err("gives mean and deviation besides the values, which is not supported".to_owned());
    }
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let from = axis.rem_euclid(x.dim() as i64) as usize;
        let shape = x.size().split_off(from);
        let scale = frame.tensor(scale)?.f_expand(&shape, false)?.f_contiguous()?;
        let bias = frame.optional(bias)?.map(|bias| bias.f_expand(&shape, false)?.f_contiguous()).transpose()?;
        x.f_layer_norm(&shape, Some(&scale), bias.as_ref(), epsilon, true)
    })
}

fn rms_normalization(args: &mut Args) -> Lowered {
    let (x, scale) = (args.slot("0")?, args.slot("1")?);
    let (axis, epsilon) = (args.fixed("axis", -1)?, args.float("epsilon", 1e-5)?);
    args.ignore(&["stash_type"]);
    args.rule = Rule::Last;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let dims: Vec<i64> = (axis.rem_euclid(x.dim() as i64)..x.dim() as i64).collect();
        let mean = x.f_square()?.f_mean_dim(&dims[..], true, None)?;
        x.f_mul(&mean.f_add_scalar(epsilon)?.f_rsqrt()?)?.f_mul(frame.tensor(scale)?)
    })
}

/// Before operator set 21 scale and bias are those of groups, later of channels.
fn group_normalization(args: &mut Args) -> Lowered {
    let (x, scale, bias) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    let (groups, epsilon) = (args.fixed("num_groups", 1)?, args.float("epsilon", 1e-5)?);
    args.ignore(&["stash_type"]);
    args.rule = Rule::Second;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let channels = x.size().get(1).copied().unwrap_or(1);
        let each = |slot: Slot| {
            let tensor = frame.tensor(slot)?;
            let repeats = channels / (tensor.numel() as i64).max(1);
            if repeats > 1 { tensor.f_repeat_interleave_self_int(repeats, 0, None) } else { Ok(tensor.shallow_clone()) }
        };
        let (scale, bias) = (each(scale)?, each(bias)?);
        x.f_group_norm(groups, Some(&scale), Some(&bias), epsilon, true)
    })
}

fn response_normalization(args: &mut Args) -> Lowered {
    let (x, size, alpha) = (args.slot("0")?, args.fixed("size", 5)?, args.float("alpha", 1e-4)?);
    let (beta, bias) = (args.float("beta", 0.75)?, args.float("bias", 1.0)?);
    args.rule = Rule::Second;
    one(move |frame| ops::response_norm(&wide(frame.tensor(x)?)?, size, alpha, beta, bias))
}

fn mean_variance(args: &mut Args) -> Lowered {
    let (x, axes) = (args.slot("0")?, args.fixed_ints("axes", &[0, 2, 3])?);
    if axes.contains(&0) {
        return Err("normalizes by the batch it sees, as in training; normalize each image alone".to_owned());
    }
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let less = x.f_sub(&x.f_mean_dim(&axes[..], true, None)?)?;
        less.f_div(&less.f_square()?.f_mean_dim(&axes[..], true, None)?.f_sqrt()?.f_add_scalar(1e-9)?)
    })
}
