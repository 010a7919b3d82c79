//! Rules and waivers as a suite or a rules file holds them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Date, Selector};
use crate::terms::words;

/// The significance level of a rule that gives none.
pub const DEFAULT_ALPHA: f64 = 0.05;

words! {
    /// What a rule looks at.
    pub enum Metric {
        /// Share of samples classified correctly, per model.
        CleanAccuracy = "clean_accuracy",
        /// Share of samples classified correctly and not flipped, per cell.
        RobustAccuracy = "robust_accuracy",
        /// The same against the worst of all attacks for each sample, per model, norm and epsilon.
        WorstCaseAccuracy = "worst_case_accuracy",
        /// The same in the headline balls of all norms at once, per model that is attacked in several.
        AllNormsAccuracy = "all_norms_accuracy",
        /// Flipped share of the samples classified correctly, per cell.
        FlipRate = "flip_rate",
        /// Median distance from the decision boundary, per model, norm and method, in pixel units of [0, 1].
        DistanceMedian = "distance_median",
    }
}

impl Metric {
    /// As a sentence names it.
    pub fn words(self) -> &'static str {
        match self {
            Metric::CleanAccuracy => "clean accuracy",
            Metric::RobustAccuracy => "robust accuracy",
            Metric::WorstCaseAccuracy => "worst-case robust accuracy",
            Metric::AllNormsAccuracy => "robust accuracy in all norms at once",
            Metric::FlipRate => "flip rate",
            Metric::DistanceMedian => "median boundary distance",
        }
    }

    /// Whether a rise means a more robust model.
    pub fn more_is_better(self) -> bool {
        self != Metric::FlipRate
    }

    /// Whether the metric is a share in [0, 1].
    pub fn is_share(self) -> bool {
        self != Metric::DistanceMedian
    }

    /// The keys of `select` that tell this metric's subjects apart.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Metric::CleanAccuracy | Metric::AllNormsAccuracy => &["model"],
            Metric::WorstCaseAccuracy => &["model", "norm", "epsilon"],
            Metric::DistanceMedian => &["model", "norm"],
            Metric::RobustAccuracy | Metric::FlipRate => {
                &["model", "attack", "kind", "norm", "epsilon", "layer", "unit"]
            }
        }
    }
}

words! {
    /// What the violation of a rule means.
    #[derive(Default)]
    pub enum Level {
        /// It is not looked at.
        Off = "off",
        /// It is shown.
        Warn = "warn",
        /// It fails the gate.
        #[default]
        Error = "error",
    }
}

/// One `[[gate]]`. Bounds are in absolute points of [0, 1] for rates, in pixel units of [0, 1] for distances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What the rule looks at.
    pub metric: Metric,
    /// Where.
    pub select: Selector,
    /// Largest tolerated drop against the baseline.
    pub max_drop: Option<f64>,
    /// Largest tolerated rise against the baseline.
    pub max_rise: Option<f64>,
    /// Smallest tolerated value, for metrics of which more is better.
    pub min: Option<f64>,
    /// Largest tolerated value, for metrics of which less is better.
    pub max: Option<f64>,
    /// Chance of a false alarm that is accepted, over all rules of level error together.
    pub alpha: f64,
    /// What a violation means.
    pub level: Level,
    /// What it means that the data cannot tell.
    pub inconclusive: Level,
    /// What it means that the model looks more robust than can be explained.
    pub suspicious: Level,
}

impl Rule {
    /// A rule of level error on all of `metric`, without a bound.
    pub fn unbounded(metric: Metric) -> Self {
        Rule {
            metric,
            select: Selector::default(),
            max_drop: None,
            max_rise: None,
            min: None,
            max: None,
            alpha: DEFAULT_ALPHA,
            level: Level::Error,
            inconclusive: Level::Warn,
            suspicious: Level::Warn,
        }
    }

    /// The tolerated change for the worse.
    pub fn margin(&self) -> Option<f64> {
        if self.metric.more_is_better() { self.max_drop } else { self.max_rise }
    }

    /// The tolerated change for the better: beyond it the attack may have got weaker.
    pub fn credible(&self) -> Option<f64> {
        if self.metric.more_is_better() { self.max_rise } else { self.max_drop }
    }

    /// Whether the rule compares with a baseline.
    pub fn needs_baseline(&self) -> bool {
        self.level != Level::Off && (self.max_drop.is_some() || self.max_rise.is_some())
    }
}

/// As one line: `worst_case_accuracy (model = "resnet*"): max_drop 0.02, min 0.3`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric)?;
        let select = self.select.to_string();
        if !select.is_empty() {
            write!(f, " ({select})")?;
        }
        let bounds = [("max_drop", self.max_drop), ("max_rise", self.max_rise), ("min", self.min), ("max", self.max)];
        let bounds: Vec<String> =
            bounds.into_iter().filter_map(|(key, bound)| Some(format!("{key} {}", bound?))).collect();
        write!(f, ": {}", bounds.join(", "))
    }
}

/// One `[[waiver]]`: a known violation that does not fail the gate until a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiver {
    /// The metric; none for all.
    pub metric: Option<Metric>,
    /// Where.
    pub select: Selector,
    /// Why the violation is accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it counts.
    pub expires: Date,
}

/// As one line: `waiver of ana for flip_rate (model = "vit") until 2026-09-30`.
impl fmt::Display for Waiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiver of {} for {}", self.owner, self.metric.map_or("every metric", Metric::as_str))?;
        let select = self.select.to_string();
        if !select.is_empty() {
            write!(f, " ({select})")?;
        }
        write!(f, " until {}", self.expires)
    }
}

/// Rules with their waivers, of a suite or of a file of rules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleSet {
    /// The rules, in the file's order.
    pub rules: Vec<Rule>,
    /// The waivers, in the file's order.
    pub waivers: Vec<Waiver>,
}

impl RuleSet {
    /// Whether no rule is looked at.
    pub fn is_empty(&self) -> bool {
        self.rules.iter().all(|rule| rule.level == Level::Off)
    }

    /// Whether some rule compares with a baseline.
    pub fn needs_baseline(&self) -> bool {
        self.rules.iter().any(Rule::needs_baseline)
    }
}
