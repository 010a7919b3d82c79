//! What the f32 model says of the images that left the search.

use tch::Tensor;

use super::batch::Active;
use super::{Drive, Finished, Row, Search};
use crate::attack::Lengths;
use crate::engine::judge::{Judgement, judge};
use crate::suite::Direction;
use crate::terms::Unit;

/// A row that has left the device and waits for the f32 pass.
pub(super) struct Candidate {
    pub(super) active: Active,
    pub(super) best: Option<Tensor>,
    pub(super) last: Tensor,
    pub(super) exhausted: bool,
    pub(super) zero_steps: i64,
    pub(super) broken: bool,
}

impl Candidate {
    pub(super) fn active(&self) -> Active {
        self.active.clone()
    }
}

impl std::ops::Deref for Candidate {
    type Target = Active;
    fn deref(&self) -> &Active {
        &self.active
    }
}

impl Search<'_> {
    /// The f32 pass over images that left. A hit that it does not confirm goes back to the search (`None`) unless its steps
    /// are used up.
    pub(super) fn verify(
        &self,
        candidates: Vec<Candidate>,
        unconfirmed: &mut u64,
    ) -> Vec<(Candidate, Option<Finished>)> {
        let mut images = Vec::new();
        let mut owners = Vec::new();
        for (place, candidate) in candidates.iter().enumerate() {
            if let Some(best) = &candidate.best {
                images.push(best.shallow_clone());
                owners.push(place);
            }
            if candidate.exhausted {
                images.push(candidate.last.shallow_clone());
                owners.push(place);
            }
        }
        let judged = self.judge(&images, &owners, &candidates);
        let mut chosen: Vec<Option<(usize, (i64, f64))>> = candidates.iter().map(|_| None).collect();
        let mut passes = vec![0u32; candidates.len()];
        for (index, &owner) in owners.iter().enumerate() {
            passes[owner] += 1;
            let rank = self.rank(&candidates[owner].active.row, &judged[index]);
            if chosen[owner].is_none_or(|(_, best)| rank > best) {
                chosen[owner] = Some((index, rank));
            }
        }
        let rounded: Vec<Tensor> = images.iter().map(|image| (image * 255.0).round() / 255.0).collect();
        let flips: Vec<usize> =
            chosen.iter().flatten().filter(|(_, rank)| rank.0 > 0).map(|&(index, _)| index).collect();
        let rounded: Vec<Tensor> = flips.iter().map(|&index| rounded[index].shallow_clone()).collect();
        let rounded_owners: Vec<usize> = flips.iter().map(|&index| owners[index]).collect();
        let mut rounded = self.judge(&rounded, &rounded_owners, &candidates).into_iter();
        candidates
            .into_iter()
            .zip(chosen)
            .zip(passes)
            .map(|((mut candidate, chosen), passes)| {
                candidate.active.forwards += passes;
                let Some((index, (level, _))) = chosen else { return (candidate, None) };
                let rounded = if level > 0 { rounded.next() } else { None };
                if candidate.best.is_some() && level == 0 {
                    *unconfirmed += 1;
                    if candidate.active.age < self.steps {
                        return (candidate, None);
                    }
                }
                if rounded.is_some() {
                    candidate.active.forwards += 1;
                }
                let finished = self.finish(&candidate, images[index].shallow_clone(), judged[index], rounded);
                (candidate, Some(finished))
            })
            .collect()
    }

    fn judge(&self, images: &[Tensor], owners: &[usize], candidates: &[Candidate]) -> Vec<Judgement> {
        if images.is_empty() {
            return Vec::new();
        }
        let rows: Vec<&Row> = owners.iter().map(|&owner| &candidates[owner].active.row).collect();
        let labels: Vec<i64> = rows.iter().map(|row| self.clean.labels[row.sample]).collect();
        let units: Vec<Unit> = rows.iter().map(|row| row.unit.unwrap_or(Unit::channel(0))).collect();
        let units = match &self.drive {
            Drive::Unit { layer, .. } => Some((*layer, units.as_slice())),
            Drive::Logits { .. } => None,
        };
        judge(self.verifier, &Tensor::cat(images, 0), &labels, units, self.capacity)
    }

    /// First the level reached, then the objective's own measure.
    fn rank(&self, row: &Row, judged: &Judgement) -> (i64, f64) {
        let clean = self.clean.judgements[row.sample].prediction;
        let flipped = judged.flips(clean);
        let hit = flipped && self.target_of(row.sample) == Some(judged.prediction);
        let measure = match (&self.drive, judged.activation) {
            (Drive::Unit { direction: Direction::Suppress, .. }, Some(value)) => f64::from(-value),
            (Drive::Unit { .. }, Some(value)) => f64::from(value),
            _ => f64::from(-judged.margin),
        };
        (i64::from(flipped) + i64::from(hit), measure)
    }

    fn finish(&self, candidate: &Candidate, image: Tensor, verdict: Judgement, rounded: Option<Judgement>) -> Finished {
        let Active { row, age, forwards, backwards, .. } = &candidate.active;
        let clean = self.clean.judgements[row.sample].prediction;
        let (level, _) = self.rank(row, &verdict);
        let center = self.clean.pixels.narrow(0, row.sample as i64, 1);
        let lengths = Lengths::of(&image, &center)[0];
        let inside = lengths.get(self.norm) <= row.epsilon * (1.0 + 1e-6) + 1e-12;
        debug_assert!(inside, "{} > {}", lengths.get(self.norm), row.epsilon);
        Finished {
            flipped: level > 0 && inside,
            hit: level > 1 && inside,
            flipped_u8: inside && rounded.is_some_and(|rounded| rounded.flips(clean)),
            image,
            verdict,
            lengths,
            steps: *age as u32,
            forwards: *forwards,
            backwards: *backwards,
            zero_gradient: candidate.zero_steps >= *age as i64 && *age > 0,
            non_finite: candidate.broken || !verdict.finite,
            row: row.clone(),
        }
    }
}
