//! GitLab's code quality report, which merge requests show.

use std::path::Path;

use serde_json::{Value, json};

use super::{Gravity, noteworthy, sentence};
use crate::gate::GateOutcome;

/// The outcome as a code quality report. Findings need a file: `report`, the page of the run.
pub fn gitlab(outcome: &GateOutcome, report: &Path) -> String {
    let path = report.display().to_string();
    let entry = |check_name: &str, key: &str, description: String, severity: &str| {
        json!({
            "description": description,
            "check_name": check_name,
            "fingerprint": blake3::hash(format!("{check_name}\n{key}").as_bytes()).to_hex().to_string(),
            "severity": severity,
            "location": { "path": path, "lines": { "begin": 1 } },
        })
    };
    let mut entries: Vec<Value> = Vec::new();
    for (gravity, rule, check) in noteworthy(outcome) {
        let severity = if gravity == Gravity::Error { "critical" } else { "minor" };
        let description = format!("{}: {}", check.verdict, sentence(rule.metric, check));
        entries.push(entry(&rule.rule, &check.subject.to_string(), description, severity));
    }
    entries.extend(outcome.notes.iter().map(|note| entry("am-eval gate", note, note.clone(), "info")));
    format!("{:#}\n", Value::Array(entries))
}
