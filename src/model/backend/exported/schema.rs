//! The JSON of an exported program, as far as it matters here. Arguments are unions of many kinds, and stay JSON until they are used.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `models/*.json`.
#[derive(Debug, Deserialize)]
pub struct ExportedProgram {
    pub graph_module: GraphModule,
    pub schema_version: SchemaVersion,
}

#[derive(Debug, Deserialize)]
pub struct SchemaVersion {
    pub major: u64,
}

#[derive(Debug, Deserialize)]
pub struct GraphModule {
    pub graph: Graph,
    pub signature: GraphSignature,
    #[serde(default)]
    pub module_call_graph: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub struct GraphSignature {
    pub input_specs: Vec<Value>,
    pub output_specs: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub struct Graph {
    #[serde(default)]
    pub inputs: Vec<Value>,
    #[serde(default)]
    pub outputs: Vec<Value>,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub tensor_values: BTreeMap<String, TensorMeta>,
}

#[derive(Debug, Deserialize)]
pub struct Node {
    pub target: String,
    #[serde(default)]
    pub inputs: Vec<NamedArgument>,
    #[serde(default)]
    pub outputs: Vec<Value>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Its own name, which newer files have beside those of its outputs.
    #[serde(default)]
    pub name: Option<String>,
    /// The graph among its inputs, for operators on graphs.
    #[serde(skip)]
    pub inner: Option<Box<Graph>>,
}

impl ExportedProgram {
    /// Reads the JSON. Some PyTorch write numbers that JSON does not have, as Python does: `-Infinity`; they are read as words.
    ///
    /// # Errors
    /// If it is none, or not that of a program.
    pub fn read(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text).or_else(|error| match quoted(text) {
            Some(text) => serde_json::from_slice(&text),
            None => Err(error),
        })
    }
}

/// The JSON with its `Infinity`, `-Infinity` and `NaN` in quotation marks; none if there are none outside of words.
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    const NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let (mut out, mut place, mut inside, mut found) = (Vec::with_capacity(text.len() + 64), 0, false, false);
    while let Some(&byte) = text.get(place) {
        let number = NUMBERS.iter().find(|number| !inside && text[place..].starts_with(number));
        let length = match (number, byte) {
            (Some(number), _) => {
                found = true;
                out.push(b'"');
                out.extend_from_slice(number);
                out.push(b'"');
                place += number.len();
                continue;
            }
            (None, b'\\') if inside => 2,
            (None, b'"') => {
                inside = !inside;
                1
            }
            _ => 1,
        };
        out.extend_from_slice(&text[place..(place + length).min(text.len())]);
        place += length;
    }
    found.then_some(out)
}

impl Graph {
    /// Reads the graphs that are arguments of nodes.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn unfold(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            let found = node
                .inputs
                .iter_mut()
                .find_map(|input| input.arg.get_mut("as_graph")?.get_mut("graph").map(Value::take));
            let Some(found) = found else { continue };
            let mut inner: Graph = serde_json::from_value(found)
                .map_err(|error| format!("a graph inside its graph cannot be read: {error}"))?;
            inner.unfold()?;
            node.inner = Some(Box::new(inner));
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
pub struct NamedArgument {
    pub name: String,
    pub arg: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TensorMeta {
    pub dtype: u64,
    pub sizes: Vec<Value>,
    #[serde(default)]
    pub strides: Vec<Value>,
    #[serde(default)]
    pub storage_offset: Option<Value>,
}

impl TensorMeta {
    /// The sizes; none for those that vary.
    pub fn shape(&self) -> Vec<Option<i64>> {
        self.sizes.iter().map(fixed).collect()
    }

    /// Whether the values lie one after another, as far as the sizes are fixed.
    pub fn contiguous(&self) -> bool {
        let (shape, strides) = (self.shape(), self.strides.iter().map(fixed).collect::<Vec<_>>());
        let mut expected = Some(1);
        for (size, stride) in shape.iter().zip(&strides).rev() {
            if *size != Some(1) && expected.is_some() && *stride != expected && stride.is_some() {
                return false;
            }
            expected = expected.and_then(|expected| Some(expected * (*size)?));
        }
        true
    }
}

/// A size that does not vary.
pub fn fixed(size: &Value) -> Option<i64> {
    size.get("as_int")?.as_i64()
}

/// The kind and the content of a union.
pub fn union(value: &Value) -> Option<(&str, &Value)> {
    let (kind, content) = value.as_object()?.iter().next()?;
    Some((kind, content))
}

/// The name in `{"name": ...}`.
pub fn name(value: &Value) -> Option<&str> {
    value.get("name")?.as_str()
}

impl Node {
    /// The names of its outputs, and whether they are the parts of a list.
    pub fn writes(&self) -> (Vec<&str>, bool) {
        let mut names = Vec::new();
        let mut list = false;
        for output in &self.outputs {
            match union(output) {
                Some(("as_tensor", tensor)) => names.extend(name(tensor)),
                Some(("as_tensors", tensors)) => {
                    list = true;
                    names.extend(tensors.as_array().into_iter().flatten().filter_map(name));
                }
                Some(("as_sym_int" | "as_sym_bool" | "as_sym_float", number)) => {
                    names.extend(number.get("as_name").and_then(Value::as_str));
                }
                _ => {}
            }
        }
        let apart = list || names.len() > 1;
        (names, apart)
    }

    /// The names of all values that it reads.
    pub fn reads(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.inputs.iter().for_each(|input| collect(&input.arg, &mut names));
        names
    }

    /// The operator without the module that all of them are in: `aten.conv2d.default`.
    pub fn operator(&self) -> &str {
        self.target.strip_prefix("torch.ops.").unwrap_or(&self.target)
    }
}

fn collect<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, content) in fields {
                match (key.as_str(), content) {
                    ("name" | "as_name", Value::String(name)) => names.push(name),
                    ("as_graph", _) => {}
                    _ => collect(content, names),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_are_put_in_quotation_marks_outside_of_words() {
        let text = br#"{"a": -Infinity, "b\"NaN": "Infinity", "c": [NaN, 1.5, Infinity]}"#;
        let quoted = quoted(text).unwrap();
        let expected = br#"{"a": "-Infinity", "b\"NaN": "Infinity", "c": ["NaN", 1.5, "Infinity"]}"#;
        assert_eq!(String::from_utf8(quoted).unwrap(), String::from_utf8(expected.to_vec()).unwrap());
        assert!(super::quoted(br#"{"a": "NaN"}"#).is_none());
    }
}
