//! Numbers in whole steps, as quantized networks have them. Rounded activations have no gradient, which is noted with their node: such
//! a network can be attacked by its scores alone.

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Frame, Lower, Lowered, Number, Slot, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("quantized_decomposed.quantize_per_tensor.default", quantize_all),
    ("quantized_decomposed.quantize_per_tensor.tensor", quantize_all),
    ("quantized_decomposed.quantize_per_channel.default", quantize_channels),
    ("quantized_decomposed.dequantize_per_tensor.default", dequantize_all),
    ("quantized_decomposed.dequantize_per_tensor.tensor", dequantize_all),
    ("quantized_decomposed.dequantize_per_channel.default", dequantize_channels),
];

/// Why activations that are rounded give no gradient.
const WHOLE_NUMBERS: &str =
    "rounds activations to whole steps, which have no gradients; use the model before quantization";

/// The whole numbers that a quantized value can be.
#[derive(Clone, Copy)]
pub struct Range {
    /// The least.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// What holds them.
    pub kind: Kind,
}

/// `steps + zero`, rounded to even and held in `range`; `steps` are values in units of the scale, and `zero` is a number or has one value
/// for each place along an axis.
pub fn quantized(steps: &Tensor, zero: Option<&Tensor>, range: Range) -> Result<Tensor, TchError> {
    let rounded = steps.f_to_kind(Kind::Float)?.f_round()?;
    let shifted = zero.map_or_else(|| Ok(rounded.shallow_clone()), |zero| rounded.f_add(zero))?;
    shifted.f_clamp(range.least, range.most)?.f_to_kind(range.kind)
}

/// `(x - zero) * scale` in f32.
pub fn dequantized(x: &Tensor, scale: &Tensor, zero: Option<&Tensor>) -> Result<Tensor, TchError> {
    let wide = x.f_to_kind(Kind::Float)?;
    let centred = zero.map_or_else(|| Ok(wide.shallow_clone()), |zero| wide.f_sub(zero))?;
    centred.f_mul(scale)
}

/// Values along `axis` of a tensor of `rank` dimensions, in f32; one value goes with every place.
pub fn along(values: &Tensor, rank: usize, axis: i64) -> Result<Tensor, TchError> {
    let values = values.f_to_kind(Kind::Float)?;
    if values.numel() == 1 {
        return values.f_reshape([]);
    }
    let place = if axis < 0 { axis + rank as i64 } else { axis };
    let mut shape = vec![1; rank];
    *usize::try_from(place)
        .ok()
        .and_then(|place| shape.get_mut(place))
        .ok_or_else(|| refuse("it has no such axis"))? = -1;
    values.f_reshape(&shape)
}

/// The whole numbers that the file names.
fn range(args: &mut Args) -> Result<Range, String> {
    let kind = args.kind("dtype")?.ok_or("lacks the kind of number")?;
    let mut bound = |name: &str| args.optional_float(name)?.ok_or_else(|| format!("lacks the number `{name}`"));
    Ok(Range { least: bound("quant_min")?, most: bound("quant_max")?, kind })
}

/// A number of the step, as a tensor that goes with every place.
fn scalar(frame: &Frame, number: &Number) -> Result<Tensor, TchError> {
    match number {
        Number::Int(value) => Ok(Tensor::from(*value as f32)),
        Number::Float(value) => Ok(Tensor::from(*value as f32)),
        Number::Computed(slot) => along(frame.tensor(*slot)?, 0, 0),
    }
}

/// `x` in units of `scale`, as PyTorch computes it: times its reciprocal.
fn in_steps(x: &Tensor, scale: &Tensor) -> Result<Tensor, TchError> {
    x.f_to_kind(Kind::Float)?.f_mul(&scale.f_reciprocal()?)
}

/// Notes that there is no gradient where `x`, which is rounded, depends on the pixels.
pub fn note_rounding(args: &mut Args, x: Slot) {
    if args.builder.constant(x).is_none() {
        args.stiff = Some(WHOLE_NUMBERS);
    }
}

fn quantize_all(args: &mut Args) -> Lowered {
    let (x, scale, zero) = (args.first()?, args.number("scale")?, args.number("zero_point")?);
    let range = range(args)?;
    args.ignore(&["eps"]);
    note_rounding(args, x);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let [scale, zero] = [scalar(frame, &scale)?, scalar(frame, &zero)?].map(|number| number.to_device(x.device()));
        quantized(&in_steps(x, &scale)?, Some(&zero), range)
    })
}

fn dequantize_all(args: &mut Args) -> Lowered {
    let (x, scale, zero) = (args.first()?, args.number("scale")?, args.number("zero_point")?);
    args.ignore(&["quant_min", "quant_max", "dtype", "out_dtype"]);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let [scale, zero] = [scalar(frame, &scale)?, scalar(frame, &zero)?].map(|number| number.to_device(x.device()));
        dequantized(x, &scale, Some(&zero))
    })
}

fn quantize_channels(args: &mut Args) -> Lowered {
    let (x, scales, zeros) = (args.first()?, args.slot("scales")?, args.slot("zero_points")?);
    let (axis, range) = (args.fixed("axis", 0)?, range(args)?);
    note_rounding(args, x);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let [scales, zeros] = [scales, zeros].map(|slot| along(frame.tensor(slot)?, x.dim(), axis));
        quantized(&in_steps(x, &scales?)?, Some(&zeros?), range)
    })
}

fn dequantize_channels(args: &mut Args) -> Lowered {
    let (x, scales, zeros) = (args.first()?, args.slot("scales")?, args.optional("zero_points")?);
    let axis = args.fixed("axis", 0)?;
    args.ignore(&["quant_min", "quant_max", "dtype", "out_dtype"]);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let scales = along(frame.tensor(scales)?, x.dim(), axis)?;
        let zeros = frame.optional(zeros)?.map(|zeros| along(zeros, x.dim(), axis)).transpose()?;
        dequantized(x, &scales, zeros.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_lie_along_their_axis() {
        let scales = Tensor::from_slice(&[1.0f32, 2.0]);
        assert_eq!(along(&scales, 4, 0).unwrap().size(), [2, 1, 1, 1]);
        assert_eq!(along(&scales, 2, -1).unwrap().size(), [1, 2]);
        assert_eq!(along(&Tensor::from_slice(&[3i8]), 4, 1).unwrap().size(), [0i64; 0]);
        assert!(along(&scales, 2, 2).is_err());
    }

    #[test]
    fn values_are_rounded_to_even_and_held_in_range() {
        let x = Tensor::from_slice(&[0.25f32, 0.75, -9.0, 900.0]);
        let (scale, zero) = (Tensor::from(0.5f32), Tensor::from(3.0f32));
        let range = Range { least: 0.0, most: 255.0, kind: Kind::Uint8 };
        let steps = quantized(&in_steps(&x, &scale).unwrap(), Some(&zero), range).unwrap();
        assert_eq!(Vec::<u8>::try_from(&steps).unwrap(), [3, 5, 0, 255]);
        let back = dequantized(&steps, &scale, Some(&zero)).unwrap();
        assert_eq!(Vec::<f32>::try_from(&back).unwrap(), [0.0, 1.0, -1.5, 126.0]);
    }
}
