//! Auto-PGD (Croce and Hein 2020, <https://arxiv.org/abs/2003.01690>): ascent with momentum whose steps are halved when they stop paying,
//! each row for itself, and which goes on from the best image then. It has no step size to be chosen.
//!
//! Steps begin at twice the radius. At checkpoints (after 22 % of the steps, then at ever shorter distances down to 6 %) a row's step is
//! halved if the objective rose in at most three quarters of the steps since the last one, or if neither step nor best objective
//! changed there. In l1 balls it takes the sparse steps of Croce and Hein 2021 instead ([`super::apgd_l1`]).
//!
//! [`wide`] takes the first quarter of the steps in balls of twice the radius and begins anew in the ball itself, at the best image of
//! that part drawn into it: what Croce and Hein 2021 do in l1 balls. Ascent towards a class that begins there ends less often at an image
//! that is the best of its neighbourhood only. None of the images of the first part counts.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen, apgd_l1};
use crate::region::{Bounds, Region};
use crate::rows::{Entrants, rows, where_rows};
use crate::terms::Norm;

/// Share of the steps since a checkpoint in which the objective has to rise.
const RISES: f64 = 0.75;
/// Length of the first steps as a share of the radius.
const LONGEST: f64 = 2.0;
/// Weight of a step against the momentum.
const WEIGHT: f64 = 0.75;

/// The radius of the first part of wide ascents, as a multiple of the region's, and one over the share of the steps that it takes.
const WIDER: f64 = 2.0;
const PART: usize = 4;

/// The checkpoints of rows with so many steps, one entry for each look at an image, the first being the start.
struct Checkpoints {
    /// Whether the look is a checkpoint `[S + 1]`.
    due: Tensor,
    /// The most rises since the last checkpoint at which the step is halved `[S + 1]`, f32.
    few: Tensor,
    /// The part in wider balls, if there is one.
    wide: Option<Wide>,
}

/// The looks of the part in wider balls.
struct Wide {
    /// Their number.
    looks: i64,
    /// The radius as a multiple of the region's `[S + 1]`, f32.
    radius: Tensor,
}

impl Checkpoints {
    /// Of which the first `wide` looks are in wider balls.
    fn new(steps: usize, wide: usize, device: Device) -> Self {
        let (mut due, mut few) = (vec![false; steps + 1], vec![0.0f32; steps + 1]);
        let anew = windows(steps - wide).into_iter().map(|(at, window)| (wide + at, window));
        for (at, window) in windows(wide).into_iter().filter(|&(at, _)| at < wide).chain(anew) {
            (due[at], few[at]) = (true, (RISES * window as f64) as f32);
        }
        let radius: Vec<f32> = (0..=steps).map(|look| if look < wide { WIDER as f32 } else { 1.0 }).collect();
        let part = || Wide { looks: wide as i64, radius: Tensor::from_slice(&radius).to_device(device) };
        let (due, few) = (Tensor::from_slice(&due).to_device(device), Tensor::from_slice(&few).to_device(device));
        Checkpoints { due, few, wide: (wide > 0).then(part) }
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
    ascent(pace, 0, entrants, first, region)
}

/// Rows that begin at `first`, in wider balls.
pub(super) fn wide(pace: Pace, entrants: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
    ascent(pace, pace.steps / PART, entrants, first, region)
}

fn ascent(pace: Pace, wide: usize, entrants: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
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
        share: Tensor::full([count, 1, 1, 1], LONGEST, (Kind::Float, device)),
        looks: Tensor::zeros([count], (Kind::Int64, device)),
        checkpoints: Rc::new(Checkpoints::new(pace.steps, wide, device)),
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
        let first = self.begins();
        // An objective that is not a number never counts as the best.
        let score = observed.score.nan_to_num(f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
        self.rises += score.gt_tensor(&self.last).to_kind(Kind::Float);
        self.last = score.shallow_clone();
        let better = score.gt_tensor(&self.best).logical_or(&first);
        self.best = score.where_self(&better, &self.best);
        self.best_at_check = score.where_self(&first, &self.best_at_check);
        self.best_image = where_rows(&better, &self.image, &self.best_image);
        self.best_gradient = where_rows(&better, gradient, &self.best_gradient);

        let due = self.checkpoints.due.index_select(0, &self.looks);
        let few = self.rises.le_tensor(&self.checkpoints.few.index_select(0, &self.looks));
        let stuck = self.halved.logical_not().logical_and(&self.best_at_check.ge_tensor(&self.best));
        let halve = due.logical_and(&few.logical_or(&stuck));
        self.share = (&self.share * 0.5).where_self(&wide(&halve), &self.share);
        let image = where_rows(&halve, &self.best_image, &self.image);
        let gradient = where_rows(&halve, &self.best_gradient, gradient);
        self.halved = halve.where_self(&due, &self.halved);
        self.best_at_check = self.best.where_self(&due, &self.best_at_check);
        self.rises = self.rises.zeros_like().where_self(&due, &self.rises);

        let radius = self.checkpoints.wide.as_ref().map(|part| wide(&part.radius.index_select(0, &self.looks)));
        let share = radius.as_ref().map_or_else(|| self.share.shallow_clone(), |radius| &self.share * radius);
        let ahead = inside(&region.ascend(&image, &gradient, &share), radius.as_ref(), region);
        // The first step has no momentum: the previous image is the first one itself.
        let weight = wide(&first).to_kind(Kind::Float) * (1.0 - WEIGHT) + WEIGHT;
        let next = &image + (ahead - &image) * &weight + (&image - &self.previous) * (-&weight + 1.0);
        self.image = inside(&next, radius.as_ref(), region);
        self.previous = image;
        self.looks += 1;
        self.narrow(region);
    }

    fn best(&self) -> Option<Tensor> {
        Some(self.best_image.shallow_clone())
    }

    fn counts(&self) -> Option<Tensor> {
        self.checkpoints.wide.as_ref().map(|wide| self.looks.ge(wide.looks))
    }
}

impl Apgd {
    /// Which rows look for the first time, or for the first time in the ball itself `[R]`.
    fn begins(&self) -> Tensor {
        let first = self.looks.eq(0);
        match &self.checkpoints.wide {
            Some(wide) => first.logical_or(&self.looks.eq(wide.looks)),
            None => first,
        }
    }

    /// Rows that have ended their part in wider balls begin anew, at its best image drawn into the ball.
    fn narrow(&mut self, region: &dyn Region) {
        let Some(part) = &self.checkpoints.wide else { return };
        let anew = self.looks.eq(part.looks);
        let wide = anew.view([-1, 1, 1, 1]);
        let drawn = region.project(&self.best_image);
        self.image = drawn.where_self(&wide, &self.image);
        self.previous = drawn.where_self(&wide, &self.previous);
        self.best_image = drawn.where_self(&wide, &self.best_image);
        self.last = self.last.masked_fill(&anew, f64::INFINITY);
        self.rises = self.rises.masked_fill(&anew, 0.0);
        self.halved = self.halved.logical_or(&anew);
        self.share = self.share.masked_fill(&wide, LONGEST);
    }
}

/// The images inside the region, or inside the ball of so many times its radius `[R, 1, 1, 1]`.
fn inside(image: &Tensor, times: Option<&Tensor>, region: &dyn Region) -> Tensor {
    let inside = region.project(image);
    let (Some(times), Some(shape)) = (times, region.shape()) else { return inside };
    let bounds = Bounds { center: region.center(), radius: &(region.size() * times), exact: None };
    shape.project(image, &bounds).where_self(&times.gt(1.0), &inside)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::{Checkpoints, windows};
    use crate::rows::floats;

    #[test]
    fn wide_ascents_check_each_part_for_itself() {
        let found = Checkpoints::new(80, 20, Device::Cpu);
        let due: Vec<bool> = Vec::try_from(&found.due).unwrap();
        let narrow = windows(60).into_iter().map(|(at, _)| 20 + at);
        let expected: Vec<usize> =
            windows(20).into_iter().map(|(at, _)| at).filter(|&at| at < 20).chain(narrow).collect();
        assert_eq!((0..=80).filter(|&look| due[look]).collect::<Vec<_>>(), expected);
        let radius = floats(&found.wide.unwrap().radius);
        assert!(radius.iter().enumerate().all(|(look, &times)| times == if look < 20 { 2.0 } else { 1.0 }));
        assert!(Checkpoints::new(3, 0, Device::Cpu).wide.is_none());
    }

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        let at: Vec<usize> = windows(100).into_iter().map(|(at, _)| at).collect();
        assert_eq!(at, [22, 41, 57, 70, 80, 87, 93, 99]);
        assert!(windows(1).iter().all(|&(at, window)| at <= 1 && window == 1));
    }
}
