//! What a search remembers of each row besides its parts.

use tch::{Kind, Tensor};

use super::nearest::lengths;
use super::{Criterion, Prefer};
use crate::optimizer::Seen;
use crate::region::Region;
use crate::rows::{rows, where_rows};

rows! {
    /// The image of each row that counts so far, and what went wrong on the way.
    pub(super) struct Track {
        each {
            /// The image that counts, once `level` is above 0.
            pub(super) image: Tensor,
            /// The highest level seen `[R]`, i64.
            pub(super) level: Tensor,
            /// What images of that level are ranked by `[R]`, f32.
            pub(super) value: Tensor,
            /// Steps at which the gradient was zero `[R]`, i64.
            pub(super) zero_steps: Tensor,
            /// Whether a score or gradient was not finite `[R]`.
            pub(super) broken: Tensor,
            /// Whether the row has left its centre: there is nothing to be reached at a clean image `[R]`.
            pub(super) moved: Tensor,
            /// Steps taken `[R]`, i64.
            pub(super) age: Tensor,
            /// The first score `[R]`, f32.
            pub(super) first: Tensor,
            /// The best score `[R]`, f32.
            pub(super) top: Tensor,
            /// The best score before the last tenth of the steps `[R]`, f32.
            pub(super) early: Tensor,
        }
    }
}

impl Track {
    /// Rows that begin at `image`; those of them that `moved` `[R]` names begin elsewhere than at their centre.
    pub(super) fn new(image: &Tensor, moved: Tensor) -> Self {
        let (count, device) = (moved.size()[0], moved.device());
        Track {
            image: image.copy(),
            level: Tensor::zeros([count], (Kind::Int64, device)),
            value: Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device)),
            zero_steps: Tensor::zeros([count], (Kind::Int64, device)),
            broken: Tensor::zeros([count], (Kind::Bool, device)),
            moved,
            age: Tensor::zeros([count], (Kind::Int64, device)),
            first: Tensor::zeros([count], (Kind::Float, device)),
            top: Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device)),
            early: Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device)),
        }
    }

    /// Takes note of a step: whether all was `finite` `[R]` and, where a gradient was asked for, whether it was `zero` `[R]`.
    pub(super) fn note(&mut self, finite: &Tensor, zero: Option<&Tensor>) {
        let _ = self.broken.logical_or_(&finite.logical_not());
        if let Some(zero) = zero {
            self.zero_steps += zero.to_kind(Kind::Int64);
        }
        let _ = self.moved.fill_(1);
    }

    /// Takes note of the scores `[R]` of a step, of which those from the step `late` on are the last tenth; of rows alone whose image
    /// `counts` `[R]`, if it need not.
    pub(super) fn follow(&mut self, score: &Tensor, counts: Option<&Tensor>, late: usize) {
        let score =
            score.to_kind(Kind::Float).nan_to_num(f64::from(f32::MIN), f64::from(f32::MAX), f64::from(f32::MIN));
        let begins = self.top.isneginf();
        let (first, top) = (score.where_self(&begins, &self.first), self.top.maximum(&score));
        let counted = |now: Tensor, before: &Tensor| match counts {
            Some(counts) => now.where_self(counts, before),
            None => now,
        };
        (self.first, self.top) = (counted(first, &self.first), counted(top, &self.top));
        self.early = self.top.where_self(&self.age.lt(late as i64), &self.early);
        self.age += 1;
    }

    /// The share of the way from the first score to the best `[R]` that the last tenth of the steps brought.
    pub(super) fn late_share(&self) -> Tensor {
        let way = &self.top - &self.first;
        let late = &self.top - &self.early;
        (late / way.clamp_min(f64::from(f32::MIN_POSITIVE))).nan_to_num(0.0, 0.0, 0.0)
    }

    /// The levels `[R]` that count: a clean image reaches nothing.
    pub(super) fn reached(&self, level: &Tensor) -> Tensor {
        level * self.moved.to_kind(Kind::Int64)
    }

    /// Keeps `image` where it is better than what was seen before.
    pub(super) fn keep_best(&mut self, criterion: Criterion, image: &Tensor, observed: &Seen, region: &dyn Region) {
        let Some(level) = observed.level else { return };
        let level = self.reached(level).clamp_max(criterion.most);
        let value = match criterion.prefer {
            Prefer::First | Prefer::Score => observed.score.shallow_clone(),
            Prefer::Nearest => match lengths(image, region) {
                Some(lengths) => -lengths,
                None => observed.score.shallow_clone(),
            },
        };
        let level = match criterion.near {
            Some(near) => &level + level.gt(0).logical_and(&value.ge(-near)).to_kind(Kind::Int64),
            None => level,
        };
        let mut better = level.gt_tensor(&self.level);
        if criterion.prefer != Prefer::First {
            let tied = level.eq_tensor(&self.level).logical_and(&level.gt(0));
            better = better.logical_or(&tied.logical_and(&value.gt_tensor(&self.value)));
        }
        self.image = where_rows(&better, image, &self.image);
        self.value = value.where_self(&better, &self.value);
        self.level = level.where_self(&better, &self.level);
    }

    /// Forgets what was reached: an exact pass has not confirmed it.
    pub(super) fn forget(&mut self) {
        self.level = self.level.zeros_like();
        self.value = self.value.full_like(f64::NEG_INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::floats;

    #[test]
    fn the_last_tenth_of_the_steps_has_its_share_of_the_way_to_the_best_score() {
        let image = Tensor::zeros([4, 1, 1, 1], (Kind::Float, tch::Device::Cpu));
        let mut track = Track::new(&image, Tensor::zeros([4], (Kind::Bool, tch::Device::Cpu)));
        // A steady climb, one that ends early, none at all, and one into the infinite.
        for step in 0..20 {
            let climb = step as f32;
            track.follow(&Tensor::from_slice(&[climb, climb.min(5.0), -3.0, f32::NAN]), None, 18);
        }
        let share = floats(&track.late_share());
        assert!((share[0] - 2.0 / 19.0).abs() < 1e-6, "{share:?}");
        assert_eq!(share[1..], [0.0, 0.0, 0.0]);
    }

    #[test]
    fn scores_of_images_that_do_not_count_say_nothing_of_the_way() {
        let image = Tensor::zeros([1, 1, 1, 1], (Kind::Float, tch::Device::Cpu));
        let mut track = Track::new(&image, Tensor::zeros([1], (Kind::Bool, tch::Device::Cpu)));
        // High outside the region, then a steady climb inside.
        for step in 0..20 {
            let score = if step < 5 { 100.0 } else { step as f32 };
            track.follow(&Tensor::from_slice(&[score]), Some(&Tensor::from_slice(&[step >= 5])), 18);
        }
        assert!((floats(&track.late_share())[0] - 2.0 / 14.0).abs() < 1e-6);
    }
}
