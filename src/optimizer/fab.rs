//! FAB, the fast adaptive boundary attack (Croce and Hein 2020, <https://arxiv.org/abs/1907.02044>): projections onto the linear likeness
//! of the nearest boundary inside the box, drawn towards the clean image, and steps back from images that flip.
//!
//! A step has one forward pass where the published code has two: after a step back it linearizes at the image that flipped, which lies
//! nearer to the boundary, not once more at the image it steps back to.

use tch::{Kind, Tensor};

use super::rivals::Rivals;
use super::{Needs, Optimizer, Pace, Seen};
use crate::region::{Region, displacement};
use crate::rows::{Entrants, rows};

/// How much farther than to the boundary steps go.
const OVERSHOOT: f64 = 1.05;
/// Largest weight of the clean image's projection.
const LARGEST_PULL: f64 = 0.1;
/// Share of the perturbation that is kept where an image flips.
const BACK: f64 = 0.9;

rows! {
    /// The present images and the classes around them.
    struct Fab {
        each { image: Tensor, rivals: Rivals }
        all { level: i64 }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    Box::new(Fab { image: first, rivals: Rivals::new(entrants, pace.level), level: pace.level })
}

impl Optimizer for Fab {
    fn needs(&self) -> Needs {
        Needs::Logits
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let (Some(pass), Some(shape), Some(level)) = (observed.pass, region.shape(), observed.level) else { return };
        let boundary = self.rivals.nearest(pass, shape);
        let center = region.center();
        let back = center + (&self.image - center) * BACK;
        let from = back.where_self(&level.ge(self.level).view([-1, 1, 1, 1]), &self.image);
        // What the linear likeness, taken at the image that was looked at, lacks to 0 elsewhere.
        let gap = |point: &Tensor| {
            let moved = (&boundary.normal * (point - &self.image)).flatten(1, -1);
            -(&boundary.value + moved.sum_dim_intlist([1i64].as_slice(), false, Kind::Float))
        };
        let near = displacement(shape.norm(), &from, &boundary.normal, &gap(&from));
        let far = displacement(shape.norm(), center, &boundary.normal, &gap(center));
        let (short, long) = (shape.length(&near).clamp_min(1e-8), shape.length(&far).clamp_min(1e-8));
        let pull = (&short / (&short + long)).clamp_max(LARGEST_PULL);
        let onward = from + near * OVERSHOOT;
        let homeward = center + far * OVERSHOOT;
        self.image = region.project(&(&onward + (homeward - &onward) * pull));
    }
}
