//! The JSON Schema of a suite's file, made from the tables that read it.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::raw::RawSuite;

/// The JSON Schema (draft 2020-12) of a suite's file. What spans several values (distinct names, known models) is
/// checked by [`super::Suite::parse`] only.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RawSuite>();
    RecursiveTransform(forget_null).transform(&mut schema);
    schema.insert("title".to_string(), Value::from("am-eval suite"));
    let mut schema = schema.to_value();
    let definitions = schema["$defs"].clone();
    add_defaults(&mut schema, &definitions);
    schema
}

/// Gives each property the default that its description tells (`Default 0.05.`), where that is a value it may have. Tests set each of
/// them in a suite and see that nothing changes.
fn add_defaults(node: &mut Value, definitions: &Value) {
    match node {
        Value::Object(fields) => {
            for property in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
                if let Some(default) = told_default(property.1, definitions) {
                    property.1["default"] = default;
                }
            }
            fields.values_mut().for_each(|value| add_defaults(value, definitions));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| add_defaults(value, definitions)),
        _ => {}
    }
}

/// The last sentence of the description, if it is `Default` and one word that the property may be.
fn told_default(property: &Value, definitions: &Value) -> Option<Value> {
    let (_, stated) = property["description"].as_str()?.rsplit_once("Default ")?;
    let word = stated.strip_suffix('.').filter(|word| !word.is_empty() && !word.contains(char::is_whitespace))?;
    let number = serde_json::from_str::<Value>(word).ok().filter(Value::is_number);
    let text = Value::from(word);
    number.into_iter().chain([text]).find(|value| may_be(property, value, definitions))
}

/// Whether the schema's types and words allow the value.
fn may_be(node: &Value, value: &Value, definitions: &Value) -> bool {
    if let Some(name) = node["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return may_be(&definitions[name], value, definitions);
    }
    let choices = node["anyOf"].as_array().or(node["oneOf"].as_array());
    if let Some(choices) = choices {
        return choices.iter().any(|choice| may_be(choice, value, definitions));
    }
    if let Some(words) = node["enum"].as_array() {
        return words.contains(value);
    }
    if !node["const"].is_null() {
        return node["const"] == *value;
    }
    match node["type"].as_str() {
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        _ => false,
    }
}

/// [`schema`] as the text of `suites/suite.schema.json`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// TOML has no null: an optional key is left out instead.
fn forget_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_string(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}
