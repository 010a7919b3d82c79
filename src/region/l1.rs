//! Balls of the sum of absolute changes.

use tch::{Kind, Tensor};

use super::{BallShape, Bounds};
use crate::random::Noise;
use crate::terms::Norm;

/// Rounding moves each value of an image in [0, 1] by at most half the spacing of f32 below 1.
const ROUNDING: f64 = 3e-8;

/// Of the values, one in so many takes part in a step: steps along the single largest gradient, which is the steepest, would change a
/// value at a time (Tramer and Boneh 2019, <https://arxiv.org/abs/1904.13000>).
const SPARSE: i64 = 100;

/// l1: the absolute changes sum up to the radius at most.
pub struct L1;

impl BallShape for L1 {
    fn norm(&self) -> Norm {
        Norm::L1
    }

    fn length(&self, delta: &Tensor) -> Tensor {
        let flat = delta.flatten(1, -1).abs();
        flat.sum_dim_intlist([1i64].as_slice(), false, delta.kind()).view([-1, 1, 1, 1])
    }

    fn dual(&self, gradient: &Tensor) -> Tensor {
        gradient.flatten(1, -1).abs().amax([1i64].as_slice(), false).view([-1, 1, 1, 1])
    }

    /// The hundredth of the values with the largest gradients, all by the same amount.
    fn steepest(&self, gradient: &Tensor) -> Tensor {
        let flat = gradient.flatten(1, -1);
        let count = (flat.size()[1] / SPARSE).max(1);
        let (_, places) = flat.abs().topk(count, 1, true, false);
        let steps = flat.gather(1, &places, false).sign() / count as f64;
        flat.zeros_like().scatter(1, &places, &steps).view_as(gradient)
    }

    /// The exact Euclidean projection onto ball and box together: each change is `min(max(|d| - t, 0), room)` with its sign, for the
    /// one `t` of each row at which they sum up to the radius.
    fn project(&self, image: &Tensor, bounds: &Bounds) -> Tensor {
        let center = bounds.center.flatten(1, -1);
        let delta = (image.flatten(1, -1) - &center).to_kind(Kind::Double);
        let wide = center.to_kind(Kind::Double);
        let room = (-&wide + 1.0).where_self(&delta.gt(0.0), &wide);
        let size = delta.abs();
        // Aims below the radius by what rounding to f32 can add to the sum.
        let slack = ROUNDING * size.size()[1] as f64;
        let aim = (bounds.radius.to_kind(Kind::Double).view([-1, 1]) * (1.0 - 1e-6) - slack).clamp_min(0.0);
        let shrink = threshold(&size, &room, &aim);
        let change = (size - shrink).clamp_min(0.0).minimum(&room) * delta.sign();
        let projected = (wide + &change).to_kind(Kind::Float).clamp(0.0, 1.0);
        // What does not change stays as it is to the last bit.
        projected.where_self(&change.ne(0.0), &center).view_as(image)
    }

    fn draw_inside(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        // A point of the sphere, drawn inwards so that the volume is filled evenly.
        let share = noise.uniform(&format!("{key}/radius"), 1)[0].abs().powf(1.0 / count as f32);
        self.draw_full(noise, key, count).into_iter().map(|value| value * share).collect()
    }

    /// Independent Laplace values, scaled: uniform on the sphere.
    fn draw_full(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        let uniform = noise.uniform(key, count);
        let laplace = |value: f32| f64::from(-value.signum()) * (1.0 - f64::from(value.abs())).max(1e-12).ln();
        let values: Vec<f64> = uniform.into_iter().map(laplace).collect();
        let length = values.iter().map(|value| value.abs()).sum::<f64>().max(f64::MIN_POSITIVE);
        values.into_iter().map(|value| (value / length) as f32).collect()
    }
}

/// The smallest `t >= 0` `[R, 1]` at which `sum min(max(size - t, 0), room)` is at most `aim` `[R, 1]`; `size` and `room` are `[R, D]`.
///
/// The sum is piecewise linear in `t`: each value adds `max(size - t, 0)` and takes `max(size - room - t, 0)` away again. Between two
/// neighbouring breakpoints it is `heights - t * slopes`, both of them running sums over the breakpoints above.
fn threshold(size: &Tensor, room: &Tensor, aim: &Tensor) -> Tensor {
    let full = size.minimum(room).sum_dim_intlist([1i64].as_slice(), true, Kind::Double);
    let breaks = Tensor::cat(&[size.shallow_clone(), (size - room).clamp_min(0.0)], 1);
    let signs = Tensor::cat(&[size.ones_like(), -size.ones_like()], 1);
    let (breaks, order) = breaks.sort(1, true);
    let signs = signs.gather(1, &order, false);
    let slopes = signs.cumsum(1, Kind::Double);
    let heights = (signs * &breaks).cumsum(1, Kind::Double);
    let sums = &heights - &breaks * &slopes;
    // Breakpoints at which the sum is still below the aim: `t` lies below the last of them.
    let below = sums.lt_tensor(aim).to_kind(Kind::Int64).sum_dim_intlist([1i64].as_slice(), true, Kind::Int64);
    let place = (below - 1).clamp_min(0);
    let (slope, height) = (slopes.gather(1, &place, false), heights.gather(1, &place, false));
    let exact = (height - aim) / slope.clamp_min(1.0);
    exact.clamp_min(0.0).where_self(&full.gt_tensor(aim), &full.zeros_like())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::doubles;

    proptest! {
        /// No feasible point is nearer: the projection's residual makes no acute angle with any way back into the set.
        #[test]
        fn projection_is_the_nearest_point_of_ball_and_box(
            clean in prop::collection::vec(0.0f32..=1.0, 12),
            far in prop::collection::vec(-2.0f32..3.0, 12),
            other in prop::collection::vec(0.0f32..=1.0, 12),
            radius in 0.01f64..4.0,
        ) {
            let images = |values: &[f32]| Tensor::from_slice(values).view([1, 3, 2, 2]);
            let (center, point) = (images(&clean), images(&far));
            let radius_tensor = Tensor::from_slice(&[radius as f32]).view([1, 1, 1, 1]);
            let bounds = Bounds { center: &center, radius: &radius_tensor, exact: None };
            let nearest = L1.project(&point, &bounds);
            let delta = nearest.to_kind(Kind::Double) - center.to_kind(Kind::Double);
            prop_assert!(doubles(&L1.length(&delta))[0] <= radius * (1.0 + 1e-6));
            // Any other point of the set.
            let candidate = images(&other);
            let length = doubles(&L1.length(&(&candidate - &center)))[0];
            let candidate = &center + (&candidate - &center) * (radius / length.max(radius));
            let acute = doubles(&((point - &nearest) * (candidate - &nearest)).sum(Kind::Double))[0];
            prop_assert!(acute <= 1e-4, "{acute}");
        }
    }

    #[test]
    fn points_inside_stay() {
        let center = Tensor::from_slice(&[0.25f32, 0.5]).view([1, 1, 1, 2]);
        let inside = Tensor::from_slice(&[0.375f32, 0.5]).view([1, 1, 1, 2]);
        let radius = Tensor::from_slice(&[0.25f32]).view([1, 1, 1, 1]);
        assert_eq!(L1.project(&inside, &Bounds { center: &center, radius: &radius, exact: None }), inside);
    }
}
