//! Objectives on units: the activation of a channel, a feature or a single neuron.

use std::cell::OnceCell;
use std::ops::ControlFlow;

use tch::{Device, Kind, Tensor};

use super::{Levels, Objective, Scored, reading};
use crate::model::{Model, Tap, Tokens};
use crate::rows::{Drives, Row, Rows, integers, rows};
use crate::suite::Direction;
use crate::terms::{LayerName, Part, Place, Unit};

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

/// The units of rows, on the host, and what reads units of any kind, once it was asked for since rows came or went.
struct Units {
    units: Vec<Unit>,
    groups: OnceCell<reading::Groups>,
}

impl Units {
    fn new(units: Vec<Unit>) -> Self {
        Units { units, groups: OnceCell::new() }
    }

    fn groups(&self, device: Device) -> &reading::Groups {
        self.groups.get_or_init(|| reading::Groups::new(&self.units, device))
    }
}

impl Rows for Units {
    fn keep(&mut self, index: &Tensor) {
        *self = self.pick(index);
    }

    fn pick(&self, index: &Tensor) -> Self {
        Units::new(integers(index).into_iter().map(|row| self.units[row as usize]).collect())
    }

    fn append(&mut self, more: Self) {
        self.units.extend(more.units);
        self.groups.take();
    }
}

rows! {
    /// Which unit of a layer each row looks at.
    struct Places {
        each {
            /// The units.
            units: Units,
            /// Channel or feature `[R]`, i64.
            index: Tensor,
            /// Row and column of a neuron `[R]`, i64; 0 for units that are averaged over positions.
            y: Tensor,
            x: Tensor,
            /// Whether it is a neuron `[R]`.
            neuron: Tensor,
        }
        all {
            /// What any row of the batch, now or later, looks at.
            variety: Variety,
        }
    }
}

/// How different the units of a search are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variety {
    /// Means of channels or features alone.
    Means,
    /// Single neurons too.
    Neurons,
    /// Units of any kind.
    Any,
}

impl Variety {
    /// That of these units.
    pub fn of_units(units: impl IntoIterator<Item = Unit>) -> Self {
        let variety = |unit: Unit| match (unit.part, unit.place) {
            (Part::Channel(_), Place::Mean) | (Part::Sensitive(_), _) => Variety::Means,
            (Part::Channel(_), Place::At(..)) => Variety::Neurons,
            _ => Variety::Any,
        };
        units.into_iter().map(variety).max().unwrap_or(Variety::Means)
    }
}

impl Places {
    fn new(units: &[Unit], variety: Variety, device: Device) -> Self {
        let place = |unit: &Unit| match unit.place {
            Place::At(y, x) => (y as i64, x as i64),
            _ => (0, 0),
        };
        let upload = |value: &dyn Fn(&Unit) -> i64| {
            let values: Vec<i64> = units.iter().map(value).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        let single: Vec<bool> = units.iter().map(|unit| unit.has_position()).collect();
        Places {
            units: Units::new(units.to_vec()),
            index: upload(&|unit| unit.index().unwrap_or(0) as i64),
            y: upload(&|unit| place(unit).0),
            x: upload(&|unit| place(unit).1),
            neuron: Tensor::from_slice(&single).to_device(device),
            variety,
        }
    }

    /// The activation `[R]` of each row's unit. One gather for all means and neurons.
    fn values(&self, model: &Model, layer: &LayerName, activation: &Tensor) -> Tensor {
        if self.variety == Variety::Any {
            return reading::read(model, layer, activation, self.units.groups(activation.device()));
        }
        let tokens = model.tokens();
        let mean = || super::logits::pick(&unit_means(activation, tokens), &self.index);
        let flat = match (self.variety, &activation.size()[1..]) {
            (Variety::Neurons, &[_, height, width]) => (&self.index * height + &self.y) * width + &self.x,
            (Variety::Neurons, &[count, features]) => {
                let columns = tokens.grid_of(count).map_or(0, |[_, columns]| columns);
                (&self.y * columns + &self.x + tokens.prefix) * features + &self.index
            }
            _ => return mean(),
        };
        let single = super::logits::pick(&activation.to_kind(Kind::Float).flatten(1, -1), &flat);
        single.where_self(&self.neuron, &mean())
    }
}

/// The activation `[R]` of each row's own unit of `layer`; `units` has one entry for each row, and each unit exists.
pub fn unit_values(model: &Model, layer: &LayerName, activation: &Tensor, units: &[Unit]) -> Tensor {
    let variety = Variety::of_units(units.iter().copied());
    Places::new(units, variety, activation.device()).values(model, layer, activation)
}

rows! {
    /// The activation of a unit of one layer, raised or lowered. The pass leaves the network at the layer.
    pub struct UnitObjective {
        each {
            levels: Levels,
            places: Places,
            /// 1, or -1 for rows that go the other way `[R]`.
            sign: Tensor,
        }
        all { layer: LayerName, direction: Direction }
    }
}

impl UnitObjective {
    /// For `rows` that drive units of `layer`; `variety` is that of the units of the whole search.
    pub fn new(
        layer: &LayerName,
        direction: Direction,
        variety: Variety,
        rows: &[Row],
        predictions: &[i64],
        device: Device,
    ) -> Self {
        let unit = |row: &Row| match row.drives {
            Drives::Unit(unit) | Drives::Lowered(unit) => unit,
            _ => unreachable!("rows of a unit attack drive units"),
        };
        let units: Vec<Unit> = rows.iter().map(unit).collect();
        let signs: Vec<f32> = rows.iter().map(|row| row.drives.sign() as f32).collect();
        UnitObjective {
            sign: Tensor::from_slice(&signs).to_device(device),
            levels: Levels::new(rows, predictions, device),
            places: Places::new(&units, variety, device),
            layer: layer.clone(),
            direction,
        }
    }
}

impl Objective for UnitObjective {
    fn score(&self, model: &Model, pixels: &Tensor, full_pass: bool) -> Scored {
        // The logits are looked at alone.
        let mut tap = if full_pass { Tap::passing_without_gradients(&self.layer) } else { Tap::leaving(&self.layer) };
        let logits = match model.forward(pixels, &mut tap) {
            ControlFlow::Continue(logits) => Some(logits),
            ControlFlow::Break(()) => None,
        };
        let Some(activation) = tap.into_activation() else {
            unreachable!("the layer `{}` was found before the attack began", self.layer)
        };
        let value = self.places.values(model, &self.layer, &activation) * &self.sign;
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

#[cfg(test)]
mod tests {
    use super::super::missing;
    use super::*;
    use crate::model::{Flow, Geometry, LayerInfo, Network, Probe};
    use crate::suite::Normalize;

    /// Nothing but what it tells of its tokens.
    struct Told(Tokens);

    impl Network for Told {
        fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
            ControlFlow::Continue(pixels.flatten(1, -1))
        }

        fn tokens(&self) -> Tokens {
            self.0
        }
    }

    fn model(tokens: Tokens) -> Model {
        let geometry = Geometry { channels: 1, height: 1, width: 2, classes: 2 };
        Model::custom("told", Box::new(Told(tokens)), geometry, &Normalize { mean: vec![0.0], std: vec![1.0] })
    }

    /// A class token before a square of patches.
    const CLASS: Tokens = Tokens { prefix: 1, grid: None };

    fn values(activation: &Tensor, units: &[Unit], tokens: Tokens) -> Vec<f32> {
        Vec::try_from(unit_values(&model(tokens), &"x".into(), activation, units)).unwrap()
    }

    fn absent(unit: Unit, shape: &[i64], tokens: Tokens) -> Option<String> {
        missing(&model(tokens), unit, &LayerInfo::bare("x", "Conv2d", shape))
    }

    /// On a GPU every upload waits for the device, so that no step may make one.
    #[test]
    fn what_reads_units_is_uploaded_when_rows_come_or_go_and_at_no_step() {
        let mut units = Units::new(vec![Unit::channel(0), Unit::channel(1)]);
        let first = std::ptr::from_ref(units.groups(Device::Cpu));
        assert_eq!(std::ptr::from_ref(units.groups(Device::Cpu)), first);
        units.append(Units::new(vec![Unit::channel(2)]));
        assert!(units.groups.get().is_none());
        units.groups(Device::Cpu);
        units.keep(&Tensor::from_slice(&[2i64, 0]));
        assert!(units.groups.get().is_none() && units.units == [Unit::channel(2), Unit::channel(0)]);
    }

    #[test]
    fn each_row_has_its_own_unit() {
        let activation = Tensor::arange(2 * 3 * 2 * 2, (Kind::Float, Device::Cpu)).view([2, 3, 2, 2]);
        let means = values(&activation, &[Unit::channel(0), Unit::channel(2)], Tokens::default());
        assert_eq!(means, [1.5, 21.5]);
        let mixed = values(&activation, &[Unit::neuron(1, 1, 0), Unit::channel(2)], Tokens::default());
        assert_eq!(mixed, [6.0, 21.5]);
    }

    #[test]
    fn units_of_any_kind_are_sorted_once_and_anew_where_rows_come_or_go() {
        let unit = |text: &str| text.parse::<Unit>().unwrap();
        let mut units = Units::new(vec![unit("0"), unit("1@max"), unit("2")]);
        let read = |units: &Units| {
            let count = units.units.len() as i64;
            let activation =
                Tensor::arange(12, (Kind::Float, Device::Cpu)).view([1, 3, 2, 2]).expand([count, -1, -1, -1], false);
            let value = reading::read(&model(Tokens::default()), &"x".into(), &activation, units.groups(Device::Cpu));
            Vec::<f32>::try_from(value).unwrap()
        };
        assert_eq!(read(&units), [1.5, 7.0, 9.5]);
        let made: *const reading::Groups = units.groups(Device::Cpu);
        assert!(std::ptr::eq(made, units.groups(Device::Cpu)), "a step sorts and uploads nothing");
        units.append(Units::new(vec![unit("2@max")]));
        assert_eq!(read(&units), [1.5, 7.0, 9.5, 11.0]);
        units.keep(&Tensor::from_slice(&[3i64, 0]));
        assert_eq!(read(&units), [11.0, 1.5]);
    }

    #[test]
    fn prefix_tokens_are_left_out() {
        let activation = Tensor::from_slice(&[100.0f32, 200.0, 1.0, 2.0, 3.0, 4.0]).view([1, 3, 2]);
        assert_eq!(values(&activation, &[Unit::channel(1)], CLASS), [3.0]);
    }

    #[test]
    fn neurons_of_tokens_lie_in_the_grid_of_patches() {
        let activation = Tensor::arange(7 * 2, (Kind::Float, Device::Cpu)).view([1, 7, 2]);
        let wide = Tokens { prefix: 1, grid: Some([2, 3]) };
        let value = |unit| values(&activation, &[unit], wide);
        // Token 1 + 1 * 3 + 2 = 6, whose features are 12 and 13.
        assert_eq!((value(Unit::neuron(0, 0, 0)), value(Unit::neuron(1, 1, 2))), (vec![2.0], vec![13.0]));
        assert_eq!(absent(Unit::neuron(1, 1, 2), &[7, 2], wide), None);
        assert_eq!(absent(Unit::neuron(1, 2, 0), &[7, 2], wide).unwrap(), "its positions go from 0,0 to 1,2");
    }

    #[test]
    fn missing_units_are_explained() {
        assert!(absent(Unit::channel(3), &[4, 2, 2], Tokens::default()).is_none());
        assert!(absent(Unit::channel(4), &[4, 2, 2], Tokens::default()).is_some());
        assert!(absent(Unit::neuron(0, 2, 0), &[4, 2, 2], Tokens::default()).is_some());
        assert!(absent(Unit::neuron(0, 0, 0), &[10], Tokens::default()).is_some());
        assert!(absent(Unit::neuron(0, 0, 3), &[17, 8], CLASS).is_none());
        assert!(absent(Unit::neuron(0, 0, 3), &[21, 8], CLASS).is_some());
    }
}
