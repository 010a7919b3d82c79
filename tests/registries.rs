//! What can be added to an attack has a word in suites, an arm in a match and a line in the documents: what the compiler does not ask for,
//! this does.

use std::collections::BTreeSet;

use am_eval::suite::schema;
use am_eval::wording::data_kind;
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

/// The kinds of a table that has several, by its place in the schema.
fn kinds_of(place: &str) -> BTreeSet<String> {
    let schema = schema();
    let variants = schema.pointer(place).and_then(Value::as_array).cloned().unwrap_or_default();
    let kind = |variant: &Value| {
        let name = variant["$ref"].as_str()?.rsplit('/').next()?.to_owned();
        Some(schema["$defs"][name]["properties"]["kind"]["const"].as_str()?.to_owned())
    };
    let kinds: BTreeSet<String> = variants.iter().filter_map(kind).collect();
    assert!(!kinds.is_empty() && kinds.len() == variants.len(), "{place}: {kinds:?} of {variants:?}");
    kinds
}

/// The kinds of `[[attack]]`.
fn kinds() -> BTreeSet<String> {
    kinds_of("/$defs/RawAttack/anyOf")
}

/// The kinds of `[data]`.
fn kinds_of_data() -> BTreeSet<String> {
    kinds_of("/properties/data/anyOf")
}

/// Whether a page has a word as code, or as a value of an example.
fn has(page: &str, word: &str) -> bool {
    page.contains(&format!("`{word}`")) || page.contains(&format!("\"{word}\""))
}

#[test]
fn every_word_stands_on_the_page_that_explains_it() {
    let pages: [(&str, &[&str]); 3] = [
        (
            "attacks",
            &[
                "OptimizerName",
                "BoundaryMethod",
                "Loss",
                "RawFeatures.objective",
                "Backward",
                "Stop",
                "Sweep",
                "Control",
            ],
        ),
        ("visualize", &["CanvasWord", "PicturePreset", "UnitRanking"]),
        ("gate", &["Metric", "Level"]),
    ];
    let kinds = [("attacks", kinds()), ("data", kinds_of_data())];
    let named = pages.iter().flat_map(|(page, names)| names.iter().map(|name| (*page, words(name))));
    for (page, words) in named.chain(kinds) {
        let text = std::fs::read_to_string(format!("docs/{page}.md")).unwrap();
        let missing: Vec<&String> = words.iter().filter(|word| !has(&text, word)).collect();
        assert!(missing.is_empty(), "docs/{page}.md says nothing of {missing:?}");
    }
}

#[test]
fn every_kind_of_data_has_a_name_for_sentences() {
    let bare: Vec<String> = kinds_of_data().into_iter().filter(|kind| data_kind(kind) == kind).collect();
    assert!(bare.is_empty(), "src/wording/data_kind.rs has no words for {bare:?}");
}

#[test]
fn every_kind_stands_in_a_suite_that_is_run() {
    // tests/same_bytes.rs and the test of a plan's bounds run these.
    let suites = ["every_kind", "everything", "averaged"]
        .map(|name| std::fs::read_to_string(format!("tests/fixtures/suites/{name}.toml")).unwrap());
    let runs = |kind: &str| suites.iter().any(|suite| suite.contains(&format!("kind = \"{kind}\"")));
    let missing: Vec<String> = kinds().into_iter().filter(|kind| !runs(kind)).collect();
    assert!(missing.is_empty(), "no suite of tests/fixtures/suites has the kinds {missing:?}");
    // Every way of moving, measuring, disturbing, scoring and ranking is run and counted.
    let enumerations = ["OptimizerName", "BoundaryMethod", "RawFeatures.objective", "Loss", "UnitRanking"];
    let stands = |word: &String| suites.iter().any(|suite| suite.contains(&format!("\"{word}\"")));
    let missing: Vec<String> = enumerations.into_iter().flat_map(words).filter(|word| !stands(word)).collect();
    assert!(missing.is_empty(), "no suite of tests/fixtures/suites has {missing:?}");
}
