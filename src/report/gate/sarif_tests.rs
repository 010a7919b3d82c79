//! SARIF: valid by the official schema, at the right lines, the same fingerprints from run to run.

use super::super::tests::judged_rules;
use super::*;

const SCHEMA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sarif/sarif-schema-2.1.0.json"));

/// The suite of the made-up outcome; what the gate does not read is left out.
const SUITE: &str = r#"schema = 1
[[model]]
weights = "m.safetensors"
name = "m"
[[attack]]
name = "a"
[boundary]
methods = ["path"]
[[gate]]
metric = "worst_case_accuracy"
max_drop = 0.02
[[gate]]
metric = "distance_median"
[[gate]]
level = "error"
metric = "robust_accuracy"
[[gate]]
metric = "clean_accuracy"
[[gate]]
metric = "worst_case_accuracy"
"#;

fn source(uri: &str, text: &str) -> Source {
    Source { uri: uri.to_owned(), text: text.to_owned() }
}

fn log(model: &str, suite: &str) -> Value {
    let (outcome, rules) = judged_rules(model);
    serde_json::from_str(&sarif(&outcome, &Sources::new(source("suites/m%20n.toml", suite), None, &rules))).unwrap()
}

fn errors(log: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(log).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn line(location: &Value) -> (u64, u64) {
    let region = &location["physicalLocation"]["region"];
    (region["startLine"].as_u64().unwrap(), region["startColumn"].as_u64().unwrap())
}

#[test]
fn the_official_schema_accepts_it_and_would_refuse_what_is_wrong() {
    let log = log("m", SUITE);
    assert_eq!(errors(&log), Vec::<String>::new());
    let hostile = "\u{1b}[31m <b>&\u{202e} [x](y)\n::error::";
    assert_eq!(errors(&self::log(hostile, SUITE)), Vec::<String>::new());
    assert_eq!(errors(&self::log("m", "no TOML [[[")), Vec::<String>::new());
    let mut wrong = log.clone();
    wrong["runs"][0]["results"][0]["level"] = "grave".into();
    wrong["runs"][0]["results"][1]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0.into();
    assert_eq!(errors(&wrong).len(), 2, "{:?}", errors(&wrong));
}

#[test]
fn findings_stand_at_the_lines_of_the_suite() {
    let log = log("m", SUITE);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let lines = results.iter().map(|result| {
        let related: Vec<_> = result["relatedLocations"].as_array().into_iter().flatten().map(line).collect();
        let suppressed = result["suppressions"][0]["justification"].as_str().unwrap_or("-");
        format!(
            "{} {} at {:?}, see {related:?}, {suppressed}",
            result["ruleId"].as_str().unwrap(),
            result["level"].as_str().unwrap(),
            line(&result["locations"][0]),
        )
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    worst-case-accuracy error at (4, 8), see [(10, 10)], -
    distance-median error at (8, 11), see [(13, 10), (4, 8)], ana, until 2027-01-01: smaller network
    robust-accuracy warning at (6, 8), see [(16, 10), (4, 8)], -
    worst-case-accuracy warning at (20, 10), see [], -
    ");
    let place = &results[0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place, &json!({ "uri": "suites/m%20n.toml", "uriBaseId": "%SRCROOT%" }));
}

#[test]
fn rules_of_another_file_are_pointed_to_there() {
    let (outcome, rules) = judged_rules("m");
    let rules_file = source("file:///r.toml", "schema = 1\n\n[[gate]]\nmetric = \"worst_case_accuracy\"\n");
    let log: Value =
        serde_json::from_str(&sarif(&outcome, &Sources::new(source("s.toml", SUITE), Some(rules_file), &rules)))
            .unwrap();
    let first = &log["runs"][0]["results"][0];
    assert_eq!(line(&first["locations"][0]).0, 4, "the model, in the suite");
    let related = &first["relatedLocations"][0];
    assert_eq!(
        (line(related), &related["physicalLocation"]["artifactLocation"]),
        ((4, 10), &json!({ "uri": "file:///r.toml" }))
    );
    assert_eq!(errors(&log), Vec::<String>::new());
}

#[test]
fn fingerprints_do_not_follow_numbers_or_lines() {
    let prints = |log: &Value| -> Vec<String> {
        let results = log["runs"][0]["results"].as_array().unwrap();
        results
            .iter()
            .map(|result| result["partialFingerprints"]["amEvalCheck/v1"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = prints(&log("m", SUITE));
    assert_eq!(first, prints(&log("m", &format!("\n\n{SUITE}"))));
    let distinct: std::collections::BTreeSet<&String> = first.iter().collect();
    assert_eq!(distinct.len(), first.len());
    assert_ne!(first, prints(&log("n", SUITE)));
}
