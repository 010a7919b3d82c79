//! Annotations of GitHub Actions: workflow commands on standard output.

use super::{Gravity, changed, noteworthy, sentence};
use crate::gate::GateOutcome;
use crate::wording::escape::{github as data, github_property as property};

/// GitHub shows so many annotations of a kind for each step.
const MOST: usize = 10;

/// The outcome as workflow commands, one on each line, errors first; empty if nothing is wrong.
pub fn github(outcome: &GateOutcome) -> String {
    let mut text = String::new();
    let found = noteworthy(outcome);
    for (gravity, command) in [(Gravity::Error, "error"), (Gravity::Warning, "warning")] {
        for (_, rule, check) in found.iter().filter(|(found_gravity, _, _)| *found_gravity == gravity).take(MOST) {
            let ids = check.change.as_ref().and_then(|change| changed(rule.metric, change, 5));
            let ids = ids.map_or(String::new(), |ids| format!("; {ids}"));
            let title = property(&format!("am-eval gate: {}", check.verdict));
            text += &format!("::{command} title={title}::{}\n", data(&(sentence(rule.metric, check) + &ids)));
        }
    }
    for note in &outcome.notes {
        text += &format!("::warning title=am-eval gate::{}\n", data(note));
    }
    text
}
