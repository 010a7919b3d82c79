//! sigma-zero (Cinà et al. 2025, <https://arxiv.org/abs/2402.01879>), l0: descent on a smooth likeness of the number of changed values, and
//! a threshold below which changes are dropped, which rises where the image flips and falls where it does not.

use std::f64::consts::PI;

use tch::{Kind, Tensor};

use super::adam::Adam;
use super::{Needs, Optimizer, Pace, Seen};
use crate::region::Region;
use crate::rows::{Entrants, rows};

/// A value counts as half changed at the square root of this.
const SOFTNESS: f64 = 1e-3;
/// First threshold.
const THRESHOLD: f64 = 0.3;
/// By how much the threshold moves, as a share of the step.
const THRESHOLD_RATE: f64 = 0.01;
/// Last step; the first is 1.
const LAST: f64 = 0.1;

rows! {
    /// The present images and their thresholds.
    struct SigmaZero {
        each {
            image: Tensor,
            adam: Adam,
            /// Thresholds `[R, 1, 1, 1]`.
            threshold: Tensor,
            /// Looks so far `[R, 1, 1, 1]`.
            age: Tensor,
            /// Present steps `[R, 1, 1, 1]`.
            step: Tensor,
        }
        all { steps: usize, level: i64 }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    let filled = |value: f64| Tensor::full([entrants.rows.len() as i64, 1, 1, 1], value, (Kind::Float, first.device()));
    let (adam, threshold, age, step) = (Adam::new(&first), filled(THRESHOLD), filled(0.0), filled(1.0));
    Box::new(SigmaZero { image: first, adam, threshold, age, step, steps: pace.steps, level: pace.level })
}

impl Optimizer for SigmaZero {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let (Some(gradient), Some(level)) = (observed.gradient, observed.level) else { return };
        let center = region.center();
        let delta = &self.image - center;
        let values = delta.size()[1..].iter().product::<i64>() as f64;
        let square = delta.square();
        let sparse = &delta * (2.0 * SOFTNESS / values) / (square + SOFTNESS).square();
        let short = level.lt(self.level).view([-1, 1, 1, 1]);
        let loss = sparse - gradient.masked_fill(&short.logical_not(), 0.0);
        let largest = loss.flatten(1, -1).abs().amax([1i64].as_slice(), false).clamp_min(1e-12);
        let direction = self.adam.direction(&(loss / largest.view([-1, 1, 1, 1])));
        let moved = (delta + direction * &self.step + center).clamp(0.0, 1.0) - center;
        let cosine = (&self.age * (PI / self.steps as f64)).cos();
        self.step = cosine * (0.5 * (1.0 - LAST)) + 0.5 * (1.0 + LAST);
        let up: Tensor = 1.0 - short.to_kind(Kind::Float) * 2.0;
        let shifted: Tensor = up * &self.step * THRESHOLD_RATE + &self.threshold;
        self.threshold = shifted.clamp(0.0, 1.0);
        let sparse = moved.masked_fill(&moved.abs().lt_tensor(&self.threshold), 0.0);
        self.image = region.project(&(center + sparse));
        self.age = &self.age + 1.0;
    }
}
