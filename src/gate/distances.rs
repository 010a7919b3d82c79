//! Median boundary distances, run against baseline.

use super::{Change, Distance, Distances, Snapshot, Subject};
use crate::stats::{Estimate, Observation, kaplan_meier, median_distance, paired_median_difference, wilcoxon};
use crate::terms::SampleId;

/// Resamples of the interval.
const RESAMPLES: usize = 2000;

/// Most ids that are listed.
pub const MOST_IDS: usize = 50;

/// What a distance is about.
pub fn subject(distances: &Distances) -> Subject {
    Subject { norm: Some(distances.norm), method: Some(distances.method.clone()), ..Subject::model(&distances.model) }
}

/// What is known of each measured sample, as statistics of censored values read it.
pub fn observations(distances: &Distances) -> Vec<Observation> {
    let observe = |value: &Distance| match value {
        Distance::Missing => None,
        Distance::Censored => Some(Observation { distance: distances.searched, event: false }),
        Distance::At(distance) => Some(Observation { distance: *distance, event: true }),
    };
    distances.values.iter().filter_map(observe).collect()
}

/// Number of samples and Kaplan-Meier median. Where fewer than half the samples flip, the median lies beyond what was
/// searched: then it is given as that radius.
pub fn median(distances: &Distances) -> (u64, Estimate) {
    let mut observations = observations(distances);
    let n = observations.len() as u64;
    let end = if distances.searched.is_finite() { distances.searched } else { f64::MAX };
    let median = median_distance(&kaplan_meier(&mut observations));
    let Estimate { point, lo, hi } = median.unwrap_or(Estimate { point: end, lo: end, hi: end });
    (n, Estimate { point: point.min(end), lo: lo.min(end), hi: hi.min(end) })
}

/// The change of the median over the samples that both measured, censored ones at the smaller of the radii searched;
/// and the p value of "not better". Ids come by the size of the shift, the largest first. None without such samples.
pub fn change(before: &Distances, now: &Distances, samples: &[SampleId]) -> Option<(Change, f64)> {
    let end = before.searched.min(now.searched);
    let number = |value: &Distance| match value {
        Distance::Missing => None,
        Distance::Censored => Some(end),
        Distance::At(distance) => Some(distance.min(end)),
    };
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let (mut broken, mut fixed) = (Vec::new(), Vec::new());
    for ((before, now), id) in before.values.iter().zip(&now.values).zip(samples) {
        let (Some(before), Some(now)) = (number(before), number(now)) else { continue };
        let shift = now - before;
        if shift < 0.0 {
            broken.push((-shift, id));
        } else if shift > 0.0 {
            fixed.push((shift, id));
        }
        old.push(before);
        new.push(now);
    }
    let estimate = paired_median_difference(&new, &old, RESAMPLES, 0)?;
    let test = wilcoxon(new.iter().copied().zip(old.iter().copied()));
    // Half of all rank sum speaks for either side; the sign of what exceeds it tells the direction of the test.
    let middle = (test.n * (test.n + 1)) as f64 / 4.0;
    let toward = |for_it: bool| if for_it { test.two_sided / 2.0 } else { 1.0 - test.two_sided / 2.0 };
    let worse = toward(test.positive_ranks < middle);
    let better = toward(test.positive_ranks > middle);
    let change = Change {
        estimate,
        n: new.len() as u64,
        broken: broken.len() as u64,
        fixed: fixed.len() as u64,
        broken_ids: largest(broken),
        fixed_ids: largest(fixed),
        p: worse,
        p_adjusted: worse,
    };
    Some((change, better))
}

/// The samples of the largest shifts; those that differ by rounding alone keep their order.
fn largest(mut shifts: Vec<(f64, &SampleId)>) -> Vec<SampleId> {
    shifts.sort_by(|(a, _), (b, _)| (*b as f32).total_cmp(&(*a as f32)));
    shifts.into_iter().take(MOST_IDS).map(|(_, id)| id.clone()).collect()
}

/// The distances of `snapshot` about `subject`.
pub fn find<'s>(snapshot: &'s Snapshot, subject: &Subject) -> Option<&'s Distances> {
    snapshot.distances.iter().find(|known| self::subject(known) == *subject)
}
