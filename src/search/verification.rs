//! What the exact pass says of the images that left the search.

use tch::Tensor;

use super::batch::Left;
use super::{Finished, Search, Verdict};
use crate::judge::{Lengths, in_8_bits};
use crate::rows::Row;
use crate::terms::Epsilon;

/// A share of the way to the best score that is too much for the last tenth of the steps (Pintor et al. 2022,
/// <https://arxiv.org/abs/2106.09947>).
const STILL: f32 = 0.05;

/// Whether a perturbation of this length lies in the ball of this radius, but for rounding.
pub fn inside(length: f64, radius: Epsilon) -> bool {
    length <= radius.longest() + 1e-12
}

/// An image of a row that left, with what is said of it.
struct Judged {
    image: Tensor,
    verdict: Verdict,
}

/// What the exact pass over all images of rows that left gave, by row.
struct Looked {
    /// The image that counts.
    chosen: Vec<Option<Judged>>,
    /// Forward passes.
    passes: Vec<u32>,
    /// Flips of rows that passed a nearer one than the image that counts, each of the row at the place beside it.
    passed: Vec<(usize, Tensor)>,
}

impl Search<'_> {
    /// The exact pass over images of rows that left. A row whose hit it does not confirm goes back to the search (`None`) unless its steps
    /// are used up.
    pub(super) fn verify(&self, left: Vec<Left>, unconfirmed: &mut u64) -> Vec<(Left, Option<Finished>)> {
        let Looked { chosen, passes, passed } = self.look(&left);
        let flipped = |(place, judged): (usize, &Option<Judged>)| {
            let judged = judged.as_ref().filter(|judged| judged.verdict.level > 0)?;
            Some((place, judged.image.shallow_clone()))
        };
        let flipped: Vec<(usize, Tensor)> = chosen.iter().enumerate().filter_map(flipped).collect();
        let mut rounded = self.judge(&flipped, &left, in_8_bits).into_iter();
        let lengths = self.lengths(&chosen, &left);
        let nearest = self.nearest_of(&passed, &left);
        let mut finished = Vec::with_capacity(left.len());
        let all = left.into_iter().zip(chosen).zip(passes).zip(lengths).zip(nearest);
        for ((((mut left, judged), passes), lengths), nearest) in all {
            left.active.forwards += passes;
            let (Some(judged), Some(lengths)) = (judged, lengths) else {
                finished.push((left, None));
                continue;
            };
            let rounded = if judged.verdict.level > 0 { rounded.next() } else { None };
            let lost = left.best.is_some() && judged.verdict.level == 0;
            *unconfirmed += u64::from(lost);
            if lost && left.rested.is_some() {
                finished.push((left, None));
                continue;
            }
            left.active.forwards += u32::from(rounded.is_some());
            let row = self.finish(&left, judged, rounded, (lengths, nearest));
            finished.push((left, Some(row)));
        }
        finished
    }

    /// Judges what rows ended with, and what they passed on their way, which counts only where it reached more.
    fn look(&self, left: &[Left]) -> Looked {
        let mut images: Vec<(usize, Tensor)> = Vec::new();
        let mut on_the_way: Vec<bool> = Vec::new();
        for (place, left) in left.iter().enumerate() {
            let ends = left.best.iter().chain(&left.last).map(|image| (image, false));
            for (image, passed) in ends.chain(left.nearest.iter().map(|image| (image, true))) {
                images.push((place, image.shallow_clone()));
                on_the_way.push(passed);
            }
        }
        let mut chosen: Vec<Option<Judged>> = left.iter().map(|_| None).collect();
        let (mut passes, mut passed) = (vec![0u32; left.len()], Vec::new());
        let verdicts = self.judge(&images, left, Tensor::shallow_clone);
        for (((place, image), on_the_way), verdict) in images.into_iter().zip(on_the_way).zip(verdicts) {
            passes[place] += 1;
            if verdict.level > 0 && left[place].nearest.is_some() {
                passed.push((place, image.shallow_clone()));
            }
            let rank = |verdict: &Verdict| (verdict.level, if on_the_way { 0.0 } else { verdict.measure });
            if chosen[place].as_ref().is_none_or(|best| rank(&verdict) > rank(&best.verdict)) {
                chosen[place] = Some(Judged { image, verdict });
            }
        }
        Looked { chosen, passes, passed }
    }

    /// The verdicts on what `made` makes of `images`, each of the row at the place beside it.
    fn judge(&self, images: &[(usize, Tensor)], left: &[Left], made: impl Fn(&Tensor) -> Tensor) -> Vec<Verdict> {
        if images.is_empty() {
            return Vec::new();
        }
        let rows: Vec<&Row> = images.iter().map(|(place, _)| &left[*place].active.row).collect();
        let images: Vec<&Tensor> = images.iter().map(|(_, image)| image).collect();
        self.referee.judge(&rows, &made(&Tensor::cat(&images, 0)))
    }

    /// The norms of all chosen images' perturbations.
    fn lengths(&self, chosen: &[Option<Judged>], left: &[Left]) -> Vec<Option<Lengths>> {
        let images = chosen.iter().enumerate();
        let images: Vec<(usize, Tensor)> =
            images.filter_map(|(place, judged)| Some((place, judged.as_ref()?.image.shallow_clone()))).collect();
        let mut lengths = self.measured(&images, left).into_iter();
        chosen.iter().map(|judged| judged.as_ref().and_then(|_| lengths.next())).collect()
    }

    /// For each row the shortest of the images that `passed` for flips, in the region's norm.
    fn nearest_of(&self, passed: &[(usize, Tensor)], left: &[Left]) -> Vec<Option<f64>> {
        let mut nearest = vec![None; left.len()];
        let Some(norm) = self.regions.norm() else { return nearest };
        for ((place, _), lengths) in passed.iter().zip(self.measured(passed, left)) {
            let length = lengths.get(norm);
            nearest[*place] = Some(nearest[*place].map_or(length, |shortest: f64| shortest.min(length)));
        }
        nearest
    }

    /// The norms of the perturbations of images, each of the row at the place beside it.
    fn measured(&self, images: &[(usize, Tensor)], left: &[Left]) -> Vec<Lengths> {
        if images.is_empty() {
            return Vec::new();
        }
        let clean = &self.bench.clean.pixels;
        let samples: Vec<i64> = images.iter().map(|(place, _)| left[*place].active.row.sample as i64).collect();
        let centers = clean.index_select(0, &Tensor::from_slice(&samples).to_device(clean.device()));
        let images: Vec<&Tensor> = images.iter().map(|(_, image)| image).collect();
        Lengths::measure(&Tensor::cat(&images, 0), &centers)
    }

    fn finish(
        &self,
        left: &Left,
        judged: Judged,
        rounded: Option<Verdict>,
        (lengths, nearest): (Lengths, Option<f64>),
    ) -> Finished {
        let active = &left.active;
        let length = self.regions.norm().map(|norm| lengths.get(norm));
        let inside = length.is_none_or(|length| inside(length, active.row.epsilon));
        debug_assert!(inside, "{length:?} > {}", active.row.epsilon);
        let Judged { image, verdict } = judged;
        Finished {
            // What cannot be told to be classified rightly is not robust; the record's status tells it.
            flipped: inside && (verdict.level > 0 || !verdict.judgement.decided),
            hit: verdict.level > 1 && inside,
            flipped_u8: inside && rounded.is_some_and(|rounded| rounded.level > 0),
            image,
            verdict: verdict.judgement,
            measure: verdict.measure,
            lengths,
            nearest: nearest.filter(|nearest| length.is_some_and(|length| *nearest < length)),
            steps: active.age as u32,
            forwards: active.forwards,
            backwards: active.backwards,
            zero_gradient: left.zero_steps >= active.age as i64 && active.age > 0,
            still_moves: Some(left.late_share > STILL).filter(|_| active.age >= self.pace.steps && active.age >= 10),
            non_finite: left.broken || !verdict.judgement.finite,
            row: active.row.clone(),
        }
    }
}
