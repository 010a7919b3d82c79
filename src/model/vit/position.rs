//! Position embeddings, and how those of another image size are brought to the grid at hand.

use tch::Tensor;

use super::framework::Resampling;
use crate::model::weights::{Init, Scope};

/// The embeddings called `name` for `prefix` tokens and a `grid` of patches (rows, columns): `[1, prefix + rows * columns, width]`.
///
/// A file may hold those of another grid, which then was a square one, as in all published weights. They are resampled; those of
/// the tokens before the patches stay.
pub fn embeddings(
    scope: &Scope,
    name: &str,
    prefix: i64,
    grid: [i64; 2],
    width: i64,
    resampling: Resampling,
) -> Tensor {
    let init = Init::Normal(0.02);
    let expected = [1, prefix + grid[0] * grid[1], width];
    let stored = match scope.stored(name) {
        Some(stored) if stored.len() == 3 && stored[0] == 1 && stored[2] == width => stored,
        _ => return scope.parameter(name, &expected, init),
    };
    match side(stored[1] - prefix) {
        Some(side) if [side; 2] != grid => {
            resample(&scope.parameter(name, &stored, init), prefix, side, grid, resampling)
        }
        _ => scope.parameter(name, &expected, init),
    }
}

/// The side of a square of `count` patches, if they make one.
fn side(count: i64) -> Option<i64> {
    let side = (count.max(0) as f64).sqrt().round() as i64;
    (side > 0 && side * side == count).then_some(side)
}

/// `[1, prefix + side * side, width]` to `[1, prefix + rows * columns, width]`.
fn resample(embeddings: &Tensor, prefix: i64, side: i64, grid: [i64; 2], resampling: Resampling) -> Tensor {
    let (prefixed, patches) = (embeddings.slice(1, 0, prefix, 1), embeddings.slice(1, prefix, None, 1));
    let width = embeddings.size()[2];
    let picture = patches.reshape([1, side, side, width]).permute([0, 3, 1, 2]);
    let picture = match resampling {
        Resampling::Antialiased => picture.internal_upsample_bicubic2d_aa(grid, false, None, None),
        Resampling::AlignedCorners => picture.upsample_bicubic2d(grid, true, None, None),
    };
    let patches = picture.permute([0, 2, 3, 1]).reshape([1, grid[0] * grid[1], width]);
    Tensor::cat(&[prefixed, patches], 1)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn only_squares_have_a_side() {
        assert_eq!([0, 1, 2, 196, 197, -4].map(side), [None, Some(1), None, Some(14), None, None]);
    }

    /// A plane over the grid stays a plane between its corners, and the prefix stays as it is.
    #[test]
    fn corners_stay_on_corners_where_torchvision_keeps_them() {
        let patches: Vec<f32> = (0..16).map(|place| (place / 4 * 10 + place % 4) as f32).collect();
        let embeddings = Tensor::from_slice(&[&[99.0], &patches[..]].concat()).view([1, 17, 1]);
        let wider = resample(&embeddings, 1, 4, [7, 4], Resampling::AlignedCorners);
        let values = Vec::<f32>::try_from(wider.flatten(0, -1)).unwrap();
        assert_eq!((values.len(), values[0], values[1], values[28]), (29, 99.0, 0.0, 33.0));
        let middle = Vec::<f32>::try_from(wider.slice(1, 13, 17, 1).flatten(0, -1)).unwrap();
        for (found, expected) in middle.iter().zip([15.0, 16.0, 17.0, 18.0]) {
            assert!((found - expected).abs() < 1e-4, "{middle:?}");
        }
    }

    #[test]
    fn a_constant_stays_constant() {
        let embeddings = Tensor::full([1, 25, 3], 2.5, (Kind::Float, Device::Cpu));
        for resampling in [Resampling::Antialiased, Resampling::AlignedCorners] {
            let other = resample(&embeddings, 0, 5, [3, 8], resampling);
            assert_eq!(other.size(), [1, 24, 3]);
            assert!((other - 2.5).abs().max().double_value(&[]) < 1e-5, "{resampling:?}");
        }
    }
}
