//! DDN, decoupled direction and norm (Rony et al. 2019, <https://arxiv.org/abs/1811.09600>), l2: steps along the gradient, then onto a
//! sphere that shrinks where the image flips and grows where it does not. Until it is too small for the first time it is halved: some
//! networks' boundaries are nearer than a hundred steps of 5 % would reach.

use std::f64::consts::PI;

use tch::{Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen};
use crate::region::Region;
use crate::rows::{Entrants, rows};

/// By how much the sphere shrinks or grows.
const RATE: f64 = 0.05;
/// Smallest step at the end, as a share of the first.
const LAST: f64 = 0.01;
/// The sphere's first radius, in pixel units of [0, 1].
const FIRST: f64 = 1.0;

rows! {
    /// The present images and their spheres.
    struct Ddn {
        each {
            image: Tensor,
            /// Radii `[R, 1, 1, 1]`.
            radius: Tensor,
            /// Whether every image so far but the first flipped `[R, 1, 1, 1]`: then the sphere is far too large.
            wide: Tensor,
            /// Looks so far `[R, 1, 1, 1]`.
            age: Tensor,
        }
        all { steps: usize, level: i64 }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, _: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
    let radius = region.size().clamp_max(FIRST);
    let (age, wide) = (radius.zeros_like(), radius.ones_like());
    Box::new(Ddn { image: first, radius, wide, age, steps: pace.steps, level: pace.level })
}

impl Optimizer for Ddn {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let (Some(gradient), Some(level), Some(shape)) = (observed.gradient, observed.level, region.shape()) else {
            return;
        };
        let center = region.center();
        let share = (&self.age * (PI / self.steps as f64)).cos() * (0.5 * (1.0 - LAST)) + 0.5 * (1.0 + LAST);
        let delta = &self.image - center + shape.steepest(gradient) * share;
        let flipped = level.ge(self.level).to_kind(Kind::Float).view([-1, 1, 1, 1]);
        // No sphere is larger than the way to the farthest corner of the box.
        let farthest = shape.length(&center.maximum(&(1.0 - center)));
        let looked = self.age.gt(0.0).to_kind(Kind::Float);
        self.wide = &self.wide * (1.0 - (1.0 - &flipped) * &looked);
        let halved = &self.wide * &flipped * looked;
        let factor: Tensor = (1.0 + RATE - flipped * (2.0 * RATE)) * (1.0 - &halved) + halved * 0.5;
        self.radius = (&self.radius * factor).minimum(&farthest).minimum(region.size());
        let length = shape.length(&delta).clamp_min(f64::from(f32::MIN_POSITIVE));
        self.image = region.project(&(center + delta * (&self.radius / length)));
        self.age += 1.0;
    }
}
