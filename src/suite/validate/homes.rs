//! Where a key belongs that stands in a table which does not have it: looked up in the schema, so that every table is known.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::suite::read::problem::Problems;
use crate::suite::schema::schema;
use crate::wording::suggest::nearest;

/// Tables that are named one by one; of more kinds of one table, the table alone.
const NAMED: usize = 2;

/// Says of each unknown key that is like none of its table's own which other table has it, or one like it.
pub(super) fn name_homes(problems: &mut Problems) {
    if problems.strange_keys().next().is_none() {
        return;
    }
    let homes = homes(&schema());
    for (key, problem) in problems.strange_keys() {
        let Some(meant) = nearest(&key, homes.keys().map(String::as_str)) else { continue };
        let places = in_words(&homes[meant]);
        problem.help(match meant == key {
            true => format!("`{key}` belongs to {places}"),
            false => format!("`{meant}` is nearest, and belongs to {places}"),
        });
    }
}

/// A table as a message names it, and its kind where it comes in kinds.
type Home = (String, Option<String>);

fn in_words(homes: &[Home]) -> String {
    let mut words: Vec<String> = Vec::new();
    for (table, _) in homes {
        let kinds: Vec<&String> =
            homes.iter().filter(|(other, _)| other == table).filter_map(|(_, kind)| kind.as_ref()).collect();
        let mut add = |word: String| {
            if !words.contains(&word) {
                words.push(word);
            }
        };
        match kinds.len() {
            1..=NAMED => kinds.iter().for_each(|kind| add(format!("{table} of kind `{kind}`"))),
            _ => add(table.clone()),
        }
    }
    let last = words.pop().unwrap_or_default();
    match words.is_empty() {
        true => last,
        false => format!("{} and {last}", words.join(", ")),
    }
}

/// The tables of each key.
fn homes(schema: &Value) -> BTreeMap<String, Vec<Home>> {
    let mut homes: BTreeMap<String, Vec<Home>> = BTreeMap::new();
    let mut add = |node: &Value, table: &str| {
        let kind = node["properties"]["kind"]["const"].as_str().map(str::to_owned);
        for key in node["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let tables = homes.entry(key.clone()).or_default();
            if !tables.contains(&(table.to_owned(), kind.clone())) {
                tables.push((table.to_owned(), kind.clone()));
            }
        }
    };
    add(schema, "the top of the file, before any table");
    let mut open: Vec<(&Value, String)> = inner_tables(schema, schema, None);
    while let Some((node, table)) = open.pop() {
        add(node, &table);
        open.extend(inner_tables(schema, node, Some(&table)));
    }
    homes
}

/// The tables that the keys of `node` hold, each kind on its own; `table` is what `node` is called.
fn inner_tables<'n>(schema: &'n Value, node: &'n Value, table: Option<&str>) -> Vec<(&'n Value, String)> {
    let mut found = Vec::new();
    for (key, value) in node["properties"].as_object().into_iter().flatten() {
        let value = resolved(schema, value);
        let (name, value) = match (table, value["type"] == "array") {
            (None, true) => (format!("`[[{key}]]`"), &value["items"]),
            (None, false) => (format!("`[{key}]`"), value),
            (Some(table), true) => (format!("`{key}` in {table}"), &value["items"]),
            (Some(table), false) => (format!("`{key}` in {table}"), value),
        };
        tables(schema, value, &mut |node| found.push((node, name.clone())));
    }
    found
}

/// Goes over the tables that a value may be.
fn tables<'n>(schema: &'n Value, node: &'n Value, found: &mut dyn FnMut(&'n Value)) {
    let node = resolved(schema, node);
    if node["properties"].is_object() {
        found(node);
    }
    for choice in ["anyOf", "oneOf"].iter().filter_map(|word| node[*word].as_array()).flatten() {
        tables(schema, choice, found);
    }
}

fn resolved<'n>(schema: &'n Value, node: &'n Value) -> &'n Value {
    let name = node["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.map_or(node, |name| &schema["$defs"][name])
}
