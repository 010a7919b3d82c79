//! One model against another: rows of numbers that both sides have.

use std::collections::{BTreeSet, HashMap};

use super::{CompareError, Contrast, ModelPair, Row};
use crate::gate::check::{paired, rate};
use crate::gate::measure::{Measure, measures};
use crate::gate::{Distance, Distances, Mismatch, Snapshot, Subject, comparability, distances};
use crate::stats::log_rank;
use crate::suite::gate::Metric;
use crate::summary::SampleSet;

/// The contrast of `models`; samples are numbered as in `reference`.
pub(super) fn contrast(
    reference: &Snapshot,
    run: &Snapshot,
    models: ModelPair,
    allow_mismatch: bool,
) -> Result<Contrast, CompareError> {
    let before = reference.of_model(&models.reference, &models.reference);
    let now = run.of_model(&models.run, &models.reference);
    let mismatches = relevant(comparability::mismatches(&before, &now), &before, &now);
    if !mismatches.is_empty() && !allow_mismatch {
        return Err(CompareError::Incomparable {
            reference: reference.provenance.run.clone(),
            run: run.provenance.run.clone(),
            mismatches,
        });
    }
    let hash = |snapshot: &Snapshot| snapshot.provenance.models.first().map(|model| model.weights_hash.clone());
    let mut contrast = Contrast {
        run: run.provenance.run.clone(),
        same_weights: hash(&before).is_some() && hash(&before) == hash(&now),
        models,
        mismatches,
        drift: comparability::drift(&before.provenance, &now.provenance, "reference"),
        notes: Vec::new(),
        rows: Vec::new(),
        only_reference: Vec::new(),
        only_run: Vec::new(),
        correct: Default::default(),
    };
    let now = now.renumbered(&before.samples);
    contrast.correct = [&before, &now].map(correct);
    contrast.rates(&before, &now, Metric::CleanAccuracy, allow_mismatch);
    contrast.rates(&before, &now, Metric::WorstCaseAccuracy, allow_mismatch);
    contrast.distances(&before, &now);
    contrast.rates(&before, &now, Metric::RobustAccuracy, allow_mismatch);
    Ok(contrast)
}

/// What differs and concerns something that both sides have.
fn relevant(mut found: Vec<Mismatch>, before: &Snapshot, now: &Snapshot) -> Vec<Mismatch> {
    let attacks =
        |snapshot: &Snapshot| snapshot.cells.iter().map(|cell| cell.cell.attack.clone()).collect::<BTreeSet<_>>();
    let (old, new) = (attacks(before), attacks(now));
    let measured = !before.distances.is_empty() && !now.distances.is_empty();
    found.retain(|found| match found.attack.as_deref() {
        None => true,
        Some(comparability::BOUNDARY) => measured,
        Some(attack) => old.contains(attack) && new.contains(attack),
    });
    found
}

fn correct(snapshot: &Snapshot) -> SampleSet {
    snapshot.models.first().map(|model| model.correct.clone()).unwrap_or_default()
}

impl Contrast {
    fn rates(&mut self, before: &Snapshot, now: &Snapshot, metric: Metric, allow_mismatch: bool) {
        let new = measures(now, metric);
        let known: HashMap<&Subject, &Measure> = new.iter().map(|measure| (&measure.subject, measure)).collect();
        let mut found = BTreeSet::new();
        for old in measures(before, metric) {
            let Some(new) = known.get(&old.subject) else {
                if metric == Metric::RobustAccuracy {
                    self.only_reference.push(old.subject);
                }
                continue;
            };
            found.insert(old.subject.clone());
            if metric == Metric::WorstCaseAccuracy && old.attacks != new.attacks && !allow_mismatch {
                let list = |attacks: &BTreeSet<String>| attacks.iter().cloned().collect::<Vec<_>>().join(", ");
                let (theirs, others) = (list(&old.attacks), list(&new.attacks));
                self.notes.push(format!(
                    "the worst case of {} is left out: its attacks are {theirs} in the reference, {others} in the run",
                    old.subject
                ));
                continue;
            }
            self.rows.extend(row(metric, &old, new, before));
        }
        if metric == Metric::RobustAccuracy {
            self.only_run =
                new.into_iter().map(|measure| measure.subject).filter(|subject| !found.contains(subject)).collect();
        }
    }

    fn distances(&mut self, before: &Snapshot, now: &Snapshot) {
        for old in &before.distances {
            let subject = distances::subject(old);
            let Some(new) = distances::find(now, &subject) else { continue };
            let Some((mut change, better)) = distances::change(old, new, &before.samples) else { continue };
            change.p = (2.0 * change.p.min(better)).min(1.0);
            let (old, new) = (shared(old, new), shared(new, old));
            let test = log_rank(&mut distances::observations(&old), &mut distances::observations(&new));
            self.rows.push(Row {
                metric: Metric::DistanceMedian,
                subject,
                reference: distances::median(&old).1,
                run: distances::median(&new).1,
                change,
                log_rank: Some(test.p),
                new_signs: Vec::new(),
                broken: SampleSet::default(),
                fixed: SampleSet::default(),
            });
        }
    }
}

/// Both rates over the samples that both measured, so that their difference is the one that is shown.
fn row(metric: Metric, old: &Measure, new: &Measure, before: &Snapshot) -> Option<Row> {
    let pairs = paired(old, new, metric.more_is_better())?;
    let (mut change, better) = pairs.change(&before.samples);
    change.p = (2.0 * change.p.min(better)).min(1.0);
    let over_pairs = |measure: &Measure| {
        rate(&Measure { population: pairs.both.clone(), yes: measure.yes.and(&pairs.both), ..measure.clone() })
    };
    Some(Row {
        metric,
        subject: old.subject.clone(),
        reference: over_pairs(old)?,
        run: over_pairs(new)?,
        change,
        log_rank: None,
        new_signs: new.signs.difference(&old.signs).cloned().collect(),
        broken: pairs.broken,
        fixed: pairs.fixed,
    })
}

/// `distances` without the samples that `other` did not measure.
fn shared(distances: &Distances, other: &Distances) -> Distances {
    let missing = |at: usize| other.values.get(at).is_none_or(|value| *value == Distance::Missing);
    let values = distances.values.iter().enumerate();
    let values = values.map(|(at, value)| if missing(at) { Distance::Missing } else { *value }).collect();
    Distances { values, ..distances.clone() }
}
