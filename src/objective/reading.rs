//! Units of every kind, read off an activation.

use tch::{Device, Kind, Tensor};

use crate::model::Model;
use crate::terms::{LayerName, Part, Place, Unit};

/// A unit at every position of R images: values `[R, P]`, and the first position that belongs to the image.
struct Signal {
    values: Tensor,
    /// Positions before those of the patches.
    prefix: i64,
    /// Columns of the grid of positions.
    columns: i64,
}

/// Rows of one kind of unit, which are read together.
struct Group {
    /// A unit of the kind.
    first: Unit,
    /// The rows, i64.
    rows: Tensor,
    /// Channel, feature or head of each row's unit, i64.
    index: Tensor,
}

/// The rows of a batch by kind of unit, on the device: made when rows come or go, so that no step uploads anything.
pub(super) struct Groups {
    groups: Vec<Group>,
    /// Where each row's value lies among those of all groups, i64.
    order: Tensor,
}

impl Groups {
    /// One unit for each row.
    pub(super) fn new(units: &[Unit], device: Device) -> Self {
        let mut kinds: Vec<(Unit, Vec<usize>)> = Vec::new();
        for (row, unit) in units.iter().enumerate() {
            match kinds.iter_mut().find(|(first, _)| alike(first, unit)) {
                Some((_, rows)) => rows.push(row),
                None => kinds.push((*unit, vec![row])),
            }
        }
        let mut order = vec![0i64; units.len()];
        kinds.iter().flat_map(|(_, rows)| rows).zip(0..).for_each(|(&row, place)| order[row] = place);
        let upload = |values: Vec<i64>| Tensor::from_slice(&values).to_device(device);
        let group = |(first, rows): &(Unit, Vec<usize>)| Group {
            first: *first,
            rows: upload(rows.iter().map(|&row| row as i64).collect()),
            index: upload(rows.iter().map(|&row| index_of(units[row].part)).collect()),
        };
        Groups { groups: kinds.iter().map(group).collect(), order: upload(order) }
    }
}

/// The value `[R]` of each row's own unit, of whatever kind; the units exist.
pub(super) fn read(model: &Model, layer: &LayerName, activation: &Tensor, units: &Groups) -> Tensor {
    let value = |group: &Group| {
        let activations = activation.index_select(0, &group.rows);
        at_place(&signal(model, layer, &activations, group.first.part, &group.index), group.first.place)
    };
    Tensor::cat(&units.groups.iter().map(value).collect::<Vec<_>>(), 0).index_select(0, &units.order)
}

/// The values of `unit` at the positions of one image `[H, W]` or `[1, P]`; none where there is but one.
pub fn unit_map(model: &Model, layer: &LayerName, activation: &Tensor, unit: Unit) -> Option<Tensor> {
    let index = Tensor::from_slice(&[index_of(unit.part)]).to_device(activation.device());
    let signal = signal(model, layer, activation, unit.part, &index);
    let plane = signal.values.get(0).slice(0, signal.prefix, None, 1);
    let count = plane.size()[0];
    let columns = signal.columns.max(1);
    (count > 1 && count % columns == 0).then(|| plane.view([-1, columns]))
}

/// Whether two units are read by the same operations.
fn alike(a: &Unit, b: &Unit) -> bool {
    let same_part = match (a.part, b.part) {
        (Part::Direction(a), Part::Direction(b)) => a == b,
        (a, b) => std::mem::discriminant(&a) == std::mem::discriminant(&b),
    };
    same_part && a.place == b.place
}

/// Units of the kind of `part`, of which `index` `[R]` are, at every position.
fn signal(model: &Model, layer: &LayerName, activation: &Tensor, part: Part, index: &Tensor) -> Signal {
    let wide = activation.to_kind(Kind::Float);
    let wide = match part {
        Part::Normed(_) => model.normed(&wide).unwrap_or(wide),
        _ => wide,
    };
    let tokens = model.tokens();
    // [R, features, positions]
    let (features, prefix, columns) = match wide.size()[..] {
        [_, _, _, columns] => (wide.flatten(2, -1), 0, columns),
        [_, count, _] => {
            let columns = tokens.grid_of(count).map_or(1, |[_, columns]| columns);
            (wide.transpose(1, 2), tokens.prefix, columns)
        }
        _ => (wide.flatten(1, -1).unsqueeze(-1), 0, 1),
    };
    let values = parts(model, layer, &features, (part, index), activation.dim() == 4);
    Signal { values, prefix, columns }
}

/// The units at every position `[R, P]` of features `[R, F, P]`.
fn parts(model: &Model, layer: &LayerName, features: &Tensor, (part, indices): (Part, &Tensor), maps: bool) -> Tensor {
    let (count, positions) = (features.size()[1], features.size()[2]);
    let gather = |index: &Tensor| {
        let index = index.view([-1, 1, 1]).expand([-1, 1, positions], false);
        features.gather(1, &index, false).squeeze_dim(1)
    };
    let third = count / 3;
    match part {
        // Attacks look up what it is for each sample.
        Part::Sensitive(_) => features.select(1, 0) * 0.0,
        Part::Layer => features.square().mean_dim([1i64].as_slice(), false, None),
        Part::Direction(name) => match model.directions.get(layer, name) {
            Some(vector) => features.transpose(1, 2).matmul(&vector.to_device(features.device())),
            // What is driven was found before.
            None => features.select(1, 0) * 0.0,
        },
        // The channels of attention scores are the heads.
        Part::Head(_) if maps => gather(indices),
        Part::Head(_) => {
            let each = count / model.heads().unwrap_or(1).max(1);
            let index = (indices * each).view([-1, 1]) + Tensor::arange(each, (Kind::Int64, features.device()));
            let index = index.unsqueeze(-1).expand([-1, -1, positions], false);
            features.gather(1, &index, false).square().sum_dim_intlist([1i64].as_slice(), false, None)
        }
        Part::Key(_) => gather(&(indices + third)),
        Part::Value(_) => gather(&(indices + 2 * third)),
        Part::Channel(_) | Part::Normed(_) | Part::Query(_) => gather(indices),
    }
}

fn index_of(part: Part) -> i64 {
    match part {
        Part::Channel(index)
        | Part::Normed(index)
        | Part::Query(index)
        | Part::Key(index)
        | Part::Value(index)
        | Part::Head(index) => index as i64,
        Part::Direction(_) | Part::Layer | Part::Sensitive(_) => 0,
    }
}

/// The signal `[R, P]` at a place: `[R]`.
fn at_place(signal: &Signal, place: Place) -> Tensor {
    let patches = || signal.values.slice(1, signal.prefix, None, 1);
    match place {
        Place::Mean => patches().mean_dim([1i64].as_slice(), false, None),
        Place::Max => patches().amax([1i64].as_slice(), false),
        Place::Top(percent) => {
            let patches = patches();
            let count = (patches.size()[1] * i64::from(percent) + 99) / 100;
            patches.topk(count.max(1), 1, true, false).0.mean_dim([1i64].as_slice(), false, None)
        }
        Place::At(row, column) => signal.values.select(1, signal.prefix + row as i64 * signal.columns + column as i64),
        // Of attention scores: the token as the one that asks, over all that it asks of.
        Place::Prefix(token) if signal.prefix == 0 => signal
            .values
            .view([signal.values.size()[0], -1, signal.columns])
            .select(1, token as i64)
            .mean_dim([1i64].as_slice(), false, None),
        Place::Prefix(token) => signal.values.select(1, token as i64),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use tch::Device;

    use super::super::{missing, unit_values};
    use super::*;
    use crate::model::{Flow, Geometry, Network, Probe, Site, Tokens};
    use crate::suite::Normalize;

    /// A network that tells two heads, a class token before 2 x 2 patches, and a final normalization that doubles.
    struct Told;

    impl Network for Told {
        fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
            ControlFlow::Continue(probe.visit(&Site::new("flat", "Flatten"), pixels.flatten(1, -1))?)
        }

        fn tokens(&self) -> Tokens {
            Tokens { prefix: 1, grid: Some([2, 2]) }
        }

        fn heads(&self) -> Option<i64> {
            Some(2)
        }

        fn final_norm(&self, x: &Tensor) -> Option<Tensor> {
            Some(x * 2.0)
        }

        fn normed_width(&self) -> Option<i64> {
            Some(6)
        }
    }

    fn model() -> Model {
        let geometry = Geometry { channels: 1, height: 1, width: 6, classes: 6 };
        Model::custom("told", Box::new(Told), geometry, &Normalize { mean: vec![0.0], std: vec![1.0] })
    }

    fn read(activation: &Tensor, units: &[&str]) -> Vec<f32> {
        let (model, layer) = (model(), LayerName::from("x"));
        let vector = Tensor::from_slice(&[0.0f32, 1.0, 0.0, -1.0, 0.0, 0.0]);
        model.directions.set(&layer, crate::terms::DirectionName::new("v.txt"), vector);
        let units: Vec<Unit> = units.iter().map(|unit| unit.parse().unwrap()).collect();
        let rows = activation.expand([units.len() as i64, -1, -1], false);
        Vec::try_from(unit_values(&model, &layer, &rows, &units)).unwrap()
    }

    #[test]
    fn tokens_are_read_as_written() {
        // Five tokens of six features: the class token, then the patches.
        let activation = Tensor::arange(30, (Kind::Float, Device::Cpu)).view([1, 5, 6]);
        let found =
            read(&activation, &["1", "1@class", "1@1,0", "1@max", "1@top:50", "normed:1", "q:1", "k:1", "v:1@class"]);
        assert_eq!(found, [16.0, 1.0, 19.0, 25.0, 22.0, 32.0, 16.0, 18.0, 5.0]);
        // Features 1 less 3 are -2 everywhere; the vector is scaled to length 1.
        assert!((read(&activation, &["direction:v.txt"])[0] + 2f32.sqrt()).abs() < 1e-5);
        // The second head of the class token: 3, 4, 5.
        assert_eq!(read(&activation, &["head:1@class", "head:0@class"]), [50.0, 5.0]);
        let layer = read(&activation, &["layer@class"])[0];
        assert!((layer - 55.0 / 6.0).abs() < 1e-5, "{layer}");
    }

    #[test]
    fn gradients_reach_every_part() {
        let activation = Tensor::arange(30, (Kind::Float, Device::Cpu)).view([1, 5, 6]).set_requires_grad(true);
        let model = model();
        for text in ["3", "3@class", "3@max", "3@top:50", "head:1", "layer", "q:1", "normed:2"] {
            let unit: Unit = text.parse().unwrap();
            let value = unit_values(&model, &"x".into(), &activation, &[unit]);
            let gradient = Tensor::run_backward(&[value.sum(Kind::Float)], &[&activation], false, false).remove(0);
            assert!(gradient.abs().max().double_value(&[]) > 0.0, "{text}");
        }
    }

    #[test]
    fn units_that_are_not_there_are_explained() {
        let problem = |unit: &str, shape: &[i64], kind: &'static str| {
            missing(&model(), unit.parse().unwrap(), &crate::model::LayerInfo::bare("x", kind, shape))
        };
        assert_eq!(problem("head:1", &[5, 6], "AttentionHeads"), None);
        assert!(problem("head:2", &[5, 6], "AttentionHeads").unwrap().contains("2 heads, 0 to 1"));
        assert!(problem("head:0", &[8, 4, 4], "Conv2d").unwrap().contains("attention"));
        assert!(problem("3@class", &[8, 4, 4], "Conv2d").unwrap().contains("no class token"));
        assert!(problem("q:1", &[5, 7], "Linear").unwrap().contains("queries, keys and values"));
        assert_eq!(problem("q:1", &[5, 6], "Linear"), None);
        assert!(problem("v:2", &[5, 6], "Linear").unwrap().contains("0 to 1"));
        assert!(problem("3@prefix:1", &[5, 6], "Block").unwrap().contains("1 token"));
        assert_eq!(problem("normed:1", &[5, 6], "Block"), None);
        assert!(problem("normed:1", &[5, 24], "GELU").unwrap().contains("final normalization"));
        assert!(problem("9@max", &[5, 6], "Block").unwrap().contains("0 to 5"));
    }
}
