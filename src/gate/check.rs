//! One rule on one subject: the numbers first, the verdict once all p values are known.

use super::distances::MOST_IDS;
use super::measure::Measure;
use super::{Change, Check, Subject, Verdict};
use crate::stats::{Estimate, mcnemar, paired_difference, wilson};
use crate::suite::gate::Rule;
use crate::summary::SampleSet;
use crate::terms::SampleId;

/// A check whose verdict is not known yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The check so far; its verdict holds what is certain before any test.
    pub check: Check,
    /// One-sided p value of "not better", and the same adjusted.
    pub p_better: f64,
    /// Whether the model has the weights that the baseline had.
    pub same_weights: bool,
    /// Grave signs that the baseline did not have.
    pub new_signs: Vec<String>,
    /// Signs by which the model may be less robust than its number says.
    pub doubts: Vec<String>,
}

impl Draft {
    /// A check without numbers.
    pub fn new(subject: Subject) -> Self {
        let check = Check {
            subject,
            verdict: Verdict::Pass,
            n: 0,
            before: None,
            now: None,
            change: None,
            why: None,
            empty: false,
            failed: false,
            excuse: None,
        };
        Draft { check, p_better: 1.0, same_weights: false, new_signs: Vec::new(), doubts: Vec::new() }
    }

    /// Settle on `verdict` if that is graver, and say why.
    pub fn settle(&mut self, verdict: Verdict, why: impl Into<String>) {
        if verdict > self.check.verdict {
            self.check.verdict = verdict;
            self.check.why = Some(why.into());
        }
    }

    /// Settle on what absolute bounds say: beyond one with the whole interval is a violation, an interval that holds one
    /// is inconclusive.
    pub fn floor(&mut self, rule: &Rule) {
        let Some(now) = self.check.now else { return };
        let unit = |value: f64| value_text(rule, value);
        if (rule.min.is_some() || rule.max.is_some()) && !self.doubts.is_empty() {
            let signs = self.doubts.join(", ");
            self.settle(
                Verdict::Suspicious,
                format!("its number cannot be relied on: {signs}; see the report's signs"),
            );
        }
        if let Some(min) = rule.min {
            if now.point < min && now.hi < min {
                self.settle(Verdict::Regressed, format!("it is below the floor of {}", unit(min)));
            } else if now.lo < min && min <= now.hi {
                self.settle(Verdict::Inconclusive, format!("its interval holds the floor of {}", unit(min)));
            }
        }
        if let Some(max) = rule.max {
            if now.point > max && now.lo > max {
                self.settle(Verdict::Regressed, format!("it is above the ceiling of {}", unit(max)));
            } else if now.lo <= max && max < now.hi {
                self.settle(Verdict::Inconclusive, format!("its interval holds the ceiling of {}", unit(max)));
            }
        }
    }

    /// Settle on what the comparison says. `p_adjusted` of the change and `p_better` must be final.
    pub fn compare(&mut self, rule: &Rule) {
        let Some(change) = &self.check.change else { return };
        // Positive is worse from here on.
        let worse = if rule.metric.more_is_better() { negated(change.estimate) } else { change.estimate };
        let (broken, significant) = (change.broken, change.p_adjusted < rule.alpha);
        let rose = self.p_better < rule.alpha && worse.point < 0.0;
        let unit = |value: f64| change_text(rule, value);
        if let Some(margin) = rule.margin().filter(|margin| significant && worse.point > *margin) {
            let why = format!("the change is significant and larger than the {} tolerated", unit(margin));
            return self.settle(Verdict::Regressed, why);
        }
        if !self.new_signs.is_empty() {
            let signs = self.new_signs.join(", ");
            self.settle(Verdict::Suspicious, format!("new health sign: {signs}; the attack may have failed"));
        }
        if rose && self.same_weights {
            let why = "it got better although the weights are the same; the attack may have got weaker";
            self.settle(Verdict::Suspicious, why);
        } else if let Some(bound) = rule.credible().filter(|bound| rose && -worse.point > *bound) {
            let why =
                format!("it got better by more than the {} expected; the attack may have got weaker", unit(bound));
            self.settle(Verdict::Suspicious, why);
        } else if rose {
            self.settle(Verdict::Improved, "the change for the better is significant");
        }
        if let Some(margin) = rule.margin().filter(|margin| worse.hi > *margin && broken > 0 && !rose) {
            let why = if worse.point > margin {
                format!("the change is larger than the {} tolerated, but not significant", unit(margin))
            } else {
                format!("a loss of more than {} cannot be excluded", unit(margin))
            };
            self.settle(Verdict::Inconclusive, why);
        }
    }
}

fn negated(estimate: Estimate) -> Estimate {
    Estimate { point: -estimate.point, lo: -estimate.hi, hi: -estimate.lo }
}

/// A value of the rule's metric: percent, or pixel units.
fn value_text(rule: &Rule, value: f64) -> String {
    if rule.metric.is_share() { format!("{:.1} %", value * 100.0) } else { format!("{value}") }
}

/// A difference of two values: points, or pixel units.
fn change_text(rule: &Rule, value: f64) -> String {
    if rule.metric.is_share() { format!("{:.1} points", value * 100.0) } else { format!("{value}") }
}

/// A rate with its interval; none without samples.
pub fn rate(measure: &Measure) -> Option<Estimate> {
    (!measure.population.is_empty()).then(|| wilson(measure.yes.len(), measure.population.len()))
}

/// Two rates, sample by sample.
#[derive(Debug, Clone)]
pub struct Paired {
    /// The samples that both were asked about.
    pub both: SampleSet,
    /// Those that got worse.
    pub broken: SampleSet,
    /// Those that got better.
    pub fixed: SampleSet,
    /// The second rate minus the first, with Tango's 95 % interval.
    pub estimate: Estimate,
}

/// The pairs of two rates. `more_is_better` tells which change breaks a sample. None without a sample in both.
pub fn paired(before: &Measure, now: &Measure, more_is_better: bool) -> Option<Paired> {
    let both = before.population.and(&now.population);
    if both.is_empty() {
        return None;
    }
    let gained = now.yes.and_not(&before.yes).and(&both);
    let lost = before.yes.and_not(&now.yes).and(&both);
    let estimate = paired_difference(gained.len(), lost.len(), both.len());
    let (broken, fixed) = if more_is_better { (lost, gained) } else { (gained, lost) };
    Some(Paired { both, broken, fixed, estimate })
}

impl Paired {
    /// The change, and the p value of "not better".
    pub fn change(&self, samples: &[SampleId]) -> (Change, f64) {
        let ids = |set: &SampleSet| {
            set.iter().take(MOST_IDS).filter_map(|sample| samples.get(sample as usize).cloned()).collect()
        };
        let (broken, fixed) = (self.broken.len(), self.fixed.len());
        let p = mcnemar(broken, fixed).greater;
        let change = Change {
            estimate: self.estimate,
            n: self.both.len(),
            broken,
            fixed,
            broken_ids: ids(&self.broken),
            fixed_ids: ids(&self.fixed),
            p,
            p_adjusted: p,
        };
        (change, mcnemar(fixed, broken).greater)
    }
}

/// The paired change of a rate, and the p value of "not better" (see [`paired`]).
pub fn change(before: &Measure, now: &Measure, more_is_better: bool, samples: &[SampleId]) -> Option<(Change, f64)> {
    Some(paired(before, now, more_is_better)?.change(samples))
}
