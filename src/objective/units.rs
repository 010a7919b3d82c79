//! Objectives on units: the activation of a channel, a feature or a single neuron.

use tch::{Kind, Tensor};

use crate::terms::Unit;

/// Every unit's activation `[R, U]` in f32, averaged over positions: over rows and columns of `[R, C, H, W]`, over the patch tokens
/// (those behind the `prefix` first) of `[R, T, D]`; `[R, D]` as it is.
pub fn unit_means(activation: &Tensor, prefix: i64) -> Tensor {
    let wide = activation.to_kind(Kind::Float);
    match wide.dim() {
        4 => wide.mean_dim([2i64, 3].as_slice(), false, None),
        3 => wide.slice(1, prefix, None, 1).mean_dim([1i64].as_slice(), false, None),
        _ => wide.flatten(1, -1),
    }
}

/// The activation `[R]` of each row's own unit; `units` has one entry for each row.
///
/// Neurons of token layers are addressed as (row, column) of the patch grid, which is a square ([`missing`] checks it).
pub fn unit_values(activation: &Tensor, units: &[Unit], prefix: i64) -> Tensor {
    let device = activation.device();
    let index: Vec<i64> = units.iter().map(|unit| unit.index as i64).collect();
    let index = Tensor::from_slice(&index).to_device(device);
    if units.iter().all(|unit| unit.position.is_none()) {
        return super::logits::pick(&unit_means(activation, prefix), &index);
    }
    let wide = activation.to_kind(Kind::Float);
    let values: Vec<Tensor> = units
        .iter()
        .enumerate()
        .map(|(row, unit)| {
            let of_row = wide.narrow(0, row as i64, 1);
            match (unit.position, wide.dim()) {
                (Some((y, x)), 4) => of_row.select(1, unit.index as i64).select(1, y as i64).select(1, x as i64),
                (Some((y, x)), 3) => {
                    let side = ((wide.size()[1] - prefix) as f64).sqrt() as i64;
                    of_row.select(1, prefix + y as i64 * side + x as i64).select(1, unit.index as i64)
                }
                _ => unit_means(&of_row, prefix).select(1, unit.index as i64),
            }
        })
        .collect();
    Tensor::cat(&values, 0)
}

/// Why `unit` does not exist in a layer whose activation for one image has this shape; none if it does.
pub fn missing(unit: Unit, shape: &[i64], prefix: i64) -> Option<String> {
    let (units, grid) = match *shape {
        [channels, height, width] => (channels, Some((height, width))),
        [tokens, features] => {
            let side = ((tokens - prefix) as f64).sqrt() as i64;
            (features, (side * side == tokens - prefix).then_some((side, side)))
        }
        _ => (shape.iter().product(), None),
    };
    if unit.index as i64 >= units {
        return Some(format!("it has {units} units, 0 to {}", units - 1));
    }
    match (unit.position, grid) {
        (Some((y, x)), Some((height, width))) if y as i64 >= height || x as i64 >= width => {
            Some(format!("its positions go from 0,0 to {},{}", height - 1, width - 1))
        }
        (Some(_), None) if shape.len() == 2 => {
            Some("its patches make no square, so units have no positions".to_owned())
        }
        (Some(_), None) => Some("its units have no positions".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn each_row_has_its_own_unit() {
        let activation = Tensor::arange(2 * 3 * 2 * 2, (Kind::Float, Device::Cpu)).view([2, 3, 2, 2]);
        let means = unit_values(&activation, &[Unit::channel(0), Unit::channel(2)], 0);
        assert_eq!(Vec::<f32>::try_from(means).unwrap(), [1.5, 21.5]);
        let neuron = Unit { index: 1, position: Some((1, 0)) };
        let mixed = unit_values(&activation, &[neuron, Unit::channel(2)], 0);
        assert_eq!(Vec::<f32>::try_from(mixed).unwrap(), [6.0, 21.5]);
    }

    #[test]
    fn prefix_tokens_are_left_out() {
        let activation = Tensor::from_slice(&[100.0f32, 200.0, 1.0, 2.0, 3.0, 4.0]).view([1, 3, 2]);
        assert_eq!(Vec::<f32>::try_from(unit_values(&activation, &[Unit::channel(1)], 1)).unwrap(), [3.0]);
    }

    #[test]
    fn missing_units_are_explained() {
        assert!(missing(Unit::channel(3), &[4, 2, 2], 0).is_none());
        assert!(missing(Unit::channel(4), &[4, 2, 2], 0).is_some());
        assert!(missing(Unit { index: 0, position: Some((2, 0)) }, &[4, 2, 2], 0).is_some());
        assert!(missing(Unit { index: 0, position: Some((0, 0)) }, &[10], 0).is_some());
        assert!(missing(Unit { index: 0, position: Some((0, 3)) }, &[17, 8], 1).is_none());
        assert!(missing(Unit { index: 0, position: Some((0, 3)) }, &[21, 8], 1).is_some());
    }
}
