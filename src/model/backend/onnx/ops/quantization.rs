//! Numbers in whole steps. Weights that are stored so are computed like others; activations that are rounded have no gradient, which is
//! noted with their node.

use tch::{Kind, Tensor};

use crate::model::backend::graph::ops::{Range, along, dequantized, note_rounding, quantized};
use crate::model::backend::graph::{Args, Lower, Lowered, Slot, Value, one};

pub const OPERATORS: &[(&str, Lower)] = &[("DequantizeLinear", dequantize), ("QuantizeLinear", quantize)];

/// The axis of scales and zeros. Scales for blocks of values are not read.
fn axis(args: &mut Args) -> Result<i64, String> {
    let (axis, block) = (args.fixed("axis", 1)?, args.fixed("block_size", 0)?);
    match block {
        0 => Ok(axis),
        _ => {
            Err("has scales for blocks of values, which are not supported; use the model before quantization"
                .to_owned())
        }
    }
}

fn dequantize(args: &mut Args) -> Lowered {
    let (x, scale, zero) = (args.slot("0")?, args.slot("1")?, args.optional("2")?);
    let axis = axis(args)?;
    args.ignore(&["output_dtype"]);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let values = |values: &Tensor| along(values, x.dim(), axis)?.f_to_device(x.device());
        let zero = frame.optional(zero)?.map(values).transpose()?;
        dequantized(x, &values(frame.tensor(scale)?)?, zero.as_ref())
    })
}

fn quantize(args: &mut Args) -> Lowered {
    let (x, scale, zero) = (args.slot("0")?, args.slot("1")?, args.optional("2")?);
    let (axis, range) = (axis(args)?, range(args, zero)?);
    args.ignore(&["saturate", "precision"]);
    note_rounding(args, x);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let values = |values: &Tensor| along(values, x.dim(), axis)?.f_to_device(x.device());
        let zero = frame.optional(zero)?.map(values).transpose()?;
        // Divided by the scale, as ONNX describes it.
        let steps = x.f_div(&values(frame.tensor(scale)?)?)?;
        quantized(&steps, zero.as_ref(), range)
    })
}

/// The whole numbers of the kind that the zero has; of bytes where there is none.
fn range(args: &mut Args, zero: Option<Slot>) -> Result<Range, String> {
    let named_kind = args.fixed("output_dtype", 0)?;
    let kind = match zero.map(|zero| args.builder.constant(zero)) {
        None if named_kind == 0 || named_kind == 2 => Kind::Uint8,
        None if named_kind == 3 => Kind::Int8,
        Some(Some(Value::Tensor(zero))) => zero.kind(),
        _ => return Err("has a kind of number that is not known before the pass, or not supported".to_owned()),
    };
    let (least, most) = match kind {
        Kind::Uint8 => (0.0, 255.0),
        Kind::Int8 => (-128.0, 127.0),
        Kind::Int16 => (-32768.0, 32767.0),
        other => return Err(format!("gives numbers of kind {other:?}; those of 8 bits and Int16 are supported")),
    };
    Ok(Range { least, most, kind })
}
