//! The gate's outcome in every format: one file each, all from the same [`GateOutcome`].

mod comment;
mod github;
mod gitlab;
mod junit;
pub(in crate::report) mod markdown;
mod page;
mod page_pictures;
mod page_view;
mod sarif;
mod text;

pub use comment::{Links, comment, marker};
pub use github::github;
pub use gitlab::gitlab;
pub use junit::junit;
pub use markdown::markdown;
pub use page::{show_gate, without_gate};
pub use sarif::{Source, Sources, sarif};
pub use text::text;

use crate::gate::{Change, Check, GateOutcome, RuleOutcome, Verdict};
use crate::stats::Estimate;
use crate::suite::gate::{Level, Metric};
use crate::terms::SampleId;
use crate::wording::format;

/// A value with its interval: percent, or pixel units.
pub(in crate::report) fn value(metric: Metric, estimate: &Estimate) -> String {
    if metric.is_share() { format::rate(estimate) } else { format::distance_estimate(estimate) }
}

/// A difference with its sign and interval: `-4.8 points (-6.9 to -2.7)`.
pub(in crate::report) fn difference(metric: Metric, estimate: &Estimate) -> String {
    let number = |value: f64| match metric.is_share() {
        true => signed(value, format!("{:.1}", value.abs() * 100.0)),
        false => signed(value, format::distance(value.abs())),
    };
    let unit = if metric.is_share() { " points" } else { "" };
    format!("{}{unit} ({} to {})", number(estimate.point), number(estimate.lo), number(estimate.hi))
}

/// A sign before digits, unless they are all zeros.
fn signed(value: f64, digits: String) -> String {
    if digits.bytes().all(|byte| b"0.".contains(&byte)) {
        digits
    } else if value < 0.0 {
        format!("-{digits}")
    } else {
        format!("+{digits}")
    }
}

/// `p = 0.021`, `p < 0.0001`.
pub(in crate::report) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.0001 => "p < 0.0001".to_owned(),
        p if p < 0.1 => format!("p = {p:.4}"),
        p => format!("p = {p:.2}"),
    }
}

/// The numbers of a check: value, former value, difference, p value, samples.
fn numbers(metric: Metric, check: &Check) -> String {
    let mut parts = Vec::new();
    match (&check.now, &check.before) {
        (Some(now), Some(before)) => parts.push(format!("{}, was {}", value(metric, now), value(metric, before))),
        (Some(now), None) => parts.push(value(metric, now)),
        (None, Some(before)) => parts.push(format!("was {}", value(metric, before))),
        (None, None) => {}
    }
    if let Some(change) = &check.change {
        parts.push(difference(metric, &change.estimate));
        parts.push(p_value(change.p_adjusted));
    }
    parts.push(format!("n = {}", check.change.as_ref().map_or(check.n, |change| change.n)));
    parts.join(", ")
}

/// A check as one sentence, its verdict and subject included.
fn sentence(metric: Metric, check: &Check) -> String {
    let mut text = format!("{} of {}: {}", metric.words(), check.subject, numbers(metric, check));
    if let Some(why) = &check.why {
        text += &format!("; {why}");
    }
    if let Some(excuse) = &check.excuse {
        text += &format!("; waived by {} until {}: {}", excuse.owner, excuse.expires, excuse.reason);
    }
    text
}

/// Which samples changed: `31 newly broken (a, b, …), 7 newly fixed (c, …)`; none if nothing did.
fn changed(metric: Metric, change: &Change, most: usize) -> Option<String> {
    let side = |count: u64, ids: &[SampleId], verb: &str| {
        (count > 0).then(|| {
            let listed: Vec<&str> = ids.iter().take(most).map(SampleId::as_str).collect();
            let more = if count > listed.len() as u64 { ", …" } else { "" };
            format!("{} {verb} ({}{more})", format::count(count), listed.join(", "))
        })
    };
    let [worse, better] = match metric {
        Metric::DistanceMedian => ["nearer to the boundary", "farther from it"],
        _ => ["newly broken", "newly fixed"],
    };
    let sides = [side(change.broken, &change.broken_ids, worse), side(change.fixed, &change.fixed_ids, better)];
    let sides: Vec<String> = sides.into_iter().flatten().collect();
    (!sides.is_empty()).then(|| sides.join(", "))
}

/// How grave a check is for a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gravity {
    Error,
    Warning,
    Fine,
}

fn gravity(rule: &RuleOutcome, check: &Check) -> Gravity {
    let stops = check.failed || rule.level == Level::Error && (check.verdict == Verdict::Incomparable || check.empty);
    match check.verdict {
        Verdict::Waived => Gravity::Fine,
        _ if stops => Gravity::Error,
        verdict if verdict.is_noteworthy() => Gravity::Warning,
        _ => Gravity::Fine,
    }
}

/// Every check that somebody should look at, errors first.
fn noteworthy(outcome: &GateOutcome) -> Vec<(Gravity, &RuleOutcome, &Check)> {
    let all = outcome.rules.iter().flat_map(|rule| rule.checks.iter().map(move |check| (rule, check)));
    let mut found: Vec<_> = all.map(|(rule, check)| (gravity(rule, check), rule, check)).collect();
    found.retain(|(gravity, _, _)| *gravity != Gravity::Fine);
    found.sort_by_key(|(gravity, _, _)| *gravity != Gravity::Error);
    found
}

/// What a rule can find, in words; none if that is not known.
fn detectable(rule: &RuleOutcome) -> Option<String> {
    rule.detectable.map(|drop| format!("finds a true loss of {:.1} points with 80 % power", drop * 100.0))
}

/// One character or word for a rule: does it fail, warn, or pass?
fn state(rule: &RuleOutcome) -> &'static str {
    match rule.verdict {
        _ if rule.failed => "FAIL",
        Verdict::Incomparable if rule.level == Level::Error => "FAIL",
        _ if rule.checks.is_empty() && rule.level == Level::Error => "FAIL",
        verdict if verdict.is_noteworthy() => "warn",
        _ => "pass",
    }
}

#[cfg(test)]
mod tests;
