//! Balls of the number of changed values.

use tch::{Kind, Tensor};

use super::{BallShape, Bounds};
use crate::random::Noise;
use crate::terms::Norm;

/// l0: so many values may change as the radius says, by any amount. A value is one channel of one pixel.
pub struct L0;

impl BallShape for L0 {
    fn norm(&self) -> Norm {
        Norm::L0
    }

    fn length(&self, delta: &Tensor) -> Tensor {
        let changed = delta.flatten(1, -1).ne(0.0);
        changed.sum_dim_intlist([1i64].as_slice(), false, Kind::Float).view([-1, 1, 1, 1])
    }

    /// A change of one value by 1.
    fn dual(&self, gradient: &Tensor) -> Tensor {
        gradient.flatten(1, -1).abs().amax([1i64].as_slice(), false).view([-1, 1, 1, 1])
    }

    /// The value of the largest gradient changes by 1; the first of several.
    fn steepest(&self, gradient: &Tensor) -> Tensor {
        let flat = gradient.flatten(1, -1);
        let place = flat.abs().argmax(1, true);
        flat.zeros_like().scatter(1, &place, &flat.gather(1, &place, false).sign()).view_as(gradient)
    }

    /// The largest changes stay.
    fn project(&self, image: &Tensor, bounds: &Bounds) -> Tensor {
        let delta = image.clamp(0.0, 1.0) - bounds.center;
        let flat = delta.flatten(1, -1);
        let (_, order) = flat.abs().sort(1, true);
        let count = flat.size()[1];
        let rank = Tensor::arange(count, (Kind::Float, flat.device())).expand_as(&flat);
        let rank = flat.zeros_like().scatter(1, &order, &rank);
        let allowed = bounds.radius.view([-1, 1]).floor();
        let changed = rank.lt_tensor(&allowed).logical_and(&flat.ne(0.0)).view_as(&delta);
        // Unchanged values are the centre's own to the last bit.
        image.clamp(0.0, 1.0).where_self(&changed, bounds.center)
    }

    /// One value, anywhere.
    fn draw_inside(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        self.draw_full(noise, key, count)
    }

    /// One value, up or down by 1.
    fn draw_full(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; count];
        let place = noise.below(key, count);
        values[place] = if noise.below(&format!("{key}/sign"), 2) == 0 { 1.0 } else { -1.0 };
        values
    }
}
