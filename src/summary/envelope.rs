//! The smallest verified flip of each sample by anything of the run, in the norms in which it measures distances; and how near each method
//! comes to it.

use std::collections::BTreeMap;

use crate::record::{DistanceRecord, Record, TOWARDS};
use crate::stats::Observation;
use crate::terms::{Epsilon, Norm};

/// The method of distances that are the smallest of all.
pub const ENVELOPE: &str = "envelope";

/// What is known of one model's samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Envelope {
    /// What the methods of the boundary search say, by norm and sample: the smallest.
    measured: BTreeMap<(Norm, u32), Observation>,
    /// The shortest perturbation of any record that flips its sample, by norm and sample.
    flips: BTreeMap<(Norm, u32), f64>,
    /// The rule of the class to which distances were measured, if not to any: then flips to others say nothing of them.
    towards: Option<String>,
}

impl Envelope {
    /// Takes note of a distance, as an observation.
    pub(super) fn measure(&mut self, norm: Norm, sample: u32, observation: Observation) {
        let known = self.measured.entry((norm, sample)).or_insert(observation);
        *known = nearer(*known, observation);
    }

    /// Takes note of a record's flip: it has a length in every norm.
    pub(super) fn flip(&mut self, sample: u32, record: &Record) {
        for norm in Norm::ALL {
            let length = record.nearest_length(norm);
            let shortest = self.flips.entry((norm, sample)).or_insert(length);
            *shortest = shortest.min(length);
        }
    }

    /// Samples that some record flips in the ball of `epsilon` around their clean image, whatever ball it was made for.
    pub(super) fn flipped_within(&self, norm: Norm, epsilon: Epsilon) -> impl Iterator<Item = u32> {
        // Lengths are verified up to the rounding that a ball allows.
        let inside = move |((flip_norm, sample), length): (&(Norm, u32), &f64)| {
            (*flip_norm == norm && *length <= epsilon.longest()).then_some(*sample)
        };
        self.flips.iter().filter_map(inside)
    }

    /// Add what is known of the same model; `numbers` gives the place of each of the other's samples.
    pub(super) fn merge(&mut self, other: &Envelope, numbers: &[u32]) {
        for (&(norm, sample), &observation) in &other.measured {
            self.measure(norm, numbers[sample as usize], observation);
        }
        self.towards = self.towards.take().or_else(|| other.towards.clone());
        for (&(norm, sample), &length) in &other.flips {
            let shortest = self.flips.entry((norm, numbers[sample as usize])).or_insert(length);
            *shortest = shortest.min(length);
        }
    }

    /// Takes note that distances are measured to the class of a rule.
    pub(super) fn measured_towards(&mut self, rule: &str) {
        self.towards.get_or_insert_with(|| rule.to_owned());
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        self.towards.as_ref().map_or(ENVELOPE.to_owned(), |rule| format!("{ENVELOPE}{TOWARDS}{rule}"))
    }

    /// The envelope in each norm that was measured, samples in order.
    pub(super) fn observations(&self) -> BTreeMap<Norm, Vec<Observation>> {
        let mut all: BTreeMap<Norm, Vec<Observation>> = BTreeMap::new();
        for (&(norm, sample), &observation) in &self.measured {
            let flip = self.flips.get(&(norm, sample)).filter(|_| self.towards.is_none());
            let flip = flip.map(|&distance| Observation { distance, event: true });
            all.entry(norm).or_default().push(flip.map_or(observation, |flip| nearer(observation, flip)));
        }
        all
    }
}

/// A flip beats none, and a nearer one a farther one; of two searches without a flip the farther one counts.
fn nearer(a: Observation, b: Observation) -> Observation {
    let second = match (a.event, b.event) {
        (true, true) => b.distance < a.distance,
        (false, false) => b.distance > a.distance,
        (_, second) => second,
    };
    if second { b } else { a }
}

/// The distance of a record as an observation: a misclassified sample is at 0, a censored one beyond what was searched.
pub(super) fn observation(distance: &DistanceRecord) -> Observation {
    if distance.clean_pred != distance.label {
        // Misclassified images are at the boundary, but not at every class.
        Observation { distance: 0.0, event: distance.towards().is_none() }
    } else if distance.censored || !distance.distance.is_finite() {
        let searched = if distance.searched.is_nan() { 0.0 } else { distance.searched };
        Observation { distance: searched, event: false }
    } else {
        Observation { distance: distance.distance, event: true }
    }
}

/// AttackBench's local optimality (Cinà et al. 2025, <https://arxiv.org/abs/2404.19460>): 1 minus the area between the robust-accuracy curves
/// of a method and of the `envelope`, over the largest such area there can be. Areas end at the envelope's farthest flip; samples without
/// one are robust up to there. 1 where the envelope has no area to lose.
pub(super) fn optimality(method: &[Observation], envelope: &[Observation]) -> f64 {
    let farthest = envelope
        .iter()
        .filter(|observation| observation.event)
        .map(|observation| observation.distance)
        .fold(0.0, f64::max);
    let reach =
        |observation: &Observation| if observation.event { observation.distance.min(farthest) } else { farthest };
    let area = |all: &[Observation]| all.iter().map(reach).sum::<f64>() / all.len().max(1) as f64;
    let alive = envelope.iter().filter(|observation| !observation.event || observation.distance > 0.0).count() as f64;
    let (reached, best) = (area(method), area(envelope));
    let most = alive / envelope.len().max(1) as f64 * farthest - best;
    if most > 0.0 { 1.0 - (reached - best) / most } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{cell, flipped, record};

    fn at(distance: f64) -> Observation {
        Observation { distance, event: true }
    }

    #[test]
    fn the_envelope_has_the_optimality_one_and_what_finds_nothing_has_zero() {
        let best = [at(0.0), at(1.0), at(2.0), at(4.0)];
        assert_eq!(optimality(&best, &best), 1.0);
        let none = [at(0.0), Observation { distance: 9.0, event: false }, at(50.0), at(4.0)];
        assert_eq!(optimality(&none, &best), 0.0);
        // Areas 7/4 and 8/4; at most 12/4.
        assert_eq!(optimality(&[at(0.0), at(1.5), at(2.5), at(4.0)], &best), 1.0 - 0.25 / (3.0 - 1.75));
    }

    #[test]
    fn what_an_attack_passes_on_its_way_counts() {
        let mut record = flipped(record(&cell(0.03).into(), 0));
        (record.linf, record.l2, record.nearest_flip) = (0.03, 1.0, Some(0.01));
        let mut envelope = Envelope::default();
        envelope.flip(0, &record);
        let within = |norm, radius| envelope.flipped_within(norm, Epsilon::new(radius).unwrap()).count();
        assert_eq!([0.009, 0.01].map(|radius| within(record.cell.norm, radius)), [0, 1]);
        // Its lengths in other norms are not known.
        assert_eq!([0.9, 1.0].map(|radius| within(Norm::L2, radius)), [0, 1]);
    }

    #[test]
    fn flips_of_attacks_beat_farther_distances_and_censored_ones() {
        let mut envelope = Envelope::default();
        envelope.measure(Norm::L2, 0, Observation { distance: 4.0, event: false });
        envelope.measure(Norm::L2, 1, at(0.5));
        envelope.measure(Norm::L2, 1, at(0.75));
        envelope.flips.insert((Norm::L2, 0), 1.5);
        envelope.flips.insert((Norm::L2, 1), 0.75);
        envelope.flips.insert((Norm::Linf, 1), 0.1);
        let known = envelope.observations();
        assert_eq!(
            known[&Norm::L2].iter().map(|observation| (observation.distance, observation.event)).collect::<Vec<_>>(),
            [(1.5, true), (0.5, true)]
        );
        assert!(!known.contains_key(&Norm::Linf), "the run measures no distance there");
        // To one class, what flips to another is no nearer.
        envelope.measured_towards("least-likely");
        assert_eq!(envelope.name(), "envelope to least-likely");
        assert!(!envelope.observations()[&Norm::L2][0].event);
    }
}
