//! Tensors as they lie in a storage: any shape and strides that the bytes can fill.

use tch::{Kind, Tensor};

/// The tensor that lies so in a storage of these bytes; half precision as f32.
///
/// # Errors
/// If the bytes do not fill it: the end of a sentence about the tensor.
pub fn laid(bytes: &[u8], kind: Kind, shape: &[i64], strides: &[i64], offset: i64) -> Result<Tensor, String> {
    let stored = bytes.len() / kind.elt_size_in_bytes();
    if !fits(shape, strides, offset, stored) {
        if stored == 0 {
            return Err(format!(
                "has shape {shape:?}, and the file has no values for it: weights of the device `meta` have none; load the model's before the export"
            ));
        }
        return Err(format!(
            "has shape {shape:?} with strides {strides:?} from {offset} on, but the file has only {stored} values for it"
        ));
    }
    let failed = |error: tch::TchError| format!("cannot be read: {error}");
    let flat = Tensor::f_from_data_size(&bytes[..stored * kind.elt_size_in_bytes()], &[stored as i64], kind)
        .map_err(failed)?;
    let tensor = flat.f_as_strided(shape, strides, offset).and_then(|tensor| tensor.f_contiguous()).map_err(failed)?;
    if tensor.is_floating_point() { tensor.f_to_kind(Kind::Float).map_err(failed) } else { Ok(tensor) }
}

/// Whether all values of the shape lie in `stored` values, each at a place of its own.
fn fits(shape: &[i64], strides: &[i64], offset: i64, stored: usize) -> bool {
    if strides.len() != shape.len() || offset < 0 || strides.iter().any(|&stride| stride < 0) {
        return false;
    }
    let stored = stored as i128;
    let count: i128 = shape.iter().fold(1i128, |count, &size| count.saturating_mul(size as i128));
    if count == 0 {
        return true;
    }
    let last = shape.iter().zip(strides).map(|(&size, &stride)| (size as i128 - 1) * stride as i128).sum::<i128>()
        + offset as i128;
    count <= stored && last < stored
}
