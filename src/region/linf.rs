//! Balls of the largest absolute change.

use tch::{Kind, Tensor};

use super::{BallShape, Bounds};
use crate::random::Noise;
use crate::terms::Norm;

/// l-inf: every value may change by the radius.
pub struct Linf;

impl BallShape for Linf {
    fn norm(&self) -> Norm {
        Norm::Linf
    }

    fn length(&self, delta: &Tensor) -> Tensor {
        delta.flatten(1, -1).abs().amax([1i64].as_slice(), false).view([-1, 1, 1, 1])
    }

    fn dual(&self, gradient: &Tensor) -> Tensor {
        let flat = gradient.flatten(1, -1).abs();
        flat.sum_dim_intlist([1i64].as_slice(), false, gradient.kind()).view([-1, 1, 1, 1])
    }

    fn steepest(&self, gradient: &Tensor) -> Tensor {
        gradient.sign()
    }

    fn project(&self, image: &Tensor, bounds: &Bounds) -> Tensor {
        match bounds.exact {
            Some((lower, upper)) => image.maximum(lower).minimum(upper),
            None => {
                let (center, radius) = (bounds.center, bounds.radius);
                image.maximum(&(center - radius)).minimum(&(center + radius)).clamp(0.0, 1.0)
            }
        }
    }

    /// Computed in f64 and rounded inward.
    fn exact_bounds(&self, center: &Tensor, radius: &Tensor) -> Option<(Tensor, Tensor)> {
        let exact = center.to_kind(Kind::Double);
        let lower = inward(&(&exact - radius), 1.0).clamp_min(0.0);
        let upper = inward(&(&exact + radius), -1.0).clamp_max(1.0);
        Some((lower, upper))
    }

    fn draw_inside(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        noise.uniform(key, count)
    }

    fn draw_full(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        noise.signs(key, count)
    }
}

/// The nearest f32 of `exact` (f64) that does not lie beyond it in the direction `-towards`.
fn inward(exact: &Tensor, towards: f64) -> Tensor {
    let rounded = exact.to_kind(Kind::Float);
    let beyond = if towards > 0.0 {
        rounded.to_kind(Kind::Double).lt_tensor(exact)
    } else {
        rounded.to_kind(Kind::Double).gt_tensor(exact)
    };
    let next = rounded.nextafter(&rounded.full_like(towards * f64::INFINITY));
    next.where_self(&beyond, &rounded)
}
