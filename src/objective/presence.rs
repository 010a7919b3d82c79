//! Whether a layer has a unit.

use crate::model::{LayerInfo, Model, Tokens};
use crate::terms::{Part, Place, Unit};

/// Why `unit` does not exist in a layer of `model`; none if it does.
pub fn missing(model: &Model, unit: Unit, layer: &LayerInfo) -> Option<String> {
    absent(unit, layer, &Known { tokens: model.tokens(), heads: model.heads(), normed: model.normed_width() })
}

/// What a network tells of itself.
struct Known {
    tokens: Tokens,
    heads: Option<i64>,
    /// Features of the stream that is normalized at the end.
    normed: Option<i64>,
}

fn absent(unit: Unit, layer: &LayerInfo, known: &Known) -> Option<String> {
    let shape = layer.shape.as_slice();
    let scores = layer.kind == "AttentionLogits";
    let features = match *shape {
        [channels, _, _] => channels,
        [_, features] => features,
        _ => shape.iter().product(),
    };
    let none_of = |noun: &str, count: i64, index: usize| {
        (index as i64 >= count).then(|| format!("it has {count} {noun}, 0 to {}", count - 1))
    };
    let part = match unit.part {
        Part::Channel(index) => none_of("units", features, index),
        Part::Normed(_) if shape.len() != 2 || known.normed != Some(features) => Some(
            "`normed` reads a residual stream of tokens behind the network's final normalization; this layer or network has none"
                .to_owned(),
        ),
        Part::Normed(index) => none_of("units", features, index),
        Part::Query(index) | Part::Key(index) | Part::Value(index) => match shape {
            [_, width] if width % 3 == 0 && layer.kind == "Linear" => {
                none_of("features of queries, of keys and of values each", width / 3, index)
            }
            _ => Some(format!(
                "`q`, `k` and `v` are units of the layer of queries, keys and values (`….qkv`, `….in_proj`); this one is a {}",
                layer.kind
            )),
        },
        Part::Head(index) if scores => none_of("heads", features, index),
        Part::Head(index) => match (known.heads, shape) {
            (Some(heads), [_, width]) if layer.kind == "AttentionHeads" && width % heads == 0 => {
                none_of("heads", heads, index)
            }
            _ => Some(format!(
                "heads are units of attention layers of Vision Transformers (`….heads`, `….logits`); this one is a {}",
                layer.kind
            )),
        },
        Part::Sensitive(rank) => (rank as i64 > features).then(|| format!("it has {features} units, so that ranks go from 1 to {features}")),
        Part::Direction(_) | Part::Layer => None,
    };
    part.or_else(|| elsewhere(unit.place, shape, scores, known.tokens))
}

/// Why there is no such place.
fn elsewhere(place: Place, shape: &[i64], scores: bool, tokens: Tokens) -> Option<String> {
    let grid = match *shape {
        [_, height, width] => Some([height, width]),
        [count, _] => tokens.grid_of(count),
        _ => None,
    };
    match (place, grid) {
        (Place::At(y, x), Some([height, width])) if y as i64 >= height || x as i64 >= width => {
            Some(format!("its positions go from 0,0 to {},{}", height - 1, width - 1))
        }
        (Place::At(..), None) if shape.len() == 2 => {
            Some("its tokens make no square of patches, so units have no positions".to_owned())
        }
        (Place::At(..), None) => Some("its units have no positions".to_owned()),
        (Place::Prefix(token), _) if shape.len() != 2 && !scores => {
            Some(format!("it has no {}: its activations are no tokens", token_word(token)))
        }
        (Place::Prefix(token), _) if token as i64 >= tokens.prefix => Some(match tokens.prefix {
            0 => format!("its network has no {} and no other token before those of the patches", token_word(token)),
            1 => "its network has 1 token before those of the patches, `class`".to_owned(),
            count => {
                format!("its network has {count} tokens before those of the patches, `class` to `prefix:{}`", count - 1)
            }
        }),
        _ => None,
    }
}

fn token_word(token: usize) -> String {
    if token == 0 { "class token".to_owned() } else { format!("token `prefix:{token}`") }
}
