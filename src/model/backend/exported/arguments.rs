//! Arguments of nodes, as the file writes them.

use serde_json::Value as Json;

use super::lower::Lowerer;
use super::schema::{NamedArgument, fixed, name, union};
use crate::model::backend::graph::Arg;

impl Lowerer<'_> {
    pub(super) fn entries(&self, inputs: &[NamedArgument], prefix: &str) -> Result<Vec<(String, Arg)>, String> {
        // Python's own operators name no arguments.
        let named = |(place, input): (usize, &NamedArgument)| {
            let name = if input.name.is_empty() { place.to_string() } else { input.name.clone() };
            Ok((name, self.argument(&input.arg, prefix)?))
        };
        inputs.iter().enumerate().map(named).collect()
    }

    fn value(&self, name: &str, prefix: &str) -> Result<Arg, String> {
        let found = self.values.get(&format!("{prefix}{name}"));
        found.map(|slot| Arg::Slot(*slot)).ok_or_else(|| format!("reads `{name}`, which no node before it computes"))
    }

    pub(super) fn argument(&self, argument: &Json, prefix: &str) -> Result<Arg, String> {
        let Some((kind, content)) = union(argument) else { return Ok(Arg::None) };
        let unknown = || format!("has an argument of the kind `{kind}` that cannot be read");
        let list = |read: &dyn Fn(&Json) -> Result<Arg, String>| {
            content.as_array().ok_or_else(unknown)?.iter().map(read).collect::<Result<Vec<_>, _>>().map(Arg::List)
        };
        match kind {
            "as_none" => Ok(Arg::None),
            "as_tensor" => self.value(name(content).ok_or_else(unknown)?, prefix),
            "as_tensors" => list(&|item| self.value(name(item).ok_or_else(unknown)?, prefix)),
            "as_optional_tensors" | "as_optional_tensor" if content.is_array() => {
                list(&|item| self.argument(item, prefix))
            }
            "as_optional_tensor" => self.argument(content, prefix),
            "as_int" => content.as_i64().map(Arg::Int).ok_or_else(unknown),
            "as_ints" => list(&|item| item.as_i64().map(Arg::Int).ok_or_else(unknown)),
            "as_float" => real(content).map(Arg::Float).ok_or_else(unknown),
            "as_floats" => list(&|item| real(item).map(Arg::Float).ok_or_else(unknown)),
            "as_bool" => content.as_bool().map(Arg::Bool).ok_or_else(unknown),
            "as_bools" => list(&|item| item.as_bool().map(Arg::Bool).ok_or_else(unknown)),
            "as_string" | "as_operator" => content.as_str().map(|text| Arg::Text(text.to_owned())).ok_or_else(unknown),
            "as_strings" => list(&|item| item.as_str().map(|text| Arg::Text(text.to_owned())).ok_or_else(unknown)),
            "as_sym_int" | "as_sym_bool" | "as_sym_float" => self.symbol(content, prefix).ok_or_else(unknown)?,
            "as_sym_ints" | "as_sym_bools" | "as_sym_floats" => {
                list(&|item| self.symbol(item, prefix).ok_or_else(unknown)?)
            }
            "as_scalar_type" => content
                .as_u64()
                .and_then(super::tensors::kind)
                .map(Arg::Kind)
                .ok_or_else(|| format!("asks for a kind of number ({content}) that is not supported")),
            "as_memory_format" | "as_layout" | "as_device" => Ok(Arg::Text(content.to_string())),
            _ => Err(unknown()),
        }
    }

    /// A number that is fixed, or that a node computes.
    fn symbol(&self, content: &Json, prefix: &str) -> Option<Result<Arg, String>> {
        if let Some(name) = content.get("as_name").and_then(Json::as_str) {
            return Some(self.value(name, prefix));
        }
        let number = fixed(content).map(Arg::Int);
        let number = number.or_else(|| content.get("as_bool")?.as_bool().map(Arg::Bool));
        number.or_else(|| content.get("as_float").and_then(real).map(Arg::Float)).map(Ok)
    }
}

/// A real number; those that JSON does not have are words.
fn real(value: &Json) -> Option<f64> {
    match value {
        Json::String(word) => match word.as_str() {
            "Infinity" | "inf" => Some(f64::INFINITY),
            "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
            "NaN" | "nan" => Some(f64::NAN),
            _ => None,
        },
        value => value.as_f64(),
    }
}
