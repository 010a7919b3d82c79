//! Objectives on units: the activation of a channel, a feature or a single neuron.

use tch::{Kind, Tensor};

use crate::model::Tokens;
use crate::terms::Unit;

/// Every unit's activation `[R, U]` in f32, averaged over positions: over rows and columns of `[R, C, H, W]`, over the patches among
/// the `tokens` of `[R, T, D]`; `[R, D]` as it is.
pub fn unit_means(activation: &Tensor, tokens: Tokens) -> Tensor {
    let wide = activation.to_kind(Kind::Float);
    match wide.dim() {
        4 => wide.mean_dim([2i64, 3].as_slice(), false, None),
        3 => wide.slice(1, tokens.prefix, None, 1).mean_dim([1i64].as_slice(), false, None),
        _ => wide.flatten(1, -1),
    }
}

/// The activation `[R]` of each row's own unit; `units` has one entry for each row.
///
/// Neurons of token layers are addressed as (row, column) of the grid of patches ([`missing`] checks that there is one).
pub fn unit_values(activation: &Tensor, units: &[Unit], tokens: Tokens) -> Tensor {
    let device = activation.device();
    let index: Vec<i64> = units.iter().map(|unit| unit.index as i64).collect();
    let index = Tensor::from_slice(&index).to_device(device);
    if units.iter().all(|unit| unit.position.is_none()) {
        return super::logits::pick(&unit_means(activation, tokens), &index);
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
                    let columns = tokens.grid_of(wide.size()[1]).map_or(0, |[_, columns]| columns);
                    of_row.select(1, tokens.prefix + y as i64 * columns + x as i64).select(1, unit.index as i64)
                }
                _ => unit_means(&of_row, tokens).select(1, unit.index as i64),
            }
        })
        .collect();
    Tensor::cat(&values, 0)
}

/// Why `unit` does not exist in a layer whose activation for one image has this shape; none if it does.
pub fn missing(unit: Unit, shape: &[i64], tokens: Tokens) -> Option<String> {
    let (units, grid) = match *shape {
        [channels, height, width] => (channels, Some([height, width])),
        [count, features] => (features, tokens.grid_of(count)),
        _ => (shape.iter().product(), None),
    };
    if unit.index as i64 >= units {
        return Some(format!("it has {units} units, 0 to {}", units - 1));
    }
    match (unit.position, grid) {
        (Some((y, x)), Some([height, width])) if y as i64 >= height || x as i64 >= width => {
            Some(format!("its positions go from 0,0 to {},{}", height - 1, width - 1))
        }
        (Some(_), None) if shape.len() == 2 => {
            Some("its tokens make no square of patches, so units have no positions".to_owned())
        }
        (Some(_), None) => Some("its units have no positions".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// A class token before a square of patches.
    const CLASS: Tokens = Tokens { prefix: 1, grid: None };

    #[test]
    fn each_row_has_its_own_unit() {
        let activation = Tensor::arange(2 * 3 * 2 * 2, (Kind::Float, Device::Cpu)).view([2, 3, 2, 2]);
        let means = unit_values(&activation, &[Unit::channel(0), Unit::channel(2)], Tokens::default());
        assert_eq!(Vec::<f32>::try_from(means).unwrap(), [1.5, 21.5]);
        let neuron = Unit { index: 1, position: Some((1, 0)) };
        let mixed = unit_values(&activation, &[neuron, Unit::channel(2)], Tokens::default());
        assert_eq!(Vec::<f32>::try_from(mixed).unwrap(), [6.0, 21.5]);
    }

    #[test]
    fn prefix_tokens_are_left_out() {
        let activation = Tensor::from_slice(&[100.0f32, 200.0, 1.0, 2.0, 3.0, 4.0]).view([1, 3, 2]);
        assert_eq!(Vec::<f32>::try_from(unit_values(&activation, &[Unit::channel(1)], CLASS)).unwrap(), [3.0]);
    }

    #[test]
    fn neurons_of_tokens_lie_in_the_grid_of_patches() {
        let activation = Tensor::arange(7 * 2, (Kind::Float, Device::Cpu)).view([1, 7, 2]);
        let neuron = |index, y, x| Unit { index, position: Some((y, x)) };
        let wide = Tokens { prefix: 1, grid: Some([2, 3]) };
        let value = |unit| Vec::<f32>::try_from(unit_values(&activation, &[unit], wide)).unwrap();
        // Token 1 + 1 * 3 + 2 = 6, whose features are 12 and 13.
        assert_eq!((value(neuron(0, 0, 0)), value(neuron(1, 1, 2))), (vec![2.0], vec![13.0]));
        assert_eq!(missing(neuron(1, 1, 2), &[7, 2], wide), None);
        assert_eq!(missing(neuron(1, 2, 0), &[7, 2], wide).unwrap(), "its positions go from 0,0 to 1,2");
    }

    #[test]
    fn missing_units_are_explained() {
        assert!(missing(Unit::channel(3), &[4, 2, 2], Tokens::default()).is_none());
        assert!(missing(Unit::channel(4), &[4, 2, 2], Tokens::default()).is_some());
        assert!(missing(Unit { index: 0, position: Some((2, 0)) }, &[4, 2, 2], Tokens::default()).is_some());
        assert!(missing(Unit { index: 0, position: Some((0, 0)) }, &[10], Tokens::default()).is_some());
        assert!(missing(Unit { index: 0, position: Some((0, 3)) }, &[17, 8], CLASS).is_none());
        assert!(missing(Unit { index: 0, position: Some((0, 3)) }, &[21, 8], CLASS).is_some());
    }
}
