//! The verdict on the report's first screen: a section that is put into a page which is there already.

use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::Serialize;

use super::{detectable, difference, p_value, state, value};
use crate::gate::{Change, GateOutcome, Metric, Verdict};
use crate::report::{ReportError, format, write_whole};
use crate::terms::SampleId;

/// Where the section begins in a page. Names cannot hold it: their `<` is escaped.
pub const BEGIN: &str = "<!--gate-->";
/// Where it ends.
pub const END: &str = "<!--/gate-->";

/// Checks of a rule that the page lists.
const MOST_CHECKS: usize = 100;
/// Differences for which the page lists samples.
const MOST_LISTS: usize = 60;

const TEMPLATE: &str = include_str!("../templates/gate.html.jinja");

#[derive(Debug, Serialize)]
struct View {
    word: &'static str,
    class: &'static str,
    finding: String,
    run: String,
    baseline: Option<String>,
    mismatches: Vec<String>,
    allowed: bool,
    drift: Vec<String>,
    notes: Vec<String>,
    rules: Vec<RuleView>,
    differences: Vec<DifferenceView>,
    lists: Vec<ListView>,
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
    what: String,
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

/// Put the outcome into the page of the run in `run_dir`, instead of an earlier one; a silent outcome is taken out. A run
/// without a page, or one whose page has no place for it, is left as it is: the result tells whether the page shows it.
///
/// # Errors
/// If the page cannot be read or written.
pub fn show_gate(run_dir: &Path, outcome: &GateOutcome) -> Result<bool, ReportError> {
    let path = run_dir.join("report.html");
    let page = match std::fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    let section = if outcome.is_silent() { String::new() } else { section(outcome)? };
    let Some(page) = spliced(&page, &section) else { return Ok(false) };
    write_whole(&path, page.as_bytes())?;
    Ok(true)
}

/// The page with another section.
fn spliced(page: &str, section: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{section}{END}{after}"))
}

fn section(outcome: &GateOutcome) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    // The name's ending turns escaping on.
    environment.add_template("gate.html", TEMPLATE).map_err(ReportError::Page)?;
    let template = environment.get_template("gate.html").map_err(ReportError::Page)?;
    template.render(context! { gate => Serde(view(outcome)) }).map_err(ReportError::Page)
}

fn view(outcome: &GateOutcome) -> View {
    let rules = outcome.rules.iter().map(|rule| RuleView {
        rule: rule.rule.clone(),
        level: rule.level.as_str(),
        state: state(rule),
        verdict: rule.verdict.as_str(),
        class: if state(rule) == "FAIL" { "bad" } else { class(rule.verdict) },
        detectable: detectable(rule),
        hidden: rule.checks.len().saturating_sub(MOST_CHECKS),
        checks: rule.checks.iter().take(MOST_CHECKS).map(|check| check_view(rule.metric, check)).collect(),
    });
    let differences = outcome.differences.iter().map(|of| {
        let what = match (of.subject.norm, of.subject.epsilon) {
            (Some(norm), Some(epsilon)) => format!("worst case, {} ε {}", format::norm(norm), format::epsilon(epsilon)),
            _ => "clean".to_owned(),
        };
        DifferenceView {
            model: of.subject.model.clone(),
            what,
            now: value(Metric::CleanAccuracy, &of.now),
            before: value(Metric::CleanAccuracy, &of.before),
            change: difference(Metric::CleanAccuracy, &of.change.estimate),
            p: p_text(of.change.p),
            n: format::count(of.change.n),
            broken: format::count(of.change.broken),
            fixed: format::count(of.change.fixed),
        }
    });
    let changed = outcome.differences.iter().filter(|of| of.change.broken + of.change.fixed > 0).take(MOST_LISTS);
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
        rules: rules.collect(),
        differences: differences.collect(),
        lists: changed.map(|of| list(of.subject.to_string(), &of.change)).collect(),
    }
}

fn check_view(metric: Metric, check: &crate::gate::Check) -> CheckView {
    let excuse = check.excuse.as_ref();
    let excuse = excuse.map(|of| format!("waived by {} until {}: {}", of.owner, of.expires, of.reason));
    let why: Vec<String> = check.why.iter().cloned().chain(excuse).collect();
    CheckView {
        subject: check.subject.to_string(),
        verdict: check.verdict.as_str(),
        class: class(check.verdict),
        now: check.now.as_ref().map(|now| value(metric, now)),
        before: check.before.as_ref().map(|before| value(metric, before)),
        change: check.change.as_ref().map(|change| difference(metric, &change.estimate)),
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
