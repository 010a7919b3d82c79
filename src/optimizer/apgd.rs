//! Auto-PGD (Croce and Hein 2020, <https://arxiv.org/abs/2003.01690>): ascent with momentum whose steps are halved when they stop paying,
//! each row for itself, and which goes on from the best image then. It has no step size to be chosen.
//!
//! Steps begin at twice the radius. At checkpoints (after 22 % of the steps, then at ever shorter distances down to 6 %) a row's step is
//! halved if the objective rose in at most three quarters of the steps since the last one, or if neither step nor best objective
//! changed there. In l1 balls it takes the sparse steps of Croce and Hein 2021 instead ([`super::apgd_l1`]).

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen, apgd_l1};
use crate::region::Region;
use crate::rows::{Entrants, rows};
use crate::terms::Norm;

/// Share of the steps since a checkpoint in which the objective has to rise.
const RISES: f64 = 0.75;
/// Weight of a step against the momentum.
const WEIGHT: f64 = 0.75;

/// The checkpoints of rows with so many steps, one entry for each look at an image, the first being the start.
struct Checkpoints {
    /// Whether the look is a checkpoint `[S + 1]`.
    due: Tensor,
    /// The most rises since the last checkpoint at which the step is halved `[S + 1]`, f32.
    few: Tensor,
}

impl Checkpoints {
    fn new(steps: usize, device: Device) -> Self {
        let (mut due, mut few) = (vec![false; steps + 1], vec![0.0f32; steps + 1]);
        for (at, window) in windows(steps) {
            (due[at], few[at]) = (true, (RISES * window as f64) as f32);
        }
        Checkpoints { due: Tensor::from_slice(&due).to_device(device), few: Tensor::from_slice(&few).to_device(device) }
    }
}

/// The looks at which rows are checked, and the number of steps since the last check.
fn windows(steps: usize) -> Vec<(usize, usize)> {
    let share = |percent: usize| (steps * percent / 100).max(1);
    let (mut window, mut at, mut windows) = (share(22), 0, Vec::new());
    while at + window <= steps {
        at += window;
        windows.push((at, window));
        window = window.saturating_sub(share(3)).max(share(6));
    }
    windows
}

rows! {
    /// Ascent that adapts its steps.
    struct Apgd {
        each {
            image: Tensor,
            previous: Tensor,
            best_image: Tensor,
            best_gradient: Tensor,
            /// Best objective so far, the same at the last checkpoint, and the last one `[R]`.
            best: Tensor,
            best_at_check: Tensor,
            last: Tensor,
            /// Steps since the last checkpoint in which the objective rose `[R]`, f32.
            rises: Tensor,
            /// Whether the step was halved at the last checkpoint `[R]`.
            halved: Tensor,
            /// Length of a step as a share of the region's size `[R, 1, 1, 1]`.
            share: Tensor,
            /// Looks so far `[R]`, i64.
            looks: Tensor,
        }
        all { checkpoints: Rc<Checkpoints> }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
    if region.shape().is_some_and(|shape| shape.norm() == Norm::L1) {
        return apgd_l1::enter(pace, entrants, first, region);
    }
    let (count, device) = (entrants.rows.len() as i64, entrants.device());
    let lowest = || Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device));
    Box::new(Apgd {
        previous: first.copy(),
        best_image: first.copy(),
        best_gradient: first.zeros_like(),
        image: first,
        best: lowest(),
        best_at_check: lowest(),
        last: Tensor::full([count], f64::INFINITY, (Kind::Float, device)),
        rises: Tensor::zeros([count], (Kind::Float, device)),
        halved: Tensor::ones([count], (Kind::Bool, device)),
        share: Tensor::full([count, 1, 1, 1], 2.0, (Kind::Float, device)),
        looks: Tensor::zeros([count], (Kind::Int64, device)),
        checkpoints: Rc::new(Checkpoints::new(pace.steps, device)),
    })
}

impl Optimizer for Apgd {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let Some(gradient) = observed.gradient else { return };
        let wide = |rows: &Tensor| rows.view([-1, 1, 1, 1]);
        let first = self.looks.eq(0);
        // An objective that is not a number never counts as the best.
        let score = observed.score.nan_to_num(f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
        self.rises += score.gt_tensor(&self.last).to_kind(Kind::Float);
        self.last = score.shallow_clone();
        let better = score.gt_tensor(&self.best).logical_or(&first);
        self.best = score.where_self(&better, &self.best);
        self.best_at_check = score.where_self(&first, &self.best_at_check);
        self.best_image = self.image.where_self(&wide(&better), &self.best_image);
        self.best_gradient = gradient.where_self(&wide(&better), &self.best_gradient);

        let due = self.checkpoints.due.index_select(0, &self.looks);
        let few = self.rises.le_tensor(&self.checkpoints.few.index_select(0, &self.looks));
        let stuck = self.halved.logical_not().logical_and(&self.best_at_check.ge_tensor(&self.best));
        let halve = due.logical_and(&few.logical_or(&stuck));
        self.share = (&self.share * 0.5).where_self(&wide(&halve), &self.share);
        let image = self.best_image.where_self(&wide(&halve), &self.image);
        let gradient = self.best_gradient.where_self(&wide(&halve), gradient);
        self.halved = halve.where_self(&due, &self.halved);
        self.best_at_check = self.best.where_self(&due, &self.best_at_check);
        self.rises = self.rises.zeros_like().where_self(&due, &self.rises);

        let ahead = region.project(&region.ascend(&image, &gradient, &self.share));
        // The first step has no momentum: the previous image is the first one itself.
        let weight = wide(&first).to_kind(Kind::Float) * (1.0 - WEIGHT) + WEIGHT;
        let next = &image + (ahead - &image) * &weight + (&image - &self.previous) * (-&weight + 1.0);
        self.image = region.project(&next);
        self.previous = image;
        self.looks += 1;
    }

    fn best(&self) -> Option<Tensor> {
        Some(self.best_image.shallow_clone())
    }
}

#[cfg(test)]
mod tests {
    use super::windows;

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        let at: Vec<usize> = windows(100).into_iter().map(|(at, _)| at).collect();
        assert_eq!(at, [22, 41, 57, 70, 80, 87, 93, 99]);
        assert!(windows(1).iter().all(|&(at, window)| at <= 1 && window == 1));
    }
}
