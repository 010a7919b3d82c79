//! The JSON Schema: current, and of one mind with the reader.

use super::{FULL, SHIPPED};
use crate::suite::{schema, schema_text};

fn as_json(source: &str) -> serde_json::Value {
    toml::from_str(source).unwrap()
}

#[test]
fn the_checked_in_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/suite.schema.json");
    if std::env::var_os("AM_EVAL_WRITE_SCHEMA").is_some() {
        std::fs::write(path, schema_text()).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert!(checked_in == schema_text(), "write it again: AM_EVAL_WRITE_SCHEMA=1 cargo test the_checked_in_schema");
}

#[test]
fn shipped_suites_fulfil_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (path, source) in SHIPPED.into_iter().chain([("full", FULL)]) {
        let instance = as_json(source);
        let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}");
    }
}

#[test]
fn the_schema_rejects_what_the_reader_rejects() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let cases = [
        ("schema = 2", "schema = 3"),
        ("name = \"full\"", "name = \"a/b\""),
        ("seed = 3", "seed = -3"),
        ("device = \"cuda:1\"", "device = \"gpu\""),
        ("precision = \"bf16\"", "precision = \"fp16\""),
        ("batch = 64", "batch = 0"),
        ("batch = 64", "tables = [\"csv\", \"excel\"]"),
        ("kind = \"image-folder\"", "kind = \"folder\""),
        ("resize = 256", "resize = 256\nsplit = \"test\""),
        ("weights = \"../models/cnn.safetensors\"", ""),
        ("target = 7", "target = \"first\""),
        ("norm = \"l2\"\nepsilons", "norm = \"l3\"\nepsilons"),
        ("epsilons = [1, 0.5]", "epsilons = [-1]"),
        ("epsilons = [1, 0.5]", "epsilons = [\"eight\"]"),
        ("steps = 100", "stesp = 100"),
        ("steps = 100", "steps = 0"),
        ("step_size = 0.1", "step_size = 0"),
        ("units = [3, 17, \"4@3,5\"]", "units = [3, \"4@3\"]"),
        ("units = \"all\"", "units = \"some\""),
        ("methods = [\"path\"]", "methods = [\"fmm\"]"),
        ("level = \"warn\"", "level = \"loud\""),
    ];
    for (old, new) in cases {
        assert_eq!(FULL.matches(old).count(), 1, "{old}");
        let source = FULL.replace(old, new);
        assert!(!validator.is_valid(&as_json(&source)), "{new}");
        assert!(super::parse(&source).is_err(), "{new}");
    }
}

/// Each default that the schema tells, written out where a suite leaves it out: the suite stays the same.
#[test]
fn defaults_are_what_is_left_out() {
    let schema = schema();
    let full: toml::Table = toml::from_str(FULL).unwrap();
    let resolved = |suite: &toml::Table| {
        let text = toml::to_string(suite).unwrap();
        let suite = super::parse(&text).map_err(|errors| format!("{}\n{text}", super::render(&errors))).unwrap();
        serde_json::to_value(&suite).unwrap()
    };
    let (expected, mut tried) = (resolved(&full), 0);
    let definition = |name: &str| schema["$defs"][name]["properties"].as_object().cloned().unwrap_or_default();
    let tables: [(&str, Option<usize>, &str); 8] = [
        ("run", None, "RawRun"),
        ("data", None, "RawImageFolder"),
        ("attack", Some(0), "RawClassLogit"),
        ("attack", Some(1), "RawClassLogit"),
        ("attack", Some(2), "RawUnit"),
        ("attack", Some(3), "RawUnit"),
        ("boundary", None, "RawBoundary"),
        ("gate", Some(0), "RawRule"),
    ];
    for (table, index, name) in tables {
        for (key, property) in definition(name).into_iter().filter(|(_, property)| !property["default"].is_null()) {
            let mut suite = full.clone();
            let fields = match index {
                None => suite[table].as_table_mut().unwrap(),
                Some(index) => suite[table][index].as_table_mut().unwrap(),
            };
            if !fields.contains_key(&key) {
                fields.insert(key.clone(), toml::Value::try_from(&property["default"]).unwrap());
                assert_eq!(resolved(&suite), expected, "{table}.{key}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 12, "{tried}");
}

#[test]
fn the_reference_pages_are_current() {
    crate::manual::tests::check("suite.md", &crate::suite::suite_reference());
}
