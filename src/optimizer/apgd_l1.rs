//! Auto-PGD in l1 balls (Croce and Hein 2021, <https://arxiv.org/abs/2103.01208>): sparse steps, whose sparsity follows that of the best
//! image, in a ball that shrinks from three times the radius to the radius itself.
//!
//! A step changes the values with the largest gradients, all by the same amount; how many follows from how many the best image has
//! changed. Three tenths of the steps are taken in the ball of three times the radius, three tenths in twice, the rest in the ball itself,
//! each part beginning at the best image of the one before: only images in the ball itself count.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen};
use crate::region::{Bounds, Region};
use crate::rows::{Entrants, rows, where_rows};

/// Share of the values that the first steps change.
const FIRST: f64 = 0.2;
/// A step changes so much less than the best image has changed, and shrinks by as much.
const SPARSER: f64 = 1.5;
/// A row whose best image has become sparser than this share of what it was begins again with long steps.
const REDUCED: f64 = 0.95;
/// The shortest step, as a share of the longest.
const SHORTEST: f64 = 0.1;

/// What is done at each look, by its number.
struct Schedule {
    /// The ball's radius as a multiple of the region's `[S + 1]`, f32.
    radius: Tensor,
    /// Whether a part begins `[S + 1]`.
    begins: Tensor,
    /// Whether the sparsity is adapted `[S + 1]`.
    due: Tensor,
}

impl Schedule {
    fn new(steps: usize, device: Device) -> Self {
        let third = steps * 3 / 10;
        let parts = [(0, third, 3.0f32), (third, third, 2.0), (2 * third, steps - 2 * third, 1.0)];
        let (mut radius, mut begins, mut due) = (vec![1.0; steps + 1], vec![false; steps + 1], vec![false; steps + 1]);
        for (start, length, times) in parts {
            let window = (length * 4 / 100).max(1);
            for look in start..start + length {
                radius[look] = times;
                begins[look] = look == start;
                due[look] = look > start && (look - start).is_multiple_of(window);
            }
        }
        let upload = |flags: &[bool]| Tensor::from_slice(flags).to_device(device);
        Schedule { radius: Tensor::from_slice(&radius).to_device(device), begins: upload(&begins), due: upload(&due) }
    }
}

rows! {
    /// Sparse ascent.
    struct SparseApgd {
        each {
            image: Tensor,
            best_image: Tensor,
            best_gradient: Tensor,
            /// Best objective of the part `[R]`.
            best: Tensor,
            /// Share of the values that a step changes `[R]`.
            share: Tensor,
            /// Values that the best image had changed at the last check `[R]`.
            changed: Tensor,
            /// Length of a step as a share of the ball's radius `[R]`.
            step: Tensor,
            /// Looks so far `[R]`, i64.
            looks: Tensor,
        }
        all { schedule: Rc<Schedule> }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    let (count, device) = (entrants.rows.len() as i64, entrants.device());
    let full = |value: f64| Tensor::full([count], value, (Kind::Float, device));
    Box::new(SparseApgd {
        best_image: first.copy(),
        best_gradient: first.zeros_like(),
        image: first,
        best: full(f64::NEG_INFINITY),
        share: full(FIRST),
        changed: full(entrants.values() as f64),
        step: full(1.0),
        looks: Tensor::zeros([count], (Kind::Int64, device)),
        schedule: Rc::new(Schedule::new(pace.steps, device)),
    })
}

fn wide(rows: &Tensor) -> Tensor {
    rows.view([-1, 1, 1, 1])
}

impl SparseApgd {
    /// The sparse step: the values with the largest gradients, all by the same amount, `length` `[R, 1, 1, 1]` in all.
    fn sparse(&self, gradient: &Tensor, length: &Tensor) -> Tensor {
        let size = gradient.flatten(1, -1).abs();
        let count = size.size()[1];
        let (sorted, _) = size.sort(1, false);
        let place = ((-&self.share + 1.0) * count as f64).clamp(0.0, (count - 1) as f64).to_kind(Kind::Int64);
        let least = sorted.gather(1, &place.unsqueeze(1), false);
        let sign = (gradient.flatten(1, -1) * size.ge_tensor(&least).to_kind(Kind::Float)).sign();
        let changed = sign.abs().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).clamp_min(1.0);
        (sign / changed).view_as(gradient) * length
    }

    fn changed(image: &Tensor, region: &dyn Region) -> Tensor {
        image.ne_tensor(region.center()).flatten(1, -1).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
    }
}

impl Optimizer for SparseApgd {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let (Some(gradient), Some(shape)) = (observed.gradient, region.shape()) else { return };
        let score = observed.score.nan_to_num(f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
        let begins = self.schedule.begins.index_select(0, &self.looks);
        let better = score.gt_tensor(&self.best).logical_or(&begins);
        self.best = score.where_self(&better, &self.best);
        self.best_image = where_rows(&better, &self.image, &self.best_image);
        self.best_gradient = where_rows(&better, gradient, &self.best_gradient);

        let due = self.schedule.due.index_select(0, &self.looks);
        let changed = SparseApgd::changed(&self.best_image, region);
        let sparser = (&changed / &self.changed).lt(REDUCED).logical_and(&due);
        let shorter = (&self.step / SPARSER).clamp_min(SHORTEST).where_self(&due, &self.step);
        self.step = self.step.ones_like().where_self(&sparser, &shorter);
        let values = self.image.size()[1..].iter().product::<i64>() as f64;
        self.share = (&changed / values / SPARSER).where_self(&due, &self.share);
        self.changed = changed.clamp_min(1.0).where_self(&due, &self.changed);
        let image = where_rows(&sparser, &self.best_image, &self.image);
        let gradient = where_rows(&sparser, &self.best_gradient, gradient);

        let radius = region.size() * wide(&self.schedule.radius.index_select(0, &self.looks));
        let ahead = image + self.sparse(&gradient, &(&radius * wide(&self.step)));
        self.looks += 1;
        // A part of the schedule begins at the best image of the one before, in a smaller ball.
        let next = self.schedule.begins.index_select(0, &self.looks);
        let ahead = where_rows(&next, &self.best_image, &ahead);
        let radius = region.size() * wide(&self.schedule.radius.index_select(0, &self.looks));
        self.image = shape.project(&ahead, &Bounds { center: region.center(), radius: &radius, exact: None });
        let changed = SparseApgd::changed(&self.image, region);
        self.share = (&changed / values / SPARSER).where_self(&next, &self.share);
        self.changed = changed.clamp_min(1.0).where_self(&next, &self.changed);
        self.step = self.step.ones_like().where_self(&next, &self.step);
    }

    fn best(&self) -> Option<Tensor> {
        Some(self.best_image.shallow_clone())
    }

    fn counts(&self) -> Option<Tensor> {
        Some(self.schedule.radius.index_select(0, &self.looks).le(1.0))
    }
}
