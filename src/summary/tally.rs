//! Counts that grow record by record: what the summary of a cell and of a model needs, and no more.

use std::collections::BTreeMap;

use super::envelope::Envelope;
use super::sample_set::SampleSet;
use crate::record::{Cell, Record, Status};
use crate::stats::ExactSum;
use crate::terms::{Epsilon, Norm, Role};

/// The counts of one cell.
#[derive(Debug, Clone)]
pub(super) struct CellTally {
    pub(super) cell: Cell,
    /// Place of the cell's model among the model tallies.
    pub(super) model: usize,
    pub(super) n: u64,
    pub(super) clean_correct: u64,
    /// Flips among the clean-correct.
    pub(super) flips: u64,
    /// Flips among all.
    pub(super) flips_all: u64,
    /// Flips among the clean-correct that survive rounding.
    pub(super) flips_u8: u64,
    /// The clean-correct that could reach a target: not those of the target's own class.
    pub(super) targets: u64,
    pub(super) target_hits: u64,
    pub(super) has_target: bool,
    pub(super) zero_gradient: u64,
    pub(super) non_finite: u64,
    pub(super) undecided: u64,
    pub(super) dead_unit: u64,
    pub(super) gain_z: ExactSum,
    pub(super) gain_z_n: u64,
    pub(super) forwards: u64,
    pub(super) backwards: u64,
    pub(super) seconds: ExactSum,
}

impl CellTally {
    pub(super) fn new(cell: Cell, model: usize) -> Self {
        CellTally {
            cell,
            model,
            n: 0,
            clean_correct: 0,
            flips: 0,
            flips_all: 0,
            flips_u8: 0,
            targets: 0,
            target_hits: 0,
            has_target: false,
            zero_gradient: 0,
            non_finite: 0,
            undecided: 0,
            dead_unit: 0,
            gain_z: ExactSum::default(),
            gain_z_n: 0,
            forwards: 0,
            backwards: 0,
            seconds: ExactSum::default(),
        }
    }

    pub(super) fn add(&mut self, record: &Record) {
        let correct = record.clean_correct();
        let attacked = record.status != Status::SkippedMisclassified;
        self.n += 1;
        self.clean_correct += u64::from(correct);
        self.flips += u64::from(correct && record.flipped);
        self.flips_all += u64::from(attacked && record.flipped);
        self.flips_u8 += u64::from(correct && record.flipped && record.flipped_u8);
        let targeted = correct && record.target_hit.is_some() && !drives_own_class(record);
        self.targets += u64::from(targeted);
        self.target_hits += u64::from(targeted && record.target_hit == Some(true));
        self.has_target |= record.target_hit.is_some();
        self.zero_gradient += u64::from(record.status == Status::ZeroGradient);
        self.non_finite += u64::from(record.status == Status::NonFinite);
        self.undecided += u64::from(record.status == Status::Undecided);
        self.dead_unit += u64::from(record.status == Status::DeadUnit);
        if let Some(z) = record.activation_gain_z.filter(|z| z.is_finite()) {
            self.gain_z.add(z.into());
            self.gain_z_n += 1;
        }
        self.forwards += u64::from(record.forwards);
        self.backwards += u64::from(record.backwards);
    }

    /// Add the counts of the same cell.
    pub(super) fn merge(&mut self, other: &CellTally) {
        self.n += other.n;
        self.clean_correct += other.clean_correct;
        self.flips += other.flips;
        self.flips_all += other.flips_all;
        self.flips_u8 += other.flips_u8;
        self.targets += other.targets;
        self.target_hits += other.target_hits;
        self.has_target |= other.has_target;
        self.zero_gradient += other.zero_gradient;
        self.non_finite += other.non_finite;
        self.undecided += other.undecided;
        self.dead_unit += other.dead_unit;
        self.gain_z.merge(&other.gain_z);
        self.gain_z_n += other.gain_z_n;
        self.forwards += other.forwards;
        self.backwards += other.backwards;
        self.seconds.merge(&other.seconds);
    }

    /// Flipped share of the clean-correct; 0 if there is none.
    pub(super) fn flip_share(&self) -> f64 {
        if self.clean_correct == 0 { 0.0 } else { self.flips as f64 / self.clean_correct as f64 }
    }
}

/// Whether the attack drives the class that the sample is of, which it cannot be driven to.
fn drives_own_class(record: &Record) -> bool {
    record.target == Some(record.label)
}

/// What happened to a model's samples in balls of one norm and radius.
#[derive(Debug, Clone, Default)]
pub(super) struct Threat {
    /// Samples that an attack (not a control) saw.
    pub(super) samples: SampleSet,
    /// Samples that an attack flipped.
    pub(super) flipped: SampleSet,
    /// Samples that random noise flipped.
    pub(super) flipped_by_noise: SampleSet,
    /// Samples that a search without gradients flipped.
    pub(super) flipped_by_search: SampleSet,
    /// Samples that the controls on a part of them looked at.
    pub(super) looked_at: SampleSet,
    /// Samples that the attack flipped with twice the steps.
    pub(super) flipped_by_longer: SampleSet,
    /// Samples that images made on other models flipped.
    pub(super) flipped_by_transfer: SampleSet,
    /// Samples that anything of the run flipped: attacks, controls, images of other models, the boundary search.
    pub(super) flipped_anyhow: SampleSet,
    /// Whether an attack drove a class logit, and so searched for flips.
    pub(super) searched: bool,
}

/// Whether all values seen so far are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Variety {
    #[default]
    None,
    One(u32),
    Many,
}

impl Variety {
    pub(super) fn add(&mut self, value: u32) {
        self.merge(Variety::One(value));
    }

    pub(super) fn merge(&mut self, other: Variety) {
        *self = match (*self, other) {
            (Variety::None, other) => other,
            (known, Variety::None) => known,
            (known, other) if known == other => known,
            _ => Variety::Many,
        };
    }
}

/// What is known about one model over all its cells.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelTally {
    pub(super) name: String,
    pub(super) samples: SampleSet,
    pub(super) correct: SampleSet,
    pub(super) predictions: Variety,
    pub(super) labels: Variety,
    /// Samples by label.
    pub(super) by_label: BTreeMap<u32, SampleSet>,
    pub(super) threats: BTreeMap<(Norm, Epsilon), Threat>,
    /// The smallest distance at which the boundary search verified a flip, by norm and sample.
    pub(super) reached: BTreeMap<(Norm, u32), f64>,
    pub(super) envelope: Envelope,
    /// Measured boundary distances that a gradient says something about, and those of them that are far beyond it.
    pub(super) measured: u64,
    pub(super) far: u64,
}

impl ModelTally {
    pub(super) fn add(&mut self, record: &Record, sample: u32) {
        self.samples.insert(sample);
        self.predictions.add(record.clean_pred);
        self.labels.add(record.label);
        self.by_label.entry(record.label).or_default().insert(sample);
        let correct = record.clean_correct();
        if correct {
            self.correct.insert(sample);
        }
        let cell = &record.cell;
        let threat = self.threats.entry((cell.norm, cell.epsilon)).or_default();
        if !cell.kind.is_control() {
            threat.samples.insert(sample);
            threat.searched |= cell.kind.seeks_flips();
        } else if cell.kind.role() == Role::GradientFree {
            threat.looked_at.insert(sample);
        }
        if correct && record.flipped {
            self.envelope.flip(sample, record);
            threat.flipped_anyhow.insert(sample);
            match cell.kind.role() {
                Role::Attack | Role::UnitAttack => threat.flipped.insert(sample),
                Role::Noise => threat.flipped_by_noise.insert(sample),
                Role::GradientFree => threat.flipped_by_search.insert(sample),
                Role::Longer => threat.flipped_by_longer.insert(sample),
                Role::OtherUnit => {}
            }
        }
    }

    /// Add what is known of the same model; `numbers` gives the place of each of the other's samples.
    pub(super) fn merge(&mut self, other: &ModelTally, numbers: &[u32]) {
        self.samples.add_renumbered(&other.samples, numbers);
        self.correct.add_renumbered(&other.correct, numbers);
        self.predictions.merge(other.predictions);
        self.labels.merge(other.labels);
        for (label, samples) in &other.by_label {
            self.by_label.entry(*label).or_default().add_renumbered(samples, numbers);
        }
        for (ball, theirs) in &other.threats {
            let threat = self.threats.entry(*ball).or_default();
            threat.samples.add_renumbered(&theirs.samples, numbers);
            threat.flipped.add_renumbered(&theirs.flipped, numbers);
            threat.flipped_by_noise.add_renumbered(&theirs.flipped_by_noise, numbers);
            threat.flipped_by_search.add_renumbered(&theirs.flipped_by_search, numbers);
            threat.looked_at.add_renumbered(&theirs.looked_at, numbers);
            threat.flipped_by_longer.add_renumbered(&theirs.flipped_by_longer, numbers);
            threat.flipped_by_transfer.add_renumbered(&theirs.flipped_by_transfer, numbers);
            threat.flipped_anyhow.add_renumbered(&theirs.flipped_anyhow, numbers);
            threat.searched |= theirs.searched;
        }
        self.envelope.merge(&other.envelope, numbers);
        self.measured += other.measured;
        self.far += other.far;
        for (&(norm, sample), &distance) in &other.reached {
            self.reach(norm, numbers[sample as usize], distance);
        }
    }

    /// The samples of the label that most have.
    pub(super) fn most_of_a_label(&self) -> u64 {
        self.by_label.values().map(SampleSet::len).max().unwrap_or(0)
    }

    /// A flip that the boundary search verified.
    pub(super) fn reach(&mut self, norm: Norm, sample: u32, distance: f64) {
        let nearest = self.reached.entry((norm, sample)).or_insert(f64::INFINITY);
        *nearest = nearest.min(distance);
    }

    /// A flip by an image that was made on another model, inside the ball of `norm` and `epsilon`.
    pub(super) fn fool(&mut self, norm: Norm, epsilon: Epsilon, sample: u32) {
        let threat = self.threats.entry((norm, epsilon)).or_default();
        threat.flipped_anyhow.insert(sample);
        threat.flipped_by_transfer.insert(sample);
    }

    /// Each ball that attacks searched, with the samples they saw and those that anything of the run flipped in it or in a smaller one.
    pub(super) fn broken(&self) -> impl Iterator<Item = (Norm, Epsilon, &Threat, SampleSet)> {
        let mut last = None;
        let mut flipped = SampleSet::default();
        let all = self.threats.iter().map(move |(&(norm, epsilon), threat)| {
            if last.replace(norm) != Some(norm) {
                flipped = SampleSet::default();
            }
            flipped.add_all(&threat.flipped_anyhow);
            let reached = self.reached.iter().filter(|((distance_norm, _), distance)| {
                // Distances are verified up to the rounding that a ball allows.
                *distance_norm == norm && **distance <= epsilon.longest()
            });
            reached.for_each(|((_, sample), _)| flipped.insert(*sample));
            // Images made for another ball, of this norm or another, lie in this one too.
            self.envelope.flipped_within(norm, epsilon).for_each(|sample| flipped.insert(sample));
            (norm, epsilon, threat, flipped.clone())
        });
        all.filter(|(_, _, threat, _)| !threat.samples.is_empty())
    }

    /// Each ball with the samples that attacks flipped in it or in a smaller ball of its norm: what lies in a ball lies
    /// in every larger one.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (Norm, Epsilon, &Threat, SampleSet)> {
        let mut last = None;
        let mut flipped = SampleSet::default();
        self.threats.iter().map(move |(&(norm, epsilon), threat)| {
            if last.replace(norm) != Some(norm) {
                flipped = SampleSet::default();
            }
            flipped.add_all(&threat.flipped);
            (norm, epsilon, threat, flipped.clone())
        })
    }
}
