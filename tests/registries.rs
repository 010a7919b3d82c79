//! What can be added to an attack has a word in suites, an arm in a match and a line in the documents: what the compiler does not ask for,
//! this does.

use std::collections::BTreeSet;

use am_eval::suite::schema;
use serde_json::Value;

/// The words of an enumeration of the schema, by its name or by the table and key where it stands.
fn words(name: &str) -> BTreeSet<String> {
    let schema = schema();
    let definitions = &schema["$defs"];
    let definition = match name.split_once('.') {
        Some((table, key)) => &definitions[table]["properties"][key],
        None => &definitions[name],
    };
    let listed = definition["enum"].as_array().into_iter().flatten().cloned();
    let described = definition["oneOf"].as_array().into_iter().flatten().flat_map(|choice| match &choice["enum"] {
        Value::Array(words) => words.clone(),
        _ => vec![choice["const"].clone()],
    });
    let words: BTreeSet<String> = listed.chain(described).filter_map(|word| Some(word.as_str()?.to_owned())).collect();
    assert!(!words.is_empty(), "the schema has no `{name}`: {definition:#}");
    words
}

/// The kinds of `[[attack]]`.
fn kinds() -> BTreeSet<String> {
    let schema = schema();
    let variants = schema["$defs"]["RawAttack"]["anyOf"].as_array().cloned().unwrap_or_default();
    let kind = |variant: &Value| {
        let name = variant["$ref"].as_str()?.rsplit('/').next()?.to_owned();
        Some(schema["$defs"][name]["properties"]["kind"]["const"].as_str()?.to_owned())
    };
    let kinds: BTreeSet<String> = variants.iter().filter_map(kind).collect();
    assert_eq!(kinds.len(), variants.len());
    kinds
}

#[test]
fn every_word_stands_on_the_page_of_attacks() {
    let page = std::fs::read_to_string("docs/attacks.md").unwrap();
    let enumerations = ["OptimizerName", "BoundaryMethod", "Loss", "RawFeatures.objective"];
    let all = enumerations.into_iter().flat_map(words).chain(kinds());
    let missing: Vec<String> = all.filter(|word| !page.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/attacks.md says nothing of {missing:?}");
}

#[test]
fn every_kind_stands_in_a_suite_that_is_run() {
    // tests/same_bytes.rs and the test of a plan's bounds run these.
    let suites = ["every_kind", "everything", "averaged"]
        .map(|name| std::fs::read_to_string(format!("tests/fixtures/suites/{name}.toml")).unwrap());
    let has = |key: &str, word: &str| suites.iter().any(|suite| suite.contains(&format!("{key} = \"{word}\"")));
    let missing: Vec<String> = kinds().into_iter().filter(|kind| !has("kind", kind)).collect();
    assert!(missing.is_empty(), "no suite of tests/fixtures/suites has the kinds {missing:?}");
    // Every way of moving, measuring, disturbing and scoring is run and counted.
    let enumerations = ["OptimizerName", "BoundaryMethod", "RawFeatures.objective", "Loss"];
    let stands = |word: &String| suites.iter().any(|suite| suite.contains(&format!("\"{word}\"")));
    let missing: Vec<String> = enumerations.into_iter().flat_map(words).filter(|word| !stands(word)).collect();
    assert!(missing.is_empty(), "no suite of tests/fixtures/suites has {missing:?}");
}
