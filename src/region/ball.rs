//! Norm balls around clean images, for rows with radii of their own.

use tch::{Kind, Tensor};

use super::Region;
use crate::random::Noise;
use crate::rows::{Entrants, rows};
use crate::terms::Norm;

/// What limits an image: its centre, a radius, and exact bounds of each value where the norm has them.
pub struct Bounds<'a> {
    /// The centres `[R, C, H, W]`.
    pub center: &'a Tensor,
    /// The radii `[R, 1, 1, 1]`.
    pub radius: &'a Tensor,
    /// Smallest and largest value of each pixel, inside the box; none where only the radius limits.
    pub exact: Option<(&'a Tensor, &'a Tensor)>,
}

/// The geometry of one norm. Tensors have the row first; perturbations and gradients are `[R, C, H, W]`, lengths `[R, 1, 1, 1]`.
pub trait BallShape: Sync {
    /// The norm.
    fn norm(&self) -> Norm;

    /// Length of each perturbation.
    fn length(&self, delta: &Tensor) -> Tensor;

    /// Length of each gradient in the dual norm: what a perturbation of length 1 gains at most, to first order.
    fn dual(&self, gradient: &Tensor) -> Tensor;

    /// The perturbation of length 1 (or zero, for a zero gradient) along which ascent is steepest, or a robust likeness of it.
    fn steepest(&self, gradient: &Tensor) -> Tensor;

    /// The image inside ball and box that is nearest to `image` (exactly, or along the straight way to the centre).
    fn project(&self, image: &Tensor, bounds: &Bounds) -> Tensor;

    /// The smallest and largest f32 values inside balls of `radius` (f64, `[R, 1, 1, 1]`), where those are the ball.
    fn exact_bounds(&self, _center: &Tensor, _radius: &Tensor) -> Option<(Tensor, Tensor)> {
        None
    }

    /// A random point of the unit ball of `count` dimensions.
    fn draw_inside(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32>;

    /// A random point of length 1.
    fn draw_full(&self, noise: &Noise, key: &str, count: usize) -> Vec<f32>;
}

rows! {
    /// Balls around clean images, one for each row, intersected with the box [0, 1].
    pub struct Ball {
        each {
            center: Tensor,
            radius: Tensor,
            lower: Option<Tensor>,
            upper: Option<Tensor>,
        }
        all { shape: &'static dyn BallShape }
    }
}

impl Ball {
    /// Balls of `shape` around the centres of `entrants`.
    pub fn new(shape: &'static dyn BallShape, entrants: &Entrants) -> Self {
        Ball::around(shape, entrants.center.shallow_clone(), &entrants.sizes())
    }

    /// Balls of radius `radius` `[R]` (f64, pixel units of [0, 1]) around `center` `[R, C, H, W]`.
    pub fn around(shape: &'static dyn BallShape, center: Tensor, radius: &Tensor) -> Self {
        let wide = radius.view([-1, 1, 1, 1]);
        let (lower, upper) = shape.exact_bounds(&center, &wide).unzip();
        Ball { shape, radius: wide.to_kind(Kind::Float), center, lower, upper }
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds { center: &self.center, radius: &self.radius, exact: self.lower.as_ref().zip(self.upper.as_ref()) }
    }

    /// The centres moved by points of the unit ball, times the radius; then projected.
    fn displaced(&self, unit: &Tensor) -> Tensor {
        self.project(&(&self.center + unit * &self.radius))
    }
}

impl Region for Ball {
    fn center(&self) -> &Tensor {
        &self.center
    }

    fn size(&self) -> &Tensor {
        &self.radius
    }

    fn project(&self, image: &Tensor) -> Tensor {
        self.shape.project(image, &self.bounds())
    }

    fn ascend(&self, image: &Tensor, gradient: &Tensor, share: &Tensor) -> Tensor {
        image + self.shape.steepest(gradient) * (&self.radius * share)
    }

    fn start(&self, entrants: &Entrants, random: &[bool]) -> Tensor {
        if !random.contains(&true) {
            return self.center.shallow_clone();
        }
        // Nothing is drawn for rows that stay at their centre.
        self.displaced(&entrants.drawn(|row, key, count| match random[row] {
            true => self.shape.draw_inside(entrants.noise, key, count),
            false => vec![0.0; count],
        }))
    }

    fn full_noise(&self, entrants: &Entrants) -> Tensor {
        self.displaced(&entrants.drawn(|_, key, count| self.shape.draw_full(entrants.noise, key, count)))
    }

    fn shape(&self) -> Option<&'static dyn BallShape> {
        Some(self.shape)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;

    use super::*;
    use crate::region::shape;

    fn images(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([1, 1, 1, -1])
    }

    fn ball(shape: &'static dyn BallShape, clean: &[f32], radius: f64) -> Ball {
        Ball::around(shape, images(clean), &Tensor::from_slice(&[radius]))
    }

    proptest! {
        #[test]
        fn projection_stays_inside_and_is_idempotent(
            clean in prop::collection::vec(0.0f32..=1.0, 12),
            far in prop::collection::vec(-3.0f32..4.0, 12),
            radius in 1e-4f64..2.0,
        ) {
            for norm in Norm::ALL {
                let shape = shape(norm);
                let ball = ball(shape, &clean, radius);
                let once = ball.project(&images(&far));
                let delta = once.to_kind(Kind::Double) - ball.center().to_kind(Kind::Double);
                let length = shape.length(&delta).double_value(&[0, 0, 0, 0]);
                prop_assert!(length <= radius * (1.0 + 1e-6), "{norm}: {length} > {radius}");
                prop_assert!(once.min().double_value(&[]) >= 0.0 && once.max().double_value(&[]) <= 1.0);
                let twice = ball.project(&once);
                prop_assert!((twice - once).abs().max().double_value(&[]) <= 2e-6);
            }
        }

        /// Steepest directions have length 1 and gain what the dual norm says; random points lie in the unit ball.
        #[test]
        fn shapes_agree_with_their_duals(gradient in prop::collection::vec(-1.0f32..1.0, 12), key in "[a-z]{4}") {
            let noise = Noise::new(1, "law");
            for norm in Norm::ALL {
                let (shape, gradient) = (shape(norm), images(&gradient));
                let steepest = shape.steepest(&gradient);
                let gain = (&steepest * &gradient).sum(Kind::Double).double_value(&[]);
                let dual = shape.dual(&gradient).double_value(&[0, 0, 0, 0]);
                prop_assert!((gain - dual).abs() < 1e-5, "{norm}: {gain} {dual}");
                let length = |values: Vec<f32>| shape.length(&images(&values)).double_value(&[0, 0, 0, 0]);
                prop_assert!(length(shape.draw_inside(&noise, &key, 12)) <= 1.0 + 1e-5);
                prop_assert!((length(shape.draw_full(&noise, &key, 12)) - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn l_inf_bounds_are_exact_at_the_largest_f32_inside() {
        let radius = 1.0 / 255.0;
        let ball = ball(shape(Norm::Linf), &[0.1, 0.7, 0.3333333, 0.999], radius);
        let far = Tensor::full([1, 1, 1, 4], 9.0, (Kind::Float, Device::Cpu));
        let delta = ball.project(&far).to_kind(Kind::Double) - ball.center().to_kind(Kind::Double);
        assert!(delta.abs().max().double_value(&[]) <= radius);
    }

    #[test]
    fn zero_gradient_moves_nothing() {
        for shape in Norm::ALL.map(shape) {
            let ball = ball(shape, &[0.2, 0.9], 0.5);
            let share = Tensor::full([1, 1, 1, 1], 0.3, (Kind::Float, Device::Cpu));
            let moved = ball.project(&ball.ascend(ball.center(), &ball.center().zeros_like(), &share));
            assert_eq!(moved, *ball.center());
        }
    }
}
