//! `docs/suite.md`: every key of a suite with its type, default and meaning, made from the schema.

use serde_json::{Map, Value};

use super::schema::schema;

/// What stands above the tables.
const HEAD: &str = "# Every key of a suite

Made from the code, like `suites/suite.schema.json`: `AM_EVAL_WRITE_DOCS=1 cargo test --lib the_reference_pages_are_current`
writes it again. Editors that know TOML schemas show the same while you type (`#:schema suite.schema.json` on the first line).
Keys that have no default must be there, unless \"-\" says that they may be left out.
";

/// The text of `docs/suite.md`.
pub fn suite_reference() -> String {
    let schema = schema();
    let reference = Reference { definitions: schema["$defs"].as_object().cloned().unwrap_or_default() };
    let mut text = HEAD.to_owned();
    let properties = fields(&schema);
    let is_table = |node: &Value| reference.is_table(node) || reference.is_table(&node["items"]);
    text += "\n## The file itself\n\n";
    text += &reference.table(&schema, |_, node| !is_table(node));
    for (name, node) in properties.iter().filter(|(_, node)| is_table(node)) {
        let list = node["type"] == "array";
        let heading = if list { format!("[[{name}]]") } else { format!("[{name}]") };
        text += &format!("\n## `{heading}`\n\n{}\n", sentence(node));
        text += &reference.section(if list { &node["items"] } else { node }, 3);
    }
    text
}

struct Reference {
    definitions: Map<String, Value>,
}

impl Reference {
    /// What a reference stands for; else the node itself.
    fn resolved<'n>(&'n self, node: &'n Value) -> &'n Value {
        let name = node["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.definitions.get(name)).unwrap_or(node)
    }

    /// Whether the node is a table, or a choice among tables.
    fn is_table(&self, node: &Value) -> bool {
        let node = self.resolved(node);
        node["properties"].is_object() || variants(node).iter().any(|variant| self.is_table(variant))
    }

    /// The keys of a table; of a choice among tables, those of each.
    fn section(&self, node: &Value, level: usize) -> String {
        let table = self.resolved(node);
        let mut text = String::new();
        for variant in variants(table) {
            let inner = self.resolved(variant);
            let kind = &inner["properties"]["kind"];
            let kind = kind["const"].as_str().or(kind["enum"][0].as_str());
            if !self.is_table(variant) {
                continue;
            }
            let name = kind.map_or_else(|| sentence(inner), |kind| format!("`kind = \"{kind}\"`"));
            text += &format!("\n{} {}\n\n{}\n", "#".repeat(level), name.trim_end_matches('.'), sentence(variant));
            text += &self.section(inner, level + 1);
        }
        if table["properties"].is_object() {
            text += "\n";
            text += &self.table(table, |_, _| true);
            for (name, node) in fields(table).iter().filter(|(_, node)| self.is_table(node)) {
                text += &format!("\nKeys of `{name}`:\n");
                text += &self.section(node, level + 1);
            }
        }
        text
    }

    /// One line for each key for which `is_listed` holds.
    fn table(&self, table: &Value, is_listed: impl Fn(&str, &Value) -> bool) -> String {
        let required = table["required"].as_array().cloned().unwrap_or_default();
        let mut text = "| key | type | default | meaning |\n|---|---|---|---|\n".to_owned();
        for (key, node) in fields(table).iter().filter(|(key, node)| is_listed(key, node)) {
            let (meaning, stated) = parts(&sentence(node));
            let default = match (&node["default"], stated) {
                (Value::Null, None) if required.iter().any(|name| *name == **key) => String::new(),
                (Value::Null, None) => "-".to_owned(),
                (Value::Null, Some(stated)) => stated,
                (value, _) => format!("`{value}`"),
            };
            let line = [format!("`{key}`"), self.kind(node), default, meaning].map(|cell| cell.replace('|', "\\|"));
            text += &format!("| {} |\n", line.join(" | "));
        }
        text
    }

    /// The type in words: `whole number`, `"linf" or "l2"`, `list of texts`.
    fn kind(&self, node: &Value) -> String {
        if self.is_table(node) {
            return "table".to_owned();
        }
        let node = self.resolved(node);
        if let Some(words) = node["enum"].as_array() {
            return words.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
        }
        if !node["const"].is_null() {
            return node["const"].to_string();
        }
        let choices = variants(node);
        if !choices.is_empty() {
            let mut kinds: Vec<String> = choices.iter().map(|choice| self.kind(choice)).collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
        match node["type"].as_str() {
            Some("integer") => "whole number".to_owned(),
            Some("number") => "number".to_owned(),
            Some("string") => "text".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("array") => format!("list of {}", self.kind(&node["items"])),
            _ => "table".to_owned(),
        }
    }
}

fn fields(table: &Value) -> Vec<(&String, &Value)> {
    table["properties"].as_object().into_iter().flatten().collect()
}

fn variants(node: &Value) -> Vec<&Value> {
    let list = |key: &str| node[key].as_array().into_iter().flatten();
    list("anyOf").chain(list("oneOf")).collect()
}

/// The description on one line.
fn sentence(node: &Value) -> String {
    node["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a description says, and the default that it tells.
fn parts(description: &str) -> (String, Option<String>) {
    let found = description.split_once("Default: ").or_else(|| description.split_once("Default "));
    match found {
        Some((meaning, default)) => (meaning.trim().to_owned(), Some(default.trim_end_matches('.').to_owned())),
        None => (description.to_owned(), None),
    }
}
