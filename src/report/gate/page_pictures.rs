//! Pictures of the samples that newly broke, by the rules that they violate.

use serde::Serialize;

use super::difference;
use crate::gate::{Change, Check, GateOutcome, RuleOutcome};
use crate::report::page::thumbs::{Album, Thumb};
use crate::wording::format;
use crate::wording::format::typeset;

/// Checks of a rule that show samples, and samples of a check.
const MOST_CHECKS: usize = 4;
const MOST_THUMBS: usize = 24;
/// Samples in all.
const MOST_IN_ALL: usize = 150;

/// What one violated check of a rule broke.
#[derive(Debug, Serialize)]
pub struct Broken {
    rule: String,
    subject: String,
    change: String,
    verb: &'static str,
    count: String,
    thumbs: Vec<Thumb>,
    /// Samples that are not shown.
    more: u64,
}

/// The checks that found a regression, those of rules that fail the gate first, in each rule the largest loss first; with the
/// samples that newly broke (of distances: those that came nearest to the boundary, first).
pub fn broken(outcome: &GateOutcome, album: &mut Album<'_>) -> Vec<Broken> {
    let mut rules: Vec<&RuleOutcome> = outcome.rules.iter().collect();
    rules.sort_by_key(|rule| !rule.failed);
    let mut left = MOST_IN_ALL;
    let mut all = Vec::new();
    for rule in rules {
        let mut checks: Vec<(&Check, &Change)> =
            rule.checks.iter().filter_map(|check| Some((check, check.broke()?))).collect();
        checks.sort_by(|(_, a), (_, b)| loss(rule, b).total_cmp(&loss(rule, a)));
        for (check, change) in checks.into_iter().take(MOST_CHECKS) {
            let pictured = change.broken_ids.iter().take(MOST_THUMBS.min(left));
            let thumbs: Vec<Thumb> = pictured.map(|id| album.thumb(id, String::new())).collect();
            left -= thumbs.len();
            all.push(Broken {
                rule: rule.rule.clone(),
                subject: check.subject.to_string(),
                change: typeset(difference(rule.metric, &change.estimate)),
                verb: if rule.metric.is_share() { "newly broken" } else { "nearer to the boundary" },
                count: format::count(change.broken),
                more: change.broken - thumbs.len() as u64,
                thumbs,
            });
        }
    }
    all
}

/// How much was lost.
fn loss(rule: &RuleOutcome, change: &Change) -> f64 {
    if rule.metric.more_is_better() { -change.estimate.point } else { change.estimate.point }
}
