//! Values that are copied off the device, and values of rows in the shape of what they go with.

use tch::{Device, Kind, Tensor};

/// The values of a tensor as f32, in row-major order. Waits for the device.
///
/// # Panics
/// With libtorch's words if the copy fails; runs are guarded against that.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    copied(tensor.to_kind(Kind::Float))
}

/// The values of a tensor as f64, in row-major order. Waits for the device.
///
/// # Panics
/// As [`floats`].
pub fn doubles(tensor: &Tensor) -> Vec<f64> {
    copied(tensor.to_kind(Kind::Double))
}

/// The values of a tensor as i64, in row-major order. Waits for the device.
///
/// # Panics
/// As [`floats`].
pub fn integers(tensor: &Tensor) -> Vec<i64> {
    copied(tensor.to_kind(Kind::Int64))
}

/// Whether some of the `flags` may be set: on a CPU, where looking costs nothing, whether one is; elsewhere yes, since looking would wait for
/// the device.
pub fn may_hold(flags: &Tensor) -> bool {
    flags.device() != Device::Cpu || integers(&flags.any()).contains(&1)
}

/// The rows `[R, C, H, W]` of `new` where `flags` `[R]` are set, those of `old` elsewhere.
pub fn where_rows(flags: &Tensor, new: &Tensor, old: &Tensor) -> Tensor {
    match may_hold(flags) {
        true => new.where_self(&flags.view([-1, 1, 1, 1]), old),
        false => old.shallow_clone(),
    }
}

fn copied<T>(tensor: Tensor) -> Vec<T>
where
    Vec<T>: TryFrom<Tensor, Error = tch::TchError>,
{
    match Vec::try_from(tensor.flatten(0, -1)) {
        Ok(values) => values,
        Err(error) => panic!("{error}"),
    }
}

/// `values` `[R]`, one for each row, in the shape that goes with `tensor` `[R, ..]`: `[R, 1, ..]`.
pub fn per_row(values: &Tensor, tensor: &Tensor) -> Tensor {
    let shape: Vec<i64> = std::iter::once(-1).chain(std::iter::repeat_n(1, tensor.dim() - 1)).collect();
    values.view(shape.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty answer would be read out of bounds by whoever asked.
    #[test]
    #[should_panic(expected = "tensor does not have")]
    fn a_copy_that_fails_is_no_empty_answer() {
        floats(&Tensor::new());
    }
}
