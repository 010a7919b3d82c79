//! Balls of Euclidean length.

use tch::Tensor;

use super::{BallShape, Bounds};
use crate::random::Noise;
use crate::terms::Norm;

/// Rounding moves each value of an image in [0, 1] by at most half the spacing of f32 below 1.
const ROUNDING: f64 = 3e-8;

/// l2: the Euclidean length of the perturbation is at most the radius.
pub struct L2;

impl BallShape for L2 {
    fn norm(&self) -> Norm {
        Norm::L2
    }

    fn length(&self, delta: &Tensor) -> Tensor {
        let flat = delta.flatten(1, -1).square();
        flat.sum_dim_intlist([1i64].as_slice(), false, delta.kind()).sqrt().view([-1, 1, 1, 1])
    }

    fn dual(&self, gradient: &Tensor) -> Tensor {
        self.length(gradient)
    }

    fn steepest(&self, gradient: &Tensor) -> Tensor {
        gradient / self.length(gradient).clamp_min(1e-30)
    }

    /// Scaled towards the centre, then clipped to the box, which never makes a perturbation longer.
    fn project(&self, image: &Tensor, bounds: &Bounds) -> Tensor {
        let delta = image - bounds.center;
        let length = self.length(&delta).clamp_min(1e-12);
        // Aims below the radius by what rounding to f32 can add to the norm.
        let slack = ROUNDING * (delta.size()[1..].iter().product::<i64>() as f64).sqrt();
        let aim = (bounds.radius * (1.0 - 1e-6) - slack).clamp_min(0.0);
        let factor = (aim / length).clamp_max(1.0);
        (bounds.center + delta * factor).clamp(0.0, 1.0)
    }

    fn draw_inside(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        noise.in_l2_ball(key, count)
    }

    fn draw_full(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        noise.on_l2_sphere(key, count)
    }
}
