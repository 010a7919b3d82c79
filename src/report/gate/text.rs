//! Plain text, for a terminal or a log.

use std::path::Path;

use super::{changed, detectable, noteworthy, numbers, state};
use crate::gate::{GateOutcome, RuleOutcome, Verdict};

/// Checks of one rule that are listed.
const MOST_CHECKS: usize = 20;

/// The outcome as plain text; `report` is the page to look at. Ends with a line break.
pub fn text(outcome: &GateOutcome, report: &Path) -> String {
    let mut text = format!("{}\n", outcome.headline());
    match &outcome.baseline {
        Some(baseline) => text += &format!("run {} against baseline {baseline}\n", outcome.run),
        None => text += &format!("run {}, without a baseline\n", outcome.run),
    }
    for rule in &outcome.rules {
        text += &format!("\n{}  {}\n", state(rule), rule.rule);
        text += &checks(rule);
    }
    let lists =
        [("differs", outcome.mismatches.iter().map(ToString::to_string).collect()), ("drift", outcome.drift.clone())];
    for (word, lines) in lists.into_iter().chain([("note", outcome.notes.clone())]) {
        let lines: Vec<String> = lines.iter().map(|line| format!("{word}: {line}\n")).collect();
        if !lines.is_empty() {
            text += &format!("\n{}", lines.concat());
        }
    }
    if !outcome.mismatches.is_empty() {
        text += if outcome.mismatch_allowed {
            "note: compared all the same, as --allow-mismatch asks\n"
        } else {
            "note: save a new baseline with `am-eval baseline save RUN FILE`, or compare all the same with --allow-mismatch\n"
        };
    }
    if !noteworthy(outcome).is_empty() || report.is_file() {
        text += &format!("\nlook at {}\n", report.display());
    }
    text
}

fn checks(rule: &RuleOutcome) -> String {
    let mut text = String::new();
    let quiet = |verdict: Verdict| verdict == Verdict::Pass;
    let noteworthy: Vec<_> = rule.checks.iter().filter(|check| !quiet(check.verdict)).collect();
    for check in noteworthy.iter().take(MOST_CHECKS) {
        let numbers_text = numbers(rule.metric, check);
        text += &format!("      {:<12}  {}: {numbers_text}\n", check.verdict.as_str(), check.subject);
        let mut under = |line: String| text += &format!("      {:<12}  {line}\n", "");
        if let Some(why) = &check.why {
            under(why.clone());
        }
        if let Some(excuse) = &check.excuse {
            under(format!("waived by {} until {}: {}", excuse.owner, excuse.expires, excuse.reason));
        }
        if let Some(changed) = check.change.as_ref().and_then(|change| changed(rule.metric, change, 5)) {
            under(changed);
        }
    }
    if noteworthy.len() > MOST_CHECKS {
        text += &format!("      and {} more, in gate.json\n", noteworthy.len() - MOST_CHECKS);
    }
    let passed = rule.checks.len() - noteworthy.len();
    let passing = match passed {
        0 => None,
        1 => Some("1 check passes".to_owned()),
        count => Some(format!("{count} checks pass")),
    };
    let nothing = rule.checks.is_empty().then(|| "it selects nothing in this run".to_owned());
    let last: Vec<String> = [nothing, passing, detectable(rule)].into_iter().flatten().collect();
    if !last.is_empty() {
        text += &format!("      {}\n", last.join("; "));
    }
    text
}
