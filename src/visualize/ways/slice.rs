//! A slice of the decision regions: the plane through an image that an attack's perturbation and the margin's gradient span, or what another
//! unit does.

use tch::{Kind, Tensor};

use crate::attack::AttackBlock;
use crate::random::Noise;
use crate::record::SliceRecord;
use crate::rows::{floats, integers};
use crate::terms::Unit;

/// How far the axes go, in lengths of the perturbation.
const REACH: f64 = 1.6;

/// The plane around a sample with `side` points along each axis, if the attack moved the image at all.
pub(super) fn slice(
    block: &AttackBlock,
    sample: usize,
    adversarial: &Tensor,
    other: Option<(Unit, Tensor)>,
    side: usize,
    noise: &Noise,
) -> Option<SliceRecord> {
    let clean = block.bench.clean.pixels.narrow(0, sample as i64, 1);
    let delta = (adversarial - &clean).flatten(0, -1);
    let length = delta.norm().double_value(&[]);
    if length == 0.0 || !length.is_finite() {
        return None;
    }
    let first = &delta / length;
    let of_unit = other.and_then(|(unit, image)| {
        let second = across(&(image - &clean).flatten(0, -1), &first)?;
        Some((second, Some(unit.to_string())))
    });
    let of_gradient = || {
        let second = across(&block.margin_gradient(sample).flatten(0, -1), &first).or_else(|| {
            let key = block.bench.clean.ids[sample].as_str();
            let drawn = Tensor::from_slice(&noise.uniform(key, first.numel())).to_device(first.device());
            across(&drawn, &first)
        })?;
        Some((second, None))
    };
    let (second, unit) = of_unit.or_else(of_gradient)?;
    let reach = REACH * length;
    let places: Vec<f32> = (0..side).map(|at| ((2.0 * at as f64 / (side - 1) as f64 - 1.0) * reach) as f32).collect();
    let (mut classes, mut confidence, mut linf) = (Vec::new(), Vec::new(), Vec::new());
    let cells: Vec<(f32, f32)> = places.iter().rev().flat_map(|&b| places.iter().map(move |&a| (a, b))).collect();
    for part in cells.chunks(block.bench.capacity.max(1)) {
        let column = |values: Vec<f32>| Tensor::from_slice(&values).to_device(first.device()).unsqueeze(1);
        let a = column(part.iter().map(|cell| cell.0).collect());
        let b = column(part.iter().map(|cell| cell.1).collect());
        let moved = a * first.unsqueeze(0) + b * second.unsqueeze(0);
        let shape: Vec<i64> = std::iter::once(part.len() as i64).chain(clean.size()[1..].iter().copied()).collect();
        let images = (&clean + moved.view(shape.as_slice())).clamp(0.0, 1.0);
        let (chance, class) = block.answers(&images).softmax(-1, Kind::Float).max_dim(-1, false);
        classes.extend(integers(&class).into_iter().map(|class| class as u32));
        confidence.extend(floats(&chance));
        linf.extend(floats(&moved.abs().amax([1i64].as_slice(), false)));
    }
    let adversarial_linf = delta.abs().max().double_value(&[]);
    Some(SliceRecord { side, reach, classes, confidence, linf, adversarial: length, adversarial_linf, across: unit })
}

/// What of `vector` is at right angles to the unit vector `first`, of length 1; none if that is next to nothing.
fn across(vector: &Tensor, first: &Tensor) -> Option<Tensor> {
    let rest = vector - first * (vector * first).sum(Kind::Float);
    let (length, full_length) = (rest.norm().double_value(&[]), vector.norm().double_value(&[]));
    (full_length > 0.0 && length > 1e-4 * full_length).then(|| rest / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_at_right_angles() {
        let first = Tensor::from_slice(&[1.0f32, 0.0, 0.0]);
        let second = across(&Tensor::from_slice(&[5.0f32, 0.0, 2.0]), &first).unwrap();
        assert_eq!(Vec::<f32>::try_from(second).unwrap(), [0.0, 0.0, 1.0]);
        assert!(across(&Tensor::from_slice(&[3.0f32, 0.0, 0.0]), &first).is_none());
        assert!(across(&Tensor::from_slice(&[0.0f32, 0.0, 0.0]), &first).is_none());
    }
}
