//! A unit's activation, put into another activation of the same layer.

use tch::{Kind, Tensor};

use crate::model::Model;
use crate::terms::{LayerName, Part, Place, Unit};

/// `changed` with the activation that `unit` has in `clean`, both `[R, ...]` of one layer: the unit's features at its positions, or along
/// a direction what both differ by.
pub fn patched(model: &Model, layer: &LayerName, changed: &Tensor, clean: &Tensor, unit: Unit) -> Tensor {
    let shape = changed.size();
    let maps = shape.len() == 4;
    // [R, features, positions]
    let (flat, prefix, columns) = match shape[..] {
        [_, _, _, columns] => (changed.flatten(2, -1), 0, columns),
        [_, count, _] => {
            let columns = model.tokens().grid_of(count).map_or(1, |[_, columns]| columns);
            (changed.transpose(1, 2), model.tokens().prefix, columns)
        }
        _ => (changed.flatten(1, -1).unsqueeze(-1), 0, 1),
    };
    let other = match shape.len() {
        4 => clean.flatten(2, -1),
        3 => clean.transpose(1, 2),
        _ => clean.flatten(1, -1).unsqueeze(-1),
    };
    let (features, positions) = (flat.size()[1], flat.size()[2]);
    let difference = &other - &flat;
    let difference = match unit.part {
        Part::Direction(name) => match model.directions.get(layer, name) {
            Some(vector) => {
                let vector = vector.to_device(flat.device()).to_kind(flat.kind());
                let along = difference.transpose(1, 2).matmul(&vector);
                vector.view([1, -1, 1]) * along.unsqueeze(1)
            }
            None => difference.zeros_like(),
        },
        part => {
            let [start, length] = rows_of(part, features, maps, model);
            difference * window(features, start, length, &flat).view([1, -1, 1])
        }
    };
    let everywhere = Tensor::ones([positions], (flat.kind(), flat.device()));
    let places = match unit.place {
        Place::Mean | Place::Max | Place::Top(_) => everywhere,
        Place::At(row, column) => window(positions, prefix + row as i64 * columns + column as i64, 1, &flat),
        Place::Prefix(token) if prefix == 0 => window(positions, token as i64 * columns, columns, &flat),
        Place::Prefix(token) => window(positions, token as i64, 1, &flat),
    };
    let mended = flat + difference * places.view([1, 1, -1]);
    match shape.len() {
        3 => mended.transpose(1, 2).contiguous(),
        _ => mended.reshape(shape.as_slice()),
    }
}

/// The first feature and the number of features of a part.
fn rows_of(part: Part, features: i64, maps: bool, model: &Model) -> [i64; 2] {
    let third = features / 3;
    match part {
        Part::Layer | Part::Direction(_) | Part::Sensitive(_) => [0, features],
        Part::Channel(index) | Part::Normed(index) | Part::Query(index) => [index as i64, 1],
        Part::Key(index) => [third + index as i64, 1],
        Part::Value(index) => [2 * third + index as i64, 1],
        Part::Head(index) if maps => [index as i64, 1],
        Part::Head(index) => {
            let each = features / model.heads().unwrap_or(1).max(1);
            [index as i64 * each, each]
        }
    }
}

/// Ones at some places of zeros.
fn window(count: i64, start: i64, length: i64, like: &Tensor) -> Tensor {
    let places = Tensor::arange(count, (Kind::Int64, like.device()));
    let inside = places.ge(start).logical_and(&places.lt(start + length));
    inside.to_kind(like.kind())
}
