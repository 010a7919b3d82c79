//! `[boundary]` and `[[gate]]`.

use super::attack::check_linf_radius;
use crate::gate::{Level, Rule};
use crate::suite::config::{BoundaryConfig, BoundaryMethod, Loss};
use crate::suite::problem::Problems;
use crate::suite::raw::{RawBoundary, RawRule};
use crate::suite::read::At;
use crate::suite::suggest::{did_you_mean, shown};
use crate::terms::{Epsilon, Norm};

/// Columns of `summary.csv` that grow with robustness, so that a drop is a regression; and whether they are shares.
const METRICS: [(&str, bool); 3] = [("clean_accuracy", true), ("robust_accuracy", true), ("distance_median", false)];

/// Columns that fall when a model gets more robust.
const FALLING: [&str; 4] = ["flip_rate", "flip_rate_all", "flip_rate_u8", "target_rate"];

pub(super) fn boundary(raw: At<RawBoundary>, problems: &mut Problems) -> Option<BoundaryConfig> {
    let raw = raw.value;
    let norm = raw.norm.map_or(Norm::L2, |norm| norm.value.0);
    let max_radius = match &raw.max_radius {
        Some(radius) => {
            check_linf_radius(Some(norm), radius, "radius", problems);
            if radius.value.0.value() == 0.0 {
                problems.add(radius.span.clone(), "`max_radius` must be greater than 0", "nothing to search");
            }
            radius.value.0
        }
        None => Epsilon::new(if norm == Norm::Linf { 32.0 / 255.0 } else { 4.0 }).ok()?,
    };
    let methods = match raw.methods {
        None => vec![BoundaryMethod::Path],
        Some(methods) => {
            if methods.value.is_empty() && problems.none_within(&methods.span) {
                problems.add(methods.span, "`methods` is empty", "no method").help("known are path");
            }
            let mut distinct = Vec::new();
            for method in methods.value {
                if distinct.contains(&method.value) {
                    problems.add(method.span, "this method stands twice", "again here");
                } else {
                    distinct.push(method.value);
                }
            }
            distinct
        }
    };
    Some(BoundaryConfig {
        norm,
        methods,
        max_radius,
        steps: raw.steps.map_or(40, |steps| steps.value.size()),
        loss: raw.loss.map_or(Loss::Margin, |loss| loss.value),
        bisections: raw.bisections.map_or(20, |bisections| bisections.value.size()),
    })
}

pub(super) fn gates(raw: Vec<At<RawRule>>, problems: &mut Problems) -> Vec<Rule> {
    raw.into_iter().filter_map(|rule| gate(rule, problems)).collect()
}

fn gate(raw: At<RawRule>, problems: &mut Problems) -> Option<Rule> {
    let At { value: raw, span } = raw;
    let share = raw.metric.as_ref().is_none_or(|metric| {
        let known = METRICS.iter().find(|(name, _)| *name == metric.value.0);
        if known.is_none() {
            let problem = problems.add(
                metric.span.clone(),
                format!("unknown metric `{}`", shown(&metric.value.0)),
                "not a metric",
            );
            if FALLING.contains(&metric.value.0.as_str()) {
                problem.help("this rate falls when a model gets more robust; gate `robust_accuracy` instead");
            } else {
                problem.help(did_you_mean(&metric.value.0, METRICS.map(|(name, _)| name)));
            }
        }
        known.is_none_or(|(_, share)| *share)
    });
    for (key, amount) in [("max_drop", &raw.max_drop), ("min", &raw.min)] {
        if let Some(amount) = amount.as_ref().filter(|amount| share && amount.value.0 > 1.0) {
            let problem = problems.add(
                amount.span.clone(),
                format!("`{key}` {} is more than the whole range of a rate", amount.value.0),
                "rates are in [0, 1]",
            );
            if amount.value.0 <= 100.0 {
                problem.help(format!("for {} % write {}", amount.value.0, amount.value.0 / 100.0));
            }
        }
    }
    if raw.max_drop.is_none() && raw.min.is_none() && raw.clean {
        problems
            .add(span, "the gate has neither `max_drop` nor `min`", "nothing to check")
            .help("add `max_drop = 0.02` (against a baseline) or `min = 0.3`");
    }
    Some(Rule {
        metric: raw.metric?.value.0,
        max_drop: raw.max_drop.map(|drop| drop.value.0),
        min: raw.min.map(|min| min.value.0),
        level: raw.level.map_or(Level::default(), |level| level.value),
    })
}
