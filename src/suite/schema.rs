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
    schema.to_value()
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
