//! Weights that are stored in whole numbers. Activations that are computed so are refused: they have no gradients.

use tch::{Kind, TchError, Tensor};

use super::INTEGERS;
use crate::model::backend::graph::{Args, Lower, Lowered, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[("DequantizeLinear", dequantize)];

/// `(x - zero) * scale`, of which scale and zero are numbers or have one value for each place along `axis`.
fn dequantize(args: &mut Args) -> Lowered {
    let (x, scale, zero) = (args.slot("0")?, args.slot("1")?, args.optional("2")?);
    let stored = [Some(x), Some(scale), zero].into_iter().flatten().all(|slot| args.builder.constant(slot).is_some());
    if !stored {
        return Err(INTEGERS.to_owned());
    }
    let (axis, block) = (args.fixed("axis", 1)?, args.fixed("block_size", 0)?);
    args.ignore(&["output_dtype"]);
    if block != 0 {
        return Err(
            "has scales for blocks of weights, which are not supported; use the model before quantization".to_owned()
        );
    }
    one(move |frame| {
        let (x, zero) = (frame.tensor(x)?, frame.optional(zero)?);
        let along = |values: &Tensor| along(values, x.dim(), axis);
        let centred = x.f_to_kind(Kind::Float)?;
        let centred = zero.map_or_else(|| Ok(centred.shallow_clone()), |zero| centred.f_sub(&along(zero)?))?;
        centred.f_mul(&along(frame.tensor(scale)?)?)
    })
}

/// Values along `axis` of a tensor of `rank` dimensions, in f32.
fn along(values: &Tensor, rank: usize, axis: i64) -> Result<Tensor, TchError> {
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
}
