//! `[[gate]]` and `[[waiver]]` as they are written, in a suite or in a file of rules.

use toml::de::DeValue;

use crate::suite::gate::{Date, Level, Metric, Pattern};
use crate::suite::read::kinds::Tables;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Amount, FormVersion, Positive, Radius, Text};
use crate::suite::read::words::DistanceNorm;
use crate::suite::read::{At, Fields, FromToml, Value, raw_table, schema_of, wrong};

raw_table! {
    /// A rule that the results must fulfil.
    struct RawRule ("`[[gate]]`") {
        /// What the rule looks at.
        metric: Metric, required;
        /// Which cells it looks at. Default all of them but controls.
        select: RawSelect;
        /// Largest tolerated drop against the baseline, in absolute points. A larger, significant one is a regression
        /// (of flip_rate: suspicious).
        max_drop: Amount;
        /// Largest tolerated rise against the baseline, in absolute points. A larger, significant one is suspicious (of
        /// flip_rate: a regression).
        max_rise: Amount;
        /// Smallest tolerated value, of accuracies and distances.
        min: Amount;
        /// Largest tolerated value, of flip_rate.
        max: Amount;
        /// Accepted chance of a false alarm, over all rules of level error together. Default 0.05.
        alpha: Positive;
        /// What a violation means. Default error.
        level: Level;
        /// What it means that the data cannot tell. Default warn.
        inconclusive: Level;
        /// What it means that the model looks more robust than can be explained. Default warn.
        suspicious: Level;
    }
}

raw_table! {
    /// What a rule or a waiver speaks about. In names, `*` stands for any characters and `?` for any one.
    struct RawSelect ("`select`") {
        /// Models, by name.
        model: Glob;
        /// Attacks, by name.
        attack: Glob;
        /// Kinds of cell: class-logit, unit, features, control-noise, control-random-unit, control-search, control-longer.
        kind: Glob;
        /// The norm of the ball, or of the distance.
        norm: DistanceNorm;
        /// The radius of the ball.
        epsilon: Radius;
        /// Layers of unit attacks.
        layer: Glob;
        /// Units of unit attacks.
        unit: Glob;
    }
}

raw_table! {
    /// A known violation that does not fail the gate until a day.
    struct RawWaiver ("`[[waiver]]`") {
        /// The metric. Default every one.
        metric: Metric;
        /// Which cells it excuses. Default all.
        select: RawSelect;
        /// Why the violation is accepted.
        reason: Text, required;
        /// Who answers for it.
        owner: Text, required;
        /// The last day on which the waiver counts, as YYYY-MM-DD.
        expires: Day, required;
    }
}

raw_table! {
    /// A file of rules, for `am-eval gate --rules`.
    struct RawRules ("the rules") {
        /// Version of the file's form: 1.
        schema: FormVersion, required;
        /// What the results must fulfil.
        gate: Tables<RawRule>, required;
        /// Known violations.
        waiver: Tables<RawWaiver>;
    }
}

/// A text with `*` and `?`, or a whole number for a unit.
#[derive(Debug)]
pub struct Glob(pub Pattern);

impl FromToml for Glob {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(Glob(Pattern::new(text.as_ref()))),
            DeValue::Integer(number) if number.radix() == 10 && number.as_str().bytes().all(|b| b.is_ascii_digit()) => {
                Some(Glob(Pattern::new(number.as_str())))
            }
            _ => {
                wrong(key, value, "a name, or a pattern with `*` and `?`", problems);
                None
            }
        }
    }
}

schema_of!(Glob, "Glob", {
    "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "integer", "minimum": 0 }]
});

/// A day in quotes, `"2026-09-30"`, as JSON Schemas know it.
#[derive(Debug)]
pub struct Day(pub Date);

impl FromToml for Day {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let day = match value.get_ref() {
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        if day.is_none() {
            wrong(key, value, "a day in quotes like \"2026-09-30\"", problems);
        }
        day.map(Day)
    }
}

schema_of!(Day, "Day", { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" });
