//! What the gate found: one model of the outcome, which every format renders.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::{Cell, file_versions};
use crate::stats::Estimate;
use crate::suite::gate::{Date, Level, Metric, Subject};
use crate::terms::{LayerName, SampleId, words};

file_versions! {
    /// Version of the form of `gate.json`.
    OutcomeFormat = 1;
}

/// The form in which it is written.
pub const OUTCOME_FORMAT: OutcomeFormat = OutcomeFormat::CURRENT;

words! {
    /// What became of a check, a rule, or the gate as a whole; the graver the later.
    pub enum Verdict {
        /// Within its bounds.
        Pass = "pass",
        /// Significantly better than the baseline.
        Improved = "improved",
        /// Violated, and excused by a waiver.
        Waived = "waived",
        /// The data cannot tell whether the bound is kept.
        Inconclusive = "inconclusive",
        /// Better than can be explained, or with a new sign that the attack did not work.
        Suspicious = "suspicious",
        /// Made under other conditions than the baseline.
        Incomparable = "incomparable",
        /// Significantly worse than the baseline by more than the margin, or beyond an absolute bound.
        Regressed = "regressed",
    }
}

impl Verdict {
    /// Whether somebody should look at it.
    pub fn is_noteworthy(self) -> bool {
        self >= Verdict::Inconclusive
    }
}

/// What the gate means for a pipeline, and so for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// No rule of level error is violated.
    Passed,
    /// A rule of level error selects nothing, or a cell without samples.
    NothingSelected,
    /// A rule of level error could not be compared.
    NotComparable,
    /// A rule of level error is violated.
    Failed,
}

impl Subject {
    /// A cell; its target is left out, which the attack's configuration tells.
    pub fn cell(cell: &Cell) -> Self {
        Subject {
            model: cell.model.clone(),
            attack: Some(cell.attack.clone()),
            kind: Some(cell.kind),
            layer: cell.layer.as_ref().map(|layer| LayerName::as_str(layer).to_owned()),
            unit: cell.unit.as_ref().map(ToString::to_string),
            norm: Some(cell.norm),
            epsilon: Some(cell.epsilon),
            method: None,
        }
    }
}

/// As a line of text names it: `resnet20 · logit · linf 8/255`.
/// A difference of paired numbers: the run minus the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The difference with its 95 % interval (Tango's for rates, BCa bootstrap for medians).
    pub estimate: Estimate,
    /// Pairs of samples.
    pub n: u64,
    /// Samples that got worse: robust in the baseline alone.
    pub broken: u64,
    /// Samples that got better: robust in the run alone.
    pub fixed: u64,
    /// The first ids of `broken`: of rates in the run's order, of distances by the size of the shift.
    pub broken_ids: Vec<SampleId>,
    /// The first ids of `fixed`.
    pub fixed_ids: Vec<SampleId>,
    /// p value of McNemar's exact test for rates, of Wilcoxon's for medians: one-sided ("not worse") in a gate, two-sided
    /// in a comparison.
    pub p: f64,
    /// The same after Holm's adjustment.
    pub p_adjusted: f64,
}

/// A waiver that excuses a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excuse {
    /// The verdict without it.
    pub instead_of: Verdict,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it counts.
    pub expires: Date,
}

/// A rule on one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub subject: Subject,
    /// What became of it.
    pub verdict: Verdict,
    /// Samples behind `now`.
    pub n: u64,
    /// The baseline's value.
    pub before: Option<Estimate>,
    /// The run's value; none if the run lacks the subject.
    pub now: Option<Estimate>,
    /// The difference, if it could be taken.
    pub change: Option<Change>,
    /// One sentence on why, where the numbers do not say it.
    pub why: Option<String>,
    /// Whether there was no sample to judge by.
    pub empty: bool,
    /// Whether it fails the gate.
    pub failed: bool,
    /// The waiver that excuses it.
    pub excuse: Option<Excuse>,
}

impl Check {
    /// The difference by which it found a regression that broke samples.
    pub fn broke(&self) -> Option<&Change> {
        self.change.as_ref().filter(|change| self.verdict == Verdict::Regressed && change.broken > 0)
    }
}

/// One rule and all that it looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The rule as one line.
    pub rule: String,
    /// What it looks at.
    pub metric: Metric,
    /// What a violation means.
    pub level: Level,
    /// Accepted chance of a false alarm.
    pub alpha: f64,
    /// The gravest verdict of its checks.
    pub verdict: Verdict,
    /// Whether it fails the gate.
    pub failed: bool,
    /// A true change for the worse that this rule finds with at least 80 % power, to a tenth of a point, for rates.
    pub detectable: Option<f64>,
    /// What it looked at, by the order of the run.
    pub checks: Vec<Check>,
}

/// A model's accuracy in the run and in the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The model, and the ball of its worst case; without one, its clean accuracy.
    pub subject: Subject,
    /// The baseline's value.
    pub before: Estimate,
    /// The run's value.
    pub now: Estimate,
    /// The difference; its `p_adjusted` is not adjusted.
    pub change: Change,
}

/// A condition in which run and baseline differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The attack that it concerns, or `boundary`; none if it concerns everything.
    pub attack: Option<String>,
    /// What differs, such as `data.source.preprocess.crop`.
    #[serde(rename = "what")]
    pub setting: String,
    /// The baseline's value.
    pub baseline: String,
    /// The run's value.
    pub run: String,
}

impl Mismatch {
    /// The sentence, with `side` as the name of what the run is compared with.
    pub fn against(&self, side: &str) -> String {
        format!("{}: {} in the {side}, {} in the run", self.setting, self.baseline, self.run)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.against("baseline"))
    }
}

/// All that the gate found: `gate.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// Version of this form.
    pub format: OutcomeFormat,
    /// The run.
    pub run: String,
    /// blake3 of the run's `samples.csv`.
    pub samples_hash: String,
    /// The baseline's run.
    pub baseline: Option<String>,
    /// The day on which waivers were looked at.
    pub today: Date,
    /// The gravest verdict of the rules of level error.
    pub verdict: Verdict,
    /// What it means for a pipeline.
    pub conclusion: Conclusion,
    /// The rules, in the file's order, those of level off left out.
    pub rules: Vec<RuleOutcome>,
    /// What makes run and baseline incomparable.
    pub mismatches: Vec<Mismatch>,
    /// Whether mismatches were overridden.
    pub mismatch_allowed: bool,
    /// Other differences in conditions, which do not stop a comparison.
    pub drift: Vec<String>,
    /// Expired and unused waivers, and what else should be known.
    pub notes: Vec<String>,
    /// Clean and worst-case accuracy against the baseline, by model.
    pub differences: Vec<Difference>,
}

impl GateOutcome {
    /// Whether there is nothing to tell: no rule and no baseline.
    pub fn is_silent(&self) -> bool {
        self.rules.is_empty() && self.baseline.is_none()
    }

    /// Whether a check found a regression that broke samples, which the report then shows.
    pub fn broke_samples(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.checks).any(|check| check.broke().is_some())
    }

    /// Rules whose finding is shown but does not fail the gate.
    pub fn warnings(&self) -> usize {
        self.rules.iter().filter(|rule| !rule.failed && rule.verdict.is_noteworthy()).count()
    }

    /// The first sentence of every output: `gate: failed: 1 of 3 rules failed, 1 warning`.
    pub fn headline(&self) -> String {
        format!("gate: {}: {}", self.word(), self.finding())
    }

    /// What was found, in few words: `1 of 3 rules failed, 1 warning`.
    pub fn finding(&self) -> String {
        let failed = self.rules.iter().filter(|rule| rule.failed).count();
        let of_all = |count: usize| match self.rules.len() {
            1 => "the rule".to_owned(),
            all => format!("{count} of {all} rules"),
        };
        let unclear = |verdict: Verdict| self.rules.iter().filter(|rule| rule.verdict == verdict).count();
        let mut text = match self.conclusion {
            Conclusion::Failed => format!("{} failed", of_all(failed)),
            Conclusion::NotComparable => {
                format!("{} cannot be compared with the baseline", of_all(unclear(Verdict::Incomparable)))
            }
            Conclusion::NothingSelected => "a rule has nothing to look at".to_owned(),
            Conclusion::Passed if self.rules.is_empty() => "no rules".to_owned(),
            Conclusion::Passed => "no rule failed".to_owned(),
        };
        match self.warnings() {
            0 => {}
            1 => text += ", 1 warning",
            count => text += &format!(", {count} warnings"),
        }
        text
    }

    /// The verdict as one word.
    pub fn word(&self) -> &'static str {
        match self.conclusion {
            Conclusion::Failed => "failed",
            Conclusion::NotComparable => "not comparable",
            Conclusion::NothingSelected => "nothing selected",
            Conclusion::Passed => "passed",
        }
    }
}
