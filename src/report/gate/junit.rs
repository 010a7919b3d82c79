//! JUnit XML: one suite for each model, one case for each rule.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Gravity, changed, gravity, sentence};
use crate::gate::{Check, GateOutcome, RuleOutcome, Verdict};
use crate::suite::gate::Level;
use crate::wording::escape;

/// The outcome as JUnit XML. Warnings are passing cases with an output; what was waived is a skipped case. Times are left
/// out, so that the same outcome gives the same bytes.
pub fn junit(outcome: &GateOutcome) -> String {
    let mut report = Report::new("am-eval gate");
    let mut models: Vec<&str> = Vec::new();
    for check in outcome.rules.iter().flat_map(|rule| &rule.checks) {
        if !models.contains(&check.subject.model.as_str()) {
            models.push(&check.subject.model);
        }
    }
    for model in models {
        let mut suite = TestSuite::new(model);
        for rule in &outcome.rules {
            let checks: Vec<&Check> = rule.checks.iter().filter(|check| check.subject.model == model).collect();
            if !checks.is_empty() {
                suite.add_test_case(case(model, rule, &checks));
            }
        }
        report.add_test_suite(suite);
    }
    let idle = outcome.rules.iter().filter(|rule| rule.checks.is_empty());
    let mut suite = TestSuite::new("rules that select nothing");
    for rule in idle {
        let message = "the rule selects nothing in this run";
        let case = if rule.level == Level::Error {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(message);
            TestCase::new(rule.rule.as_str(), status)
        } else {
            let mut case = TestCase::new(rule.rule.as_str(), TestCaseStatus::success());
            case.set_system_out(message);
            case
        };
        suite.add_test_case(case);
    }
    if suite.tests > 0 {
        report.add_test_suite(suite);
    }
    escape::xml(&report.to_string().unwrap_or_default()).into_owned() + "\n"
}

fn case(model: &str, rule: &RuleOutcome, checks: &[&Check]) -> TestCase {
    let is_noteworthy = |check: &&&Check| {
        let elsewhere =
            matches!(check.verdict, Verdict::Pass | Verdict::Waived) || gravity(rule, check) == Gravity::Error;
        !elsewhere
    };
    let grave = |check: &&&Check| gravity(rule, check) == Gravity::Error;
    let lines = |checks: &mut dyn Iterator<Item = &&Check>| {
        let lines = checks.map(|check| {
            let ids = check.change.as_ref().and_then(|change| changed(rule.metric, change, 50));
            format!(
                "{}: {}\n{}",
                check.verdict,
                sentence(rule.metric, check),
                ids.map_or(String::new(), |ids| ids + "\n")
            )
        });
        lines.collect::<String>()
    };
    let status = match checks.iter().find(grave) {
        Some(first) => {
            let failed = checks.iter().any(|check| check.failed);
            let kind = if failed { NonSuccessKind::Failure } else { NonSuccessKind::Error };
            let mut status = TestCaseStatus::non_success(kind);
            let first = checks.iter().find(|check| check.failed).unwrap_or(first);
            status.set_message(sentence(rule.metric, first)).set_type(first.verdict.as_str());
            status.set_description(lines(&mut checks.iter().filter(grave)));
            status
        }
        None if checks.iter().any(|check| check.verdict == Verdict::Waived) => {
            let mut status = TestCaseStatus::skipped();
            let waived = |check: &&&Check| check.verdict == Verdict::Waived;
            status.set_message(lines(&mut checks.iter().filter(waived)).trim_end());
            status
        }
        None => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(rule.rule.as_str(), status);
    case.set_classname(format!("am-eval.gate.{model}"));
    let output = lines(&mut checks.iter().filter(is_noteworthy));
    if !output.is_empty() {
        case.set_system_out(output);
    }
    case
}
