//! Objectives on units: the activation of a channel, a feature or a single neuron.

use std::ops::ControlFlow;

use tch::{Device, Kind, Tensor};

use super::{Levels, Objective, Scored};
use crate::model::{Model, Tap, Tokens};
use crate::rows::{Drives, Row, rows};
use crate::suite::Direction;
use crate::terms::{LayerName, Unit};

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

rows! {
    /// Which unit of a layer each row looks at.
    struct Places {
        each {
            /// Channel or feature `[R]`, i64.
            unit: Tensor,
            /// Row and column of a neuron `[R]`, i64; 0 for units that are averaged over positions.
            y: Tensor,
            x: Tensor,
            /// Whether it is a neuron `[R]`.
            neuron: Tensor,
        }
        all {
            /// Whether any row of the batch, now or later, looks at a neuron.
            neurons: bool,
        }
    }
}

impl Places {
    fn new(units: &[Unit], neurons: bool, device: Device) -> Self {
        let upload = |value: fn(&Unit) -> usize| {
            let values: Vec<i64> = units.iter().map(|unit| value(unit) as i64).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        let single: Vec<bool> = units.iter().map(|unit| unit.position.is_some()).collect();
        Places {
            unit: upload(|unit| unit.index),
            y: upload(|unit| unit.position.map_or(0, |(y, _)| y)),
            x: upload(|unit| unit.position.map_or(0, |(_, x)| x)),
            neuron: Tensor::from_slice(&single).to_device(device),
            neurons,
        }
    }

    /// The activation `[R]` of each row's unit. One gather for all neurons.
    fn values(&self, activation: &Tensor, tokens: Tokens) -> Tensor {
        let mean = || super::logits::pick(&unit_means(activation, tokens), &self.unit);
        let flat = match (self.neurons, &activation.size()[1..]) {
            (true, &[_, height, width]) => (&self.unit * height + &self.y) * width + &self.x,
            (true, &[count, features]) => {
                let columns = tokens.grid_of(count).map_or(0, |[_, columns]| columns);
                (&self.y * columns + &self.x + tokens.prefix) * features + &self.unit
            }
            _ => return mean(),
        };
        let single = super::logits::pick(&activation.to_kind(Kind::Float).flatten(1, -1), &flat);
        single.where_self(&self.neuron, &mean())
    }
}

/// The activation `[R]` of each row's own unit; `units` has one entry for each row.
///
/// Neurons of token layers are addressed as (row, column) of the grid of patches ([`missing`] checks that there is one).
pub fn unit_values(activation: &Tensor, units: &[Unit], tokens: Tokens) -> Tensor {
    let neurons = units.iter().any(|unit| unit.position.is_some());
    Places::new(units, neurons, activation.device()).values(activation, tokens)
}

rows! {
    /// The activation of a unit of one layer, raised or lowered. The pass leaves the network at the layer.
    pub struct UnitObjective {
        each { levels: Levels, places: Places }
        all { layer: LayerName, direction: Direction }
    }
}

impl UnitObjective {
    /// For `rows` that drive units of `layer`; `neurons` says whether any row of the whole search drives a single neuron.
    pub fn new(
        layer: &LayerName,
        direction: Direction,
        neurons: bool,
        rows: &[Row],
        predictions: &[i64],
        device: Device,
    ) -> Self {
        let unit = |row: &Row| match row.drives {
            Drives::Unit(unit) => unit,
            _ => unreachable!("rows of a unit attack drive units"),
        };
        let units: Vec<Unit> = rows.iter().map(unit).collect();
        UnitObjective {
            levels: Levels::new(rows, predictions, device),
            places: Places::new(&units, neurons, device),
            layer: layer.clone(),
            direction,
        }
    }
}

impl Objective for UnitObjective {
    fn score(&self, model: &Model, pixels: &Tensor, whole: bool) -> Scored {
        let mut tap = if whole { Tap::passing(&self.layer) } else { Tap::leaving(&self.layer) };
        let logits = match model.forward(pixels, &mut tap) {
            ControlFlow::Continue(logits) => Some(logits),
            ControlFlow::Break(()) => None,
        };
        let Some(activation) = tap.into_activation() else {
            unreachable!("the layer `{}` was found before the attack began", self.layer)
        };
        let value = self.places.values(&activation, model.tokens());
        let score = match self.direction {
            Direction::Maximize => value,
            Direction::Suppress => -value,
        };
        Scored { score, level: logits.as_ref().map(|logits| self.levels.reached(logits)), logits }
    }

    fn truncates(&self) -> bool {
        true
    }
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
