//! The gate: rules on a run's summary, with or without a baseline, and their verdicts.

use serde::Serialize;

/// One `[[gate]]` of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Rule {
    /// The column of `summary.csv` that the rule looks at, such as `robust_accuracy`.
    pub metric: String,
    /// Largest tolerated drop against the baseline, in absolute points of [0, 1].
    #[serde(default)]
    pub max_drop: Option<f64>,
    /// Smallest tolerated value.
    #[serde(default)]
    pub min: Option<f64>,
    /// What a violation means.
    #[serde(default)]
    pub level: Level,
}

/// What the violation of a rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The rule is not looked at.
    Off,
    /// A violation is shown.
    Warn,
    /// A violation fails the run.
    #[default]
    Error,
}
