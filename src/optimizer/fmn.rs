//! Fast Minimum-Norm attack (Pintor et al. 2021, <https://arxiv.org/abs/2102.12827>): the nearest flip, by a ball of the row's own that
//! shrinks around it while the image is adversarial and grows while it is not.
//!
//! The objective is a margin, positive where the image is adversarial. Each step goes `a` along the gradient over its length, `a` falling
//! from [`LONGEST`] to a hundredth of it, and back into a ball whose radius is the distance of a linear boundary at first, and changes by
//! a share that falls from 5 % to 0.1 %. In l0 the radius begins at one value and changes by at least one. Works in any norm; the region
//! is the largest ball that is searched.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen};
use crate::region::{Bounds, Region};
use crate::rows::{Entrants, rows};
use crate::terms::Norm;

/// Length of the first step, in Euclidean length, and of the last, as a share of it.
const LONGEST: f64 = 1.0;
const SHORTEST: f64 = 0.01;
/// By what share the radius changes at first, and at last.
const WIDE: f64 = 0.05;
const NARROW: f64 = 0.001;
/// The first radius beyond the linear boundary.
const BEYOND: f64 = 1.02;

/// How steps and changes of the radius fall, by the number of the look `[S + 1]`, f32.
struct Falling {
    step: Tensor,
    change: Tensor,
}

impl Falling {
    fn new(steps: usize, device: Device) -> Self {
        let cosine = |look: usize| (1.0 + (std::f64::consts::PI * look as f64 / steps as f64).cos()) / 2.0;
        let curve = |first: f64, last: f64| {
            let values: Vec<f32> = (0..=steps).map(|look| (last + (first - last) * cosine(look)) as f32).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        Falling { step: curve(LONGEST, LONGEST * SHORTEST), change: curve(WIDE, NARROW) }
    }
}

rows! {
    /// The search for the nearest flip.
    struct Fmn {
        each {
            image: Tensor,
            /// Radius of the row's own ball `[R, 1, 1, 1]`.
            radius: Tensor,
            /// Distance of the nearest flip so far, at first that of the farthest point of the box `[R, 1, 1, 1]`.
            nearest: Tensor,
            /// The farthest that any image of the region can be `[R, 1, 1, 1]`.
            farthest: Tensor,
            /// Whether a flip was seen `[R, 1, 1, 1]`.
            found: Tensor,
            /// Looks so far `[R]`, i64.
            looks: Tensor,
        }
        all { falling: Rc<Falling>, level: i64 }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
    let (count, device) = (entrants.rows.len() as i64, entrants.device());
    let room = region.center().maximum(&(-region.center() + 1.0));
    let farthest = match region.shape() {
        Some(shape) => shape.length(&room).minimum(region.size()),
        None => region.size().shallow_clone(),
    };
    Box::new(Fmn {
        image: first,
        radius: if counts_values(region) { farthest.ones_like() } else { farthest.copy() },
        nearest: farthest.copy(),
        farthest,
        found: Tensor::zeros([count, 1, 1, 1], (Kind::Bool, device)),
        looks: Tensor::zeros([count], (Kind::Int64, device)),
        falling: Rc::new(Falling::new(pace.steps.max(1), device)),
        level: pace.level,
    })
}

/// Whether the region's radius is a number of values.
fn counts_values(region: &dyn Region) -> bool {
    region.shape().is_some_and(|shape| shape.norm() == Norm::L0)
}

impl Optimizer for Fmn {
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
        let wide = |rows: &Tensor| rows.view([-1, 1, 1, 1]);
        let now = |curve: &Tensor| wide(&curve.index_select(0, &self.looks));
        let flipped = wide(&level.ge(self.level));
        let length = shape.length(&(&self.image - region.center()));
        let nearer = flipped.logical_and(&length.lt_tensor(&self.nearest));
        self.nearest = length.where_self(&nearer, &self.nearest);
        self.found = self.found.logical_or(&flipped);

        let change = now(&self.falling.change);
        let (mut shrunk, mut grown) = (&self.radius * (-&change + 1.0), &self.radius * (change + 1.0));
        let searching = if counts_values(region) {
            shrunk = shrunk.floor().minimum(&(&self.radius - 1.0)).clamp_min(0.0);
            grown = grown.floor().maximum(&(&self.radius + 1.0));
            grown
        } else {
            let margin = wide(&observed.score.nan_to_num(0.0, 0.0, 0.0)).abs();
            let linear = (length + margin / shape.dual(gradient).clamp_min(1e-12)) * BEYOND;
            grown.where_self(&self.found, &linear)
        };
        self.radius = shrunk.minimum(&self.nearest).where_self(&flipped, &searching).minimum(&self.farthest);

        let euclidean = gradient.square().sum_dim_intlist([1i64, 2, 3].as_slice(), true, Kind::Float).sqrt();
        let ahead = &self.image + gradient / euclidean.clamp_min(1e-12) * now(&self.falling.step);
        let bounds = Bounds { center: region.center(), radius: &self.radius, exact: None };
        let ahead = shape.project(&ahead, &bounds);
        // The region's own bounds are exact to the last bit, which those of a ball that changes are not.
        self.image = if shape.norm() == Norm::Linf { region.project(&ahead) } else { ahead };
        self.looks += 1;
    }
}
