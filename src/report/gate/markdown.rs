//! Markdown, for the summary of a CI job and for comments: the verdict, what is wrong, and the rest folded away.

use super::{Gravity, changed, difference, noteworthy, p_value, sentence, state, value};
use crate::gate::GateOutcome;
use crate::suite::gate::Metric;
use crate::wording::escape::{code, markdown as escaped};

/// Checks that are listed; GitHub refuses summaries over 1 MiB.
const MOST_CHECKS: usize = 50;

/// The outcome as Markdown.
pub fn markdown(outcome: &GateOutcome) -> String {
    findings(outcome) + &details(outcome)
}

/// What everybody reads: the verdict, what is wrong, and the differences with their intervals.
pub(super) fn findings(outcome: &GateOutcome) -> String {
    let mut text = format!("## {}\n\nRun `{}`", escaped(&outcome.headline()), code(&outcome.run));
    match &outcome.baseline {
        Some(baseline) => text += &format!(" against baseline `{}`.\n\n", code(baseline)),
        None => text += ", without a baseline.\n\n",
    }
    let found = noteworthy(outcome);
    for (gravity, rule, check) in found.iter().take(MOST_CHECKS) {
        let mark = if *gravity == Gravity::Error { "❌" } else { "⚠️" };
        text += &format!("- {mark} **{}**: {}\n", check.verdict, escaped(&sentence(rule.metric, check)));
        if let Some(changed) = check.change.as_ref().and_then(|change| changed(rule.metric, change, 10)) {
            text += &format!("  - {}\n", escaped(&changed));
        }
    }
    if found.len() > MOST_CHECKS {
        text += &format!("- and {} more, in `gate.json`\n", found.len() - MOST_CHECKS);
    }
    for note in outcome.mismatches.iter().map(ToString::to_string).chain(outcome.notes.clone()).take(MOST_CHECKS) {
        text += &format!("- {}\n", escaped(&note));
    }
    if !text.ends_with("\n\n") {
        text += "\n";
    }
    text + &differences(outcome)
}

/// What is folded away.
pub(super) fn details(outcome: &GateOutcome) -> String {
    let mut text = rules(outcome);
    if !outcome.drift.is_empty() {
        text += "<details><summary>Other differences in conditions</summary>\n\n";
        text += &outcome.drift.iter().map(|line| format!("- {}\n", escaped(line))).collect::<String>();
        text += "\n</details>\n";
    }
    text
}

fn differences(outcome: &GateOutcome) -> String {
    if outcome.differences.is_empty() {
        return String::new();
    }
    let mut text = "| accuracy | run | baseline | difference | p | n | newly broken | newly fixed |\n".to_owned();
    text += "|---|---|---|---|---|---|---|---|\n";
    for paired in outcome.differences.iter().take(MOST_CHECKS) {
        let metric = if paired.subject.norm.is_some() { Metric::WorstCaseAccuracy } else { Metric::CleanAccuracy };
        let measured = if paired.subject.norm.is_some() { "worst case" } else { "clean" };
        text += &format!(
            "| {} ({measured}) | {} | {} | {} | {} | {} | {} | {} |\n",
            escaped(&paired.subject.to_string()),
            value(metric, &paired.now),
            value(metric, &paired.before),
            difference(metric, &paired.change.estimate),
            p_value(paired.change.p).trim_start_matches("p = ").trim_start_matches("p "),
            paired.change.n,
            paired.change.broken,
            paired.change.fixed
        );
    }
    text + "\n"
}

fn rules(outcome: &GateOutcome) -> String {
    if outcome.rules.is_empty() {
        return String::new();
    }
    let mut text =
        "<details><summary>All rules</summary>\n\n| rule | level | verdict | checks |\n|---|---|---|---|\n".to_owned();
    for rule in &outcome.rules {
        let (checks, level) = (rule.checks.len(), rule.level.as_str());
        text += &format!("| {} | {level} | {} ({}) | {checks} |\n", escaped(&rule.rule), rule.verdict, state(rule));
    }
    text + "\n</details>\n\n"
}
