//! SARIF 2.1.0, which code scanning shows at the lines of the suite: a finding for each check that somebody should look at.

use serde_json::{Map, Value, json};

use super::{Gravity, changed, gravity, sentence};
use crate::gate::{Check, GateOutcome, RuleOutcome, Verdict};
use crate::suite::gate::{Level, Metric, RuleSet, Subject};
use crate::suite::{Place, Places, line_and_column};
use crate::wording::escape;

/// A file that findings point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its address: relative to the repository, or with a scheme.
    pub uri: String,
    /// Its text.
    pub text: String,
}

/// The files that findings point to.
#[derive(Debug, Clone)]
pub struct Sources {
    suite: Source,
    suite_places: Places,
    rules: Source,
    rule_places: Places,
    /// The number of each rule that was looked at, in its file.
    active: Vec<usize>,
}

impl Sources {
    /// The suite, and the file of `rules` if they are not the suite's own.
    pub fn new(suite: Source, rules_file: Option<Source>, rules: &RuleSet) -> Self {
        let active = rules.rules.iter().enumerate().filter(|(_, rule)| rule.level != Level::Off);
        let active = active.map(|(index, _)| index).collect();
        let rules = rules_file.unwrap_or_else(|| suite.clone());
        let (suite_places, rule_places) = (Places::of_text(&suite.text), Places::of_text(&rules.text));
        Sources { suite, suite_places, rules, rule_places, active }
    }

    /// Where the attack of a subject stands in the suite, else its model.
    fn subject(&self, subject: &Subject) -> Value {
        let attack = subject.attack.as_ref().and_then(|name| self.suite_places.named("attack", name));
        match attack {
            Some(index) => self.in_suite(Place::Attack(index, "name")),
            None if subject.method.is_some() => self.in_suite(Place::Boundary("methods")),
            None => self.model(subject),
        }
    }

    fn model(&self, subject: &Subject) -> Value {
        let index = self.suite_places.named("model", &subject.model).unwrap_or(usize::MAX);
        self.in_suite(Place::Model(index, "name"))
    }

    fn in_suite(&self, place: Place) -> Value {
        physical(&self.suite, &self.suite_places, place)
    }

    /// Where the rule with this number among those that were looked at stands.
    fn rule(&self, number: usize) -> Value {
        let index = self.active.get(number).copied().unwrap_or(usize::MAX);
        physical(&self.rules, &self.rule_places, Place::Gate(index, "metric"))
    }
}

fn physical(source: &Source, places: &Places, place: Place) -> Value {
    let span = places.find(place);
    let (line, column) = line_and_column(&source.text, span.start);
    let (end_line, end_column) = line_and_column(&source.text, span.end);
    let mut region = json!({ "startLine": line, "startColumn": column });
    if (end_line, end_column) > (line, column) {
        region["endLine"] = end_line.into();
        region["endColumn"] = end_column.into();
    }
    json!({ "physicalLocation": { "artifactLocation": artifact(source), "region": region } })
}

fn artifact(source: &Source) -> Value {
    match source.uri.contains("://") {
        true => json!({ "uri": source.uri }),
        false => json!({ "uri": source.uri, "uriBaseId": "%SRCROOT%" }),
    }
}

/// The outcome as a log of SARIF: levels by verdict, places in the suite's file, fingerprints that stay the same from run to run, and
/// what waivers excuse as suppressed.
pub fn sarif(outcome: &GateOutcome, sources: &Sources) -> String {
    let mut results = Vec::new();
    for (number, rule) in outcome.rules.iter().enumerate() {
        let noteworthy = rule.checks.iter().filter(|check| check.verdict.is_noteworthy() || check.excuse.is_some());
        results.extend(noteworthy.map(|check| result(sources, number, rule, check)));
        if rule.checks.is_empty() {
            results.push(idle(sources, number, rule));
        }
    }
    let notes: Vec<Value> = outcome
        .notes
        .iter()
        .chain(&outcome.drift)
        .map(|note| json!({ "level": "warning", "message": message(note) }))
        .collect();
    let mut artifacts = vec![json!({ "location": artifact(&sources.suite) })];
    if sources.rules != sources.suite {
        artifacts.push(json!({ "location": artifact(&sources.rules) }));
    }
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "am-eval",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": descriptors(),
            }},
            "automationDetails": { "id": format!("am-eval gate/{}", outcome.run) },
            "columnKind": "unicodeCodePoints",
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notes }],
            "artifacts": artifacts,
            "results": results,
            "properties": {
                "run": outcome.run,
                "baseline": outcome.baseline,
                "conclusion": outcome.conclusion,
                "headline": outcome.headline(),
            },
        }],
    });
    format!("{}\n", escape::json(&format!("{log:#}")))
}

fn result(sources: &Sources, number: usize, rule: &RuleOutcome, check: &Check) -> Value {
    let ids = check.change.as_ref().and_then(|change| changed(rule.metric, change, 5));
    let text = format!("{}: {}", found(check), sentence(rule.metric, check));
    let text = ids.map_or(text.clone(), |ids| format!("{text}; {ids}"));
    let mut related = vec![(sources.rule(number), format!("the rule {}", rule.rule))];
    if check.subject.attack.is_some() || check.subject.method.is_some() {
        related.push((sources.model(&check.subject), format!("the model {}", check.subject.model)));
    }
    let related = related.into_iter().zip(0..).map(|((mut place, text), id)| {
        place["id"] = id.into();
        place["message"] = message(&text);
        place
    });
    let mut result = json!({
        "ruleId": id(rule.metric),
        "ruleIndex": index(rule.metric),
        "level": level(rule, check),
        "message": message(&text),
        "locations": [sources.subject(&check.subject)],
        "relatedLocations": related.collect::<Vec<_>>(),
        "partialFingerprints": { "amEvalCheck/v1": fingerprint(&rule.rule, &check.subject.to_string()) },
        "properties": properties(check),
    });
    if let Some(excuse) = &check.excuse {
        let why = format!("{}, until {}: {}", excuse.owner, excuse.expires, excuse.reason);
        result["suppressions"] =
            json!([{ "kind": "external", "status": "accepted", "justification": escape::line(&why) }]);
    }
    result
}

/// A rule without anything to look at.
fn idle(sources: &Sources, number: usize, rule: &RuleOutcome) -> Value {
    json!({
        "ruleId": id(rule.metric),
        "ruleIndex": index(rule.metric),
        "level": if rule.level == Level::Error { "error" } else { "warning" },
        "message": message(&format!("the gate {} selects nothing in this run; mend its `select`, or remove it", rule.rule)),
        "locations": [sources.rule(number)],
        "partialFingerprints": { "amEvalCheck/v1": fingerprint(&rule.rule, "") },
    })
}

/// The verdict, or the one that a waiver excuses.
fn found(check: &Check) -> Verdict {
    check.excuse.as_ref().map_or(check.verdict, |excuse| excuse.instead_of)
}

/// Errors fail the gate, or would without a waiver; what a rule of level `warn` cannot tell is a note.
fn level(rule: &RuleOutcome, check: &Check) -> &'static str {
    let excused = check.excuse.is_some()
        && rule.level == Level::Error
        && matches!(found(check), Verdict::Regressed | Verdict::Incomparable);
    match gravity(rule, check) {
        Gravity::Error => "error",
        _ if excused => "error",
        _ if rule.level == Level::Warn && found(check) != Verdict::Regressed => "note",
        _ => "warning",
    }
}

fn properties(check: &Check) -> Value {
    let mut properties = Map::new();
    properties.insert("subject".to_owned(), check.subject.to_string().into());
    properties.insert("verdict".to_owned(), check.verdict.as_str().into());
    properties.insert("n".to_owned(), check.n.into());
    for (name, estimate) in [("now", &check.now), ("before", &check.before)] {
        if let Some(estimate) = estimate {
            properties
                .insert(name.to_owned(), json!({ "point": estimate.point, "lo": estimate.lo, "hi": estimate.hi }));
        }
    }
    if let Some(change) = &check.change {
        let estimate = &change.estimate;
        properties
            .insert("change".to_owned(), json!({ "point": estimate.point, "lo": estimate.lo, "hi": estimate.hi }));
        properties.insert("pAdjusted".to_owned(), change.p_adjusted.into());
    }
    Value::Object(properties)
}

/// The same for the same rule on the same subject in every run, whatever its numbers and lines.
fn fingerprint(rule: &str, subject: &str) -> String {
    blake3::hash(format!("{rule}\n{subject}").as_bytes()).to_hex().to_string()
}

fn message(text: &str) -> Value {
    json!({ "text": escape::sarif(text) })
}

fn index(metric: Metric) -> Option<usize> {
    Metric::ALL.iter().position(|known| *known == metric)
}

fn id(metric: Metric) -> String {
    metric.as_str().replace('_', "-")
}

fn descriptors() -> Vec<Value> {
    Metric::ALL.into_iter().map(descriptor).collect()
}

fn descriptor(metric: Metric) -> Value {
    let (meaning, remedy) = match metric {
        Metric::CleanAccuracy => (
            "Share of images that the model classifies rightly, without any attack.",
            "Look at the images that are newly wrong: the weights, the normalization or the preprocessing changed.",
        ),
        Metric::RobustAccuracy => (
            "Share of images that are classified rightly and that one attack does not flip at one radius.",
            "Look at the images that are newly broken in the run's report.html. If the loss is meant, raise `max_drop`, save a new \
             baseline, or add a waiver.",
        ),
        Metric::WorstCaseAccuracy => (
            "Share of images that are classified rightly and that no attack flips at one radius.",
            "Look at the images that are newly broken in the run's report.html. If the loss is meant, raise `max_drop`, save a new \
             baseline, or add a waiver.",
        ),
        Metric::AllNormsAccuracy => (
            "Share of images that are classified rightly and that no attack flips at the headline radius of any norm.",
            "Look at the images that are newly broken in the run's report.html. If the loss is meant, raise `max_drop`, save a new \
             baseline, or add a waiver.",
        ),
        Metric::FlipRate => (
            "Share of the rightly classified images that one attack flips at one radius.",
            "Look at the images that are newly broken in the run's report.html.",
        ),
        Metric::DistanceMedian => (
            "Median distance from an image to the nearest image that the model classifies otherwise, in pixel units of \\[0, 1\\].",
            "Look at the images that moved nearer to the boundary; compare the distances with `am-eval compare`.",
        ),
    };
    let short = format!("{} keeps its bound", capital(metric.words()));
    json!({
        "id": id(metric),
        "name": camel(metric.as_str()),
        "shortDescription": { "text": short },
        "fullDescription": { "text": meaning },
        "help": {
            "text": format!("{meaning} {remedy} A change counts if an exact paired test, adjusted over all rules, finds it larger than the rule's margin."),
            "markdown": format!("{meaning}\n\n{remedy}\n\nA change counts if an exact paired test, adjusted over all rules, finds it larger than the rule's margin."),
        },
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ["robustness"] },
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn camel(text: &str) -> String {
    text.split('_').map(capital).collect()
}

#[cfg(test)]
#[path = "sarif_tests.rs"]
mod tests;
