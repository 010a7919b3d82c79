//! What the gate's templates are filled with.

use serde::Serialize;

use super::{Gravity, detectable, difference, gravity, numbers, p_value, state, value};
use crate::gate::{Change, Check, GateOutcome, RuleOutcome, Verdict};
use crate::report::page::slots::delta_name;
use crate::stats::Estimate;
use crate::suite::gate::Metric;
use crate::terms::SampleId;
use crate::wording::format;
use crate::wording::format::typeset;

/// Rules on the first screen.
const MOST_RULES: usize = 5;
/// Checks of a rule that the details list.
const MOST_CHECKS: usize = 100;
/// Differences for which the details list samples.
const MOST_LISTS: usize = 60;

/// The outcome as the page shows it.
#[derive(Debug, Serialize)]
pub struct View {
    word: &'static str,
    class: &'static str,
    finding: String,
    run: String,
    baseline: Option<String>,
    mismatches: Vec<String>,
    allowed: bool,
    drift: Vec<String>,
    notes: Vec<String>,
    /// Rules that somebody should look at first.
    found: Vec<FoundView>,
    /// What the other rules are: `1 more rule is waived; 3 more rules pass`.
    rest: Option<String>,
    rules: Vec<RuleView>,
    differences: Vec<DifferenceView>,
    lists: Vec<ListView>,
}

/// A rule on the first screen.
#[derive(Debug, Serialize)]
struct FoundView {
    rule: String,
    level: &'static str,
    verdict: &'static str,
    class: &'static str,
    /// The gravest finding, and how many more there are.
    finding: String,
}

#[derive(Debug, Serialize)]
struct RuleView {
    rule: String,
    level: &'static str,
    state: &'static str,
    verdict: &'static str,
    class: &'static str,
    detectable: Option<String>,
    checks: Vec<CheckView>,
    hidden: usize,
}

#[derive(Debug, Serialize)]
struct CheckView {
    subject: String,
    verdict: &'static str,
    class: &'static str,
    now: Option<String>,
    before: Option<String>,
    change: Option<String>,
    p: Option<String>,
    n: String,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct DifferenceView {
    model: String,
    measured: String,
    now: String,
    before: String,
    change: String,
    p: String,
    n: String,
    broken: String,
    fixed: String,
}

#[derive(Debug, Serialize)]
struct ListView {
    subject: String,
    broken: String,
    broken_ids: Vec<String>,
    broken_more: u64,
    fixed: String,
    fixed_ids: Vec<String>,
    fixed_more: u64,
}

/// The outcome ready to print.
pub fn view(outcome: &GateOutcome) -> View {
    let rules = outcome.rules.iter().map(|rule| RuleView {
        rule: rule.rule.clone(),
        level: rule.level.as_str(),
        state: state(rule),
        verdict: rule.verdict.as_str(),
        class: rule_class(rule),
        detectable: detectable(rule),
        hidden: rule.checks.len().saturating_sub(MOST_CHECKS),
        checks: rule.checks.iter().take(MOST_CHECKS).map(|check| check_view(rule.metric, check)).collect(),
    });
    let differences = outcome.differences.iter().map(|change| {
        let measured = match (change.subject.norm, change.subject.epsilon) {
            (Some(norm), Some(epsilon)) => format!("worst case, {} ε {}", format::norm(norm), format::epsilon(epsilon)),
            _ => "clean".to_owned(),
        };
        DifferenceView {
            model: change.subject.model.clone(),
            measured,
            now: value(Metric::CleanAccuracy, &change.now),
            before: value(Metric::CleanAccuracy, &change.before),
            change: typeset(difference(Metric::CleanAccuracy, &change.change.estimate)),
            p: p_text(change.change.p),
            n: format::count(change.change.n),
            broken: format::count(change.change.broken),
            fixed: format::count(change.change.fixed),
        }
    });
    let changed =
        outcome.differences.iter().filter(|change| change.change.broken + change.change.fixed > 0).take(MOST_LISTS);
    let (found, rest) = summarized(outcome);
    View {
        word: outcome.word(),
        class: if outcome.word() == "passed" { class(outcome.verdict) } else { "bad" },
        finding: capitalized(&outcome.finding()),
        run: outcome.run.clone(),
        baseline: outcome.baseline.clone(),
        mismatches: outcome.mismatches.iter().map(ToString::to_string).collect(),
        allowed: outcome.mismatch_allowed,
        drift: outcome.drift.clone(),
        notes: outcome.notes.clone(),
        found,
        rest,
        rules: rules.collect(),
        differences: differences.collect(),
        lists: changed.map(|change| list(change.subject.to_string(), &change.change)).collect(),
    }
}

/// The difference of each accuracy to the baseline's, by the name of its place on the page: numbers alone, so nothing to escape.
pub fn deltas(outcome: &GateOutcome) -> impl Iterator<Item = (String, String)> {
    outcome.differences.iter().map(|change| {
        let estimate = &change.change.estimate;
        let class = match estimate {
            Estimate { hi, .. } if *hi < 0.0 => " worse",
            Estimate { lo, .. } if *lo > 0.0 => " better",
            _ => "",
        };
        let text = typeset(difference(Metric::CleanAccuracy, estimate));
        let text = text.replace(" points", " <span class=\"unit\">points</span>");
        (delta_name(&change.subject), format!("<span class=\"delta{class}\">{text}</span>"))
    })
}

/// The rules with something to look at, those that fail first, and a word on the others.
fn summarized(outcome: &GateOutcome) -> (Vec<FoundView>, Option<String>) {
    let mut rules: Vec<&RuleOutcome> = outcome.rules.iter().filter(|rule| state(rule) != "pass").collect();
    rules.sort_by_key(|rule| state(rule) != "FAIL");
    let found: Vec<FoundView> = rules.iter().take(MOST_RULES).map(|rule| found(rule)).collect();
    let hidden = rules.len() - found.len();
    let hidden = (hidden > 0).then(|| rules_are(hidden, "should be looked at", "should be looked at"));
    let quiet = |waived: bool| {
        let rest = outcome.rules.iter().filter(|rule| state(rule) == "pass");
        rest.filter(|rule| (rule.verdict == Verdict::Waived) == waived).count()
    };
    let waived = (quiet(true) > 0).then(|| format!("{} waived", rules_are(quiet(true), "is", "are")));
    let passing = (quiet(false) > 0 && !found.is_empty()).then(|| rules_are(quiet(false), "passes", "pass"));
    let rest: Vec<String> = hidden.into_iter().chain(waived).chain(passing).collect();
    (found, (!rest.is_empty()).then(|| rest.join("; ")))
}

/// `1 more rule passes`, `3 more rules pass`.
fn rules_are(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 more rule {one}") } else { format!("{count} more rules {many}") }
}

/// A rule with the gravest of its findings.
fn found(rule: &RuleOutcome) -> FoundView {
    let mut checks: Vec<&Check> = rule.checks.iter().filter(|check| gravity(rule, check) != Gravity::Fine).collect();
    checks.sort_by_key(|check| (gravity(rule, check) != Gravity::Error, std::cmp::Reverse(check.verdict)));
    let finding = match checks.as_slice() {
        [] => "it selects nothing in this run".to_owned(),
        [first] => finding(rule.metric, first),
        [first, rest @ ..] => format!("{}; and {} more", finding(rule.metric, first), rest.len()),
    };
    let (rule_text, level, verdict) = (rule.rule.clone(), rule.level.as_str(), rule.verdict.as_str());
    FoundView { rule: rule_text, level, verdict, class: rule_class(rule), finding }
}

/// A check in a line: the difference if there is one, else its value; and why, where the verdict does not tell it.
fn finding(metric: Metric, check: &Check) -> String {
    let short = |estimate: &Estimate| match metric.is_share() {
        true => format::percent(estimate.point),
        false => format::distance(estimate.point),
    };
    let numbers = match (&check.now, &check.before, &check.change) {
        (Some(now), Some(before), Some(change)) => {
            let (difference, p) = (difference(metric, &change.estimate), p_value(change.p_adjusted));
            format!("{}, was {}: {difference}, {p}", short(now), short(before))
        }
        _ => numbers(metric, check),
    };
    let explained = check.change.is_some() && check.verdict == Verdict::Regressed;
    let why = check.why.as_ref().filter(|_| !explained).map_or(String::new(), |why| format!("; {why}"));
    format!("{}: {}{why}", check.subject, typeset(numbers))
}

/// A rule's colour: that of its verdict, unless it fails the gate.
fn rule_class(rule: &RuleOutcome) -> &'static str {
    if state(rule) == "FAIL" { "bad" } else { class(rule.verdict) }
}

fn check_view(metric: Metric, check: &Check) -> CheckView {
    let excuse = check.excuse.as_ref();
    let excuse = excuse.map(|waiver| format!("waived by {} until {}: {}", waiver.owner, waiver.expires, waiver.reason));
    let why: Vec<String> = check.why.iter().cloned().chain(excuse).collect();
    CheckView {
        subject: check.subject.to_string(),
        verdict: check.verdict.as_str(),
        class: class(check.verdict),
        now: check.now.as_ref().map(|now| value(metric, now)),
        before: check.before.as_ref().map(|before| value(metric, before)),
        change: check.change.as_ref().map(|change| typeset(difference(metric, &change.estimate))),
        p: check.change.as_ref().map(|change| p_text(change.p_adjusted)),
        n: format::count(check.change.as_ref().map_or(check.n, |change| change.n)),
        why: (!why.is_empty()).then(|| why.join("; ")),
    }
}

fn list(subject: String, change: &Change) -> ListView {
    let texts = |ids: &[SampleId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    ListView {
        subject,
        broken: format::count(change.broken),
        broken_more: change.broken - change.broken_ids.len() as u64,
        broken_ids: texts(&change.broken_ids),
        fixed: format::count(change.fixed),
        fixed_more: change.fixed - change.fixed_ids.len() as u64,
        fixed_ids: texts(&change.fixed_ids),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn p_text(p: f64) -> String {
    p_value(p).trim_start_matches("p = ").trim_start_matches("p ").to_owned()
}

/// The page's colour of a verdict; the word stands beside it.
fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass | Verdict::Improved => "good",
        Verdict::Waived => "note",
        Verdict::Inconclusive | Verdict::Suspicious => "warn",
        Verdict::Incomparable | Verdict::Regressed => "bad",
    }
}
