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

impl Search<'_> {
    /// The exact pass over images of rows that left. A row whose hit it does not confirm goes back to the search (`None`) unless its steps
    /// are used up.
    pub(super) fn verify(&self, left: Vec<Left>, unconfirmed: &mut u64) -> Vec<(Left, Option<Finished>)> {
        let owned = |(place, left): (usize, &Left)| -> Vec<(usize, Tensor)> {
            left.best.iter().chain(&left.last).map(|image| (place, image.shallow_clone())).collect()
        };
        let images: Vec<(usize, Tensor)> = left.iter().enumerate().flat_map(owned).collect();
        let mut chosen: Vec<Option<Judged>> = left.iter().map(|_| None).collect();
        let mut passes = vec![0u32; left.len()];
        for ((place, image), verdict) in images.iter().zip(self.judge(&images, &left, Tensor::shallow_clone)) {
            passes[*place] += 1;
            let rank = (verdict.level, verdict.measure);
            if chosen[*place].as_ref().is_none_or(|best| rank > (best.verdict.level, best.verdict.measure)) {
                chosen[*place] = Some(Judged { image: image.shallow_clone(), verdict });
            }
        }
        let flipped = |(place, judged): (usize, &Option<Judged>)| {
            let judged = judged.as_ref().filter(|judged| judged.verdict.level > 0)?;
            Some((place, judged.image.shallow_clone()))
        };
        let flipped: Vec<(usize, Tensor)> = chosen.iter().enumerate().filter_map(flipped).collect();
        let mut rounded = self.judge(&flipped, &left, in_8_bits).into_iter();
        let lengths = self.lengths(&chosen, &left);
        let mut finished = Vec::with_capacity(left.len());
        for (((mut left, judged), passes), lengths) in left.into_iter().zip(chosen).zip(passes).zip(lengths) {
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
            let row = self.finish(&left, judged, rounded, lengths);
            finished.push((left, Some(row)));
        }
        finished
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
        let images: Vec<&Tensor> = chosen.iter().flatten().map(|judged| &judged.image).collect();
        if images.is_empty() {
            return chosen.iter().map(|_| None).collect();
        }
        let clean = &self.bench.clean.pixels;
        let samples = chosen.iter().zip(left).filter(|(judged, _)| judged.is_some());
        let samples: Vec<i64> = samples.map(|(_, left)| left.active.row.sample as i64).collect();
        let centers = clean.index_select(0, &Tensor::from_slice(&samples).to_device(clean.device()));
        let mut lengths = Lengths::measure(&Tensor::cat(&images, 0), &centers).into_iter();
        chosen.iter().map(|judged| judged.as_ref().and_then(|_| lengths.next())).collect()
    }

    fn finish(&self, left: &Left, judged: Judged, rounded: Option<Verdict>, lengths: Lengths) -> Finished {
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
