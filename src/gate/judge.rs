//! The verdict: rules on a run, with or without a baseline.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::check::{self, Draft};
use super::measure::{Measure, measures};
use super::power::{DISCORDANT, Design};
use super::{
    Check, Conclusion, Difference, Excuse, GateOutcome, Mismatch, OUTCOME_FORMAT, RuleOutcome, Snapshot, Subject,
    Verdict, comparability, distances,
};
use crate::record::CellKind;
use crate::stats::{Estimate, holm};
use crate::suite::gate::{Date, Level, Metric, Rule, RuleSet, Waiver};
use crate::summary::HealthSign;

/// What a judgement depends on beside run, baseline and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Compare in spite of differing conditions, sample by sample with the same id.
    pub allow_mismatch: bool,
    /// The day on which waivers must not have expired.
    pub today: Date,
    /// blake3 of the run's `samples.csv`, so that a page can tell whether an outcome is its own.
    pub samples_hash: String,
}

/// Judges `run` by `rules`, against `baseline` if there is one. Never fails: what cannot be judged is a verdict too.
pub fn judge(run: &Snapshot, baseline: Option<&Snapshot>, rules: &RuleSet, options: &Options) -> GateOutcome {
    let old = baseline.map(|baseline| baseline.clone().renumbered(&run.samples));
    let mismatches = baseline.map(|baseline| comparability::mismatches(baseline, run)).unwrap_or_default();
    let bench = Bench { run, old: old.as_ref(), mismatches: &mismatches, allowed: options.allow_mismatch };

    let active: Vec<&Rule> = rules.rules.iter().filter(|rule| rule.level != Level::Off).collect();
    let mut drafts: Vec<Vec<Draft>> = active.iter().map(|rule| bench.drafts(rule)).collect();
    let tests = adjust(&active, &mut drafts);
    let mut notes = Vec::new();
    let judged = active.iter().zip(drafts).map(|(rule, mut drafts)| {
        drafts.iter_mut().for_each(|draft| draft.compare(rule));
        let checks = drafts.into_iter().map(|draft| draft.check).collect();
        RuleOutcome {
            rule: rule.to_string(),
            metric: rule.metric,
            level: rule.level,
            alpha: rule.alpha,
            verdict: Verdict::Pass,
            failed: false,
            detectable: None,
            checks,
        }
    });
    let mut judged: Vec<RuleOutcome> = judged.collect();
    waive(&mut judged, &rules.waivers, options.today, &mut notes);
    for (rule, outcome) in active.iter().zip(&mut judged) {
        conclude(rule, outcome, if rule.level == Level::Error { tests } else { outcome.checks.len() });
        if outcome.checks.is_empty() {
            notes.push(format!("the gate `{rule}` selects nothing in this run; mend its `select`, or remove it"));
        }
    }
    notes.extend(doubts(run));
    let counts = |outcome: &&RuleOutcome| outcome.level == Level::Error;
    GateOutcome {
        format: OUTCOME_FORMAT,
        run: run.provenance.run.clone(),
        samples_hash: options.samples_hash.clone(),
        baseline: baseline.map(|baseline| baseline.provenance.run.clone()),
        today: options.today,
        verdict: judged.iter().filter(counts).map(|outcome| outcome.verdict).max().unwrap_or(Verdict::Pass),
        conclusion: judged.iter().filter(counts).map(conclusion).max().unwrap_or(Conclusion::Passed),
        differences: bench.differences(),
        drift: baseline
            .map(|old| comparability::drift(&old.provenance, &run.provenance, "baseline"))
            .unwrap_or_default(),
        rules: judged,
        mismatches,
        mismatch_allowed: options.allow_mismatch,
        notes,
    }
}

/// The worst-case robust accuracy of each model in each ball.
pub fn worst_cases(snapshot: &Snapshot) -> Vec<(Subject, Estimate)> {
    let all = measures(snapshot, Metric::WorstCaseAccuracy).into_iter();
    all.filter_map(|measure| Some((measure.subject.clone(), check::rate(&measure)?))).collect()
}

/// The signs by which models may be less robust than their numbers say, one line for each model and sign, with the largest count.
fn doubts(run: &Snapshot) -> Vec<String> {
    let mut found: Vec<(usize, HealthSign, BTreeSet<&str>)> = Vec::new();
    for cell in &run.cells {
        let model = run.models.iter().position(|model| model.model == cell.cell.model).unwrap_or(run.models.len());
        for &sign in cell.health.iter().filter(|sign| sign.doubts_robustness() || sign.is_of_model()) {
            let same = |known: &HealthSign| std::mem::discriminant(known) == std::mem::discriminant(&sign);
            match found.iter_mut().find(|(place, known, _)| *place == model && same(known)) {
                Some((_, known, attacks)) => {
                    *known = sign.max(*known);
                    attacks.insert(&cell.cell.attack);
                }
                None => found.push((model, sign, BTreeSet::from([cell.cell.attack.as_str()]))),
            }
        }
    }
    found.sort();
    let line = |(place, sign, attacks): &(usize, HealthSign, BTreeSet<&str>)| {
        let model = run.models.get(*place).map_or("", |model| model.model.as_str());
        let code = sign.code();
        let attacks = if sign.is_of_model() { String::new() } else { format!(" ({})", join(attacks)) };
        format!("health of {model}{attacks}: {}: {sign}", code.split(':').next().unwrap_or(&code))
    };
    found.iter().map(line).collect()
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// What a rule of level error means for the pipeline. A violation counts more than what cannot be compared.
fn conclusion(outcome: &RuleOutcome) -> Conclusion {
    let empty = outcome.checks.is_empty() || outcome.checks.iter().any(|check| check.empty && check.excuse.is_none());
    if outcome.failed {
        Conclusion::Failed
    } else if outcome.verdict == Verdict::Incomparable {
        Conclusion::NotComparable
    } else if empty {
        Conclusion::NothingSelected
    } else {
        Conclusion::Passed
    }
}

/// Adjusts p values by Holm: those of all rules of level error together, those of each other rule by themselves. Returns
/// how many tests the rules of level error make.
fn adjust(rules: &[&Rule], drafts: &mut [Vec<Draft>]) -> usize {
    let mut family: Vec<&mut Draft> = Vec::new();
    for (rule, drafts) in rules.iter().zip(drafts) {
        let tested: Vec<&mut Draft> = drafts.iter_mut().filter(|draft| draft.check.change.is_some()).collect();
        if rule.level == Level::Error { family.extend(tested) } else { adjust_family(tested) }
    }
    let tests = family.len();
    adjust_family(family);
    tests
}

fn adjust_family(mut family: Vec<&mut Draft>) {
    let p = |draft: &&mut Draft| draft.check.change.as_ref().map_or(1.0, |change| change.p);
    let worse = holm(&family.iter().map(p).collect::<Vec<_>>());
    let better = holm(&family.iter().map(|draft| draft.p_better).collect::<Vec<_>>());
    for ((draft, worse), better) in family.iter_mut().zip(worse).zip(better) {
        draft.p_better = better;
        if let Some(change) = &mut draft.check.change {
            change.p_adjusted = worse;
        }
    }
}

/// Excuses what a waiver covers; says which waivers have expired and which cover nothing.
fn waive(judged: &mut [RuleOutcome], waivers: &[Waiver], today: Date, notes: &mut Vec<String>) {
    for waiver in waivers {
        let covers = |metric: Metric, check: &Check| {
            waiver.metric.is_none_or(|waived| waived == metric) && waiver.select.matches(&check.subject)
        };
        let checks = judged.iter_mut().flat_map(|rule| rule.checks.iter_mut().map(|check| (rule.metric, check)));
        let open = checks.filter(|(metric, check)| check.verdict.is_noteworthy() && covers(*metric, check));
        let mut excused = 0;
        for (_, check) in open {
            excused += 1;
            if waiver.expires >= today {
                check.excuse = Some(Excuse {
                    instead_of: check.verdict,
                    reason: waiver.reason.clone(),
                    owner: waiver.owner.clone(),
                    expires: waiver.expires,
                });
                check.verdict = Verdict::Waived;
            }
        }
        match (waiver.expires < today, excused) {
            (true, 0) => notes.push(format!("the {waiver} has expired; remove it")),
            (true, _) => notes.push(format!(
                "the {waiver} has expired and excuses nothing any more; mend the model, or renew the waiver ({})",
                waiver.reason
            )),
            (false, 0) => notes.push(format!("the {waiver} excuses nothing; remove it if the violation is gone")),
            (false, _) => {}
        }
    }
}

/// The rule's own verdict, whether it fails, and what it could have seen among `tests` tests.
fn conclude(rule: &Rule, outcome: &mut RuleOutcome, tests: usize) {
    outcome.verdict = outcome.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Inconclusive);
    for check in &mut outcome.checks {
        let level = match check.verdict {
            Verdict::Regressed => Level::Error,
            Verdict::Inconclusive if !check.empty => rule.inconclusive,
            Verdict::Suspicious => rule.suspicious,
            _ => Level::Off,
        };
        check.failed = rule.level == Level::Error && level == Level::Error;
    }
    outcome.failed = outcome.checks.iter().any(|check| check.failed);
    let changes = || outcome.checks.iter().filter_map(|check| check.change.as_ref());
    let (Some(n), Some(margin)) = (changes().map(|change| change.n).min(), rule.margin()) else { return };
    if rule.metric.is_share() {
        let share = |change: &super::Change| (change.broken + change.fixed) as f64 / change.n as f64;
        let discordant = changes().map(share).fold(DISCORDANT.max(margin * 1.5), f64::max).min(1.0);
        let alpha = rule.alpha / tests.max(1) as f64;
        // Rounded up to what is printed, so that what is said is found.
        let smallest = Design { n, discordant, alpha, margin }.smallest_drop();
        outcome.detectable = smallest.map(|drop| (drop * 1000.0).ceil() / 1000.0);
    }
}

/// What is compared.
struct Bench<'a> {
    run: &'a Snapshot,
    /// The baseline in the run's numbers.
    old: Option<&'a Snapshot>,
    mismatches: &'a [Mismatch],
    allowed: bool,
}

impl Bench<'_> {
    /// The checks of one rule, untested.
    fn drafts(&self, rule: &Rule) -> Vec<Draft> {
        let chosen = |subject: &Subject| {
            let control = rule.select.kind.is_none() && subject.kind.is_some_and(CellKind::is_control);
            !control && rule.select.matches(subject)
        };
        let mut drafts = match rule.metric {
            Metric::DistanceMedian => self.distances(rule, &chosen),
            _ => self.rates(rule, &chosen),
        };
        drafts.iter_mut().for_each(|draft| draft.floor(rule));
        drafts
    }

    fn rates(&self, rule: &Rule, chosen: &dyn Fn(&Subject) -> bool) -> Vec<Draft> {
        let measured = |snapshot: &Snapshot| {
            let mut all = measures(snapshot, rule.metric);
            all.retain(|measure| chosen(&measure.subject));
            all
        };
        let now = measured(self.run);
        let before = self.old.filter(|_| rule.needs_baseline()).map(measured);
        let known: Option<HashMap<&Subject, &Measure>> =
            before.as_ref().map(|all| all.iter().map(|old| (&old.subject, old)).collect());
        let mut drafts: Vec<Draft> = Vec::new();
        for measure in &now {
            let mut draft = Draft::new(measure.subject.clone());
            draft.check.n = measure.population.len();
            draft.check.now = check::rate(measure);
            draft.doubts = measure.doubts.iter().cloned().collect();
            if measure.population.is_empty() {
                empty(&mut draft, rule.metric);
            } else if rule.needs_baseline() {
                let same = known.as_ref().map(|known| known.get(&measure.subject).copied());
                self.compare_rate(rule, &mut draft, measure, same);
            }
            drafts.push(draft);
        }
        let there: HashSet<&Subject> = now.iter().map(|new| &new.subject).collect();
        let layers: HashSet<Subject> = now.iter().map(|new| all_units(&new.subject)).collect();
        for old in before.iter().flatten().filter(|old| !there.contains(&old.subject)) {
            // Which units are the top ones depends on the weights.
            if old.subject.unit.is_some() && layers.contains(&all_units(&old.subject)) {
                continue;
            }
            let mut draft = Draft::new(old.subject.clone());
            draft.check.before = check::rate(old);
            self.missing(&mut draft);
            drafts.push(draft);
        }
        drafts
    }

    /// `before` is none without a baseline, and holds none if that lacks the subject.
    fn compare_rate(&self, rule: &Rule, draft: &mut Draft, now: &Measure, before: Option<Option<&Measure>>) {
        let Some(before) = known(draft, before) else { return };
        draft.check.before = check::rate(before);
        if !self.allowed && before.attacks != now.attacks {
            let list = |attacks: &BTreeSet<String>| attacks.iter().cloned().collect::<Vec<_>>().join(", ");
            let (old, new) = (list(&before.attacks), list(&now.attacks));
            draft.settle(Verdict::Incomparable, format!("its attacks are {old} in the baseline, {new} in the run"));
        }
        if !self.comparable(draft, |attack| now.attacks.contains(attack)) {
            return;
        }
        match check::change(before, now, rule.metric.more_is_better(), &self.run.samples) {
            None => empty(draft, rule.metric),
            Some((change, better)) => {
                draft.check.change = Some(change);
                draft.p_better = better;
                draft.same_weights = self.same_weights(&now.subject.model);
                draft.new_signs = now.signs.difference(&before.signs).cloned().collect();
            }
        }
    }

    fn distances(&self, rule: &Rule, chosen: &dyn Fn(&Subject) -> bool) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for now in self.run.distances.iter().filter(|distances| chosen(&distances::subject(distances))) {
            let mut draft = Draft::new(distances::subject(now));
            let (n, median) = distances::median(now);
            (draft.check.n, draft.check.now) = (n, (n > 0).then_some(median));
            if n == 0 {
                empty(&mut draft, rule.metric);
            } else if rule.needs_baseline() {
                let same = self.old.map(|old| distances::find(old, &draft.check.subject));
                if let Some(before) = known(&mut draft, same) {
                    draft.check.before = Some(distances::median(before).1);
                    if self.comparable(&mut draft, |scope| scope == comparability::BOUNDARY) {
                        match distances::change(before, now, &self.run.samples) {
                            None => empty(&mut draft, rule.metric),
                            Some((change, better)) => {
                                draft.check.change = Some(change);
                                draft.p_better = better;
                                draft.same_weights = self.same_weights(&now.model);
                            }
                        }
                    }
                }
            }
            drafts.push(draft);
        }
        let old = self.old.filter(|_| rule.needs_baseline()).into_iter().flat_map(|old| &old.distances);
        for before in old.filter(|distances| chosen(&distances::subject(distances))) {
            let subject = distances::subject(before);
            if distances::find(self.run, &subject).is_none() {
                let mut draft = Draft::new(subject);
                draft.check.before = Some(distances::median(before).1);
                self.missing(&mut draft);
                drafts.push(draft);
            }
        }
        drafts
    }

    /// Whether nothing that concerns the subject differs; else the draft says what.
    fn comparable(&self, draft: &mut Draft, concerns: impl Fn(&str) -> bool) -> bool {
        let relevant = |found: &&Mismatch| found.attack.as_deref().is_none_or(&concerns);
        if !self.allowed
            && let Some(found) = self.mismatches.iter().find(relevant)
        {
            draft.settle(Verdict::Incomparable, found.to_string());
        }
        draft.check.verdict != Verdict::Incomparable
    }

    fn missing(&self, draft: &mut Draft) {
        let why = "the baseline has it, the run does not; save a new baseline if it was removed on purpose";
        draft.settle(if self.allowed { Verdict::Inconclusive } else { Verdict::Incomparable }, why);
    }

    fn same_weights(&self, model: &str) -> bool {
        let hash = |snapshot: &Snapshot| {
            let found = snapshot.provenance.models.iter().find(|known| known.name == model);
            found.map(|known| known.weights_hash.clone())
        };
        self.old.is_some_and(|old| hash(old).is_some() && hash(old) == hash(self.run))
    }

    /// Clean and worst-case accuracy against the baseline, where they can be compared.
    fn differences(&self) -> Vec<Difference> {
        let Some(old) = self.old else { return Vec::new() };
        let mut differences = Vec::new();
        for metric in [Metric::CleanAccuracy, Metric::WorstCaseAccuracy] {
            let before = measures(old, metric);
            for now in measures(self.run, metric) {
                let Some(before) = before.iter().find(|before| before.subject == now.subject) else { continue };
                let mut draft = Draft::new(now.subject.clone());
                let same_attacks = self.allowed || before.attacks == now.attacks;
                if !same_attacks || !self.comparable(&mut draft, |attack| now.attacks.contains(attack)) {
                    continue;
                }
                let change = check::change(before, &now, true, &self.run.samples);
                if let (Some((change, _)), Some(old), Some(new)) = (change, check::rate(before), check::rate(&now)) {
                    differences.push(Difference { subject: now.subject, before: old, now: new, change });
                }
            }
        }
        // By model, clean first.
        let rank =
            |difference: &Difference| self.run.models.iter().position(|model| model.model == difference.subject.model);
        differences.sort_by_key(rank);
        differences
    }
}

/// The layer of a unit, so to say.
fn all_units(subject: &Subject) -> Subject {
    Subject { unit: None, ..subject.clone() }
}

/// The baseline's side, if there is one; else the draft says what is missing.
fn known<T>(draft: &mut Draft, before: Option<Option<T>>) -> Option<T> {
    match before {
        None => draft.settle(Verdict::Inconclusive, "there is no baseline to compare with"),
        Some(None) => {
            draft.settle(Verdict::Inconclusive, "the baseline does not have it; save a new baseline to guard it");
        }
        Some(Some(before)) => return Some(before),
    }
    None
}

fn empty(draft: &mut Draft, metric: Metric) {
    draft.check.empty = true;
    let why = match metric {
        Metric::FlipRate => {
            "no sample is classified correctly in both runs, so there is no flip to compare; look at the clean accuracies"
        }
        _ => "there is no sample to judge by; check the run's data, or save a new baseline",
    };
    draft.settle(Verdict::Inconclusive, why);
}
