//! What a program takes and returns: which inputs are weights, which is the images, and where the logits are.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schema::{ExportedProgram, name, union};
use super::tensors::kind;
use crate::model::backend::graph::{self, Input, both};

/// Inputs and outputs by the names of values.
pub struct Signature {
    /// Values that are tensors of the archive, by the values' names.
    pub stored: BTreeMap<String, StoredInput>,
    /// The images.
    pub images: String,
    /// The logits.
    pub logits: String,
}

/// An input that is a tensor of the archive.
pub struct StoredInput {
    /// The tensor's name.
    pub tensor: String,
    /// Whether it is a parameter, and not a buffer or a constant.
    pub parameter: bool,
}

/// How to export with any number of images.
pub const EXPORT: &str = "export it with torch.export.export(model.eval(), (pixels,), \
                     dynamic_shapes=({0: torch.export.Dim(\"batch\")},)), where `pixels` has two or more images";

impl Signature {
    /// Checks that the program takes images of `image` (channels, rows, columns), any number at a time, and nothing else.
    ///
    /// # Errors
    /// What else it takes or returns, and what to change.
    pub fn read(program: &ExportedProgram, image: [i64; 3]) -> Result<Self, String> {
        let specs = &program.graph_module.signature;
        let (mut stored, mut inputs) = (BTreeMap::new(), Vec::new());
        for spec in &specs.input_specs {
            let Some((kind, spec)) = union(spec) else { continue };
            let value = spec.get("arg").and_then(name).map(str::to_owned);
            let named = ["parameter_name", "buffer_name", "tensor_constant_name"];
            let tensor = named.iter().find_map(|key| spec.get(key)?.as_str());
            match (kind, value, tensor) {
                ("parameter" | "buffer" | "tensor_constant", Some(value), Some(tensor)) => {
                    let parameter = kind == "parameter";
                    stored.insert(value, StoredInput { tensor: tensor.to_owned(), parameter });
                }
                // The export has put its value where it is used.
                ("constant_input", ..) => {}
                ("user_input", ..) => inputs.push(spec.get("arg").and_then(union)),
                (other, ..) => return Err(format!("it takes an input of the kind `{other}`, which is not supported")),
            }
        }
        let tensors: Vec<&str> = inputs
            .iter()
            .flatten()
            .filter(|(kind, _)| *kind == "as_tensor")
            .filter_map(|(_, tensor)| name(tensor))
            .collect();
        let [images] = tensors[..] else {
            return Err(match tensors[..] {
                [] => "it takes no tensor; expected images [N, C, H, W]".to_owned(),
                _ => format!(
                    "it takes {} tensors ({}); wrap it in a module whose forward takes images alone",
                    tensors.len(),
                    tensors.join(", ")
                ),
            });
        };
        let (_, logits) = both(check_images(program, images, image), logits(program))?;
        Ok(Signature { stored, images: images.to_owned(), logits })
    }
}

/// Channels, rows and columns of the first tensor that the program takes, each where it is fixed; none if it takes no images.
pub fn image(program: &ExportedProgram) -> Option<[Option<i64>; 3]> {
    let inputs = program.graph_module.signature.input_specs.iter().filter_map(union);
    let mut inputs = inputs.filter(|(kind, _)| *kind == "user_input").filter_map(|(_, spec)| union(spec.get("arg")?));
    let images = inputs.find_map(|(kind, tensor)| name(tensor).filter(|_| kind == "as_tensor"))?;
    graph::image(&program.graph_module.graph.tensor_values.get(images)?.shape())
}

/// Checks kind and shape of the images.
fn check_images(program: &ExportedProgram, images: &str, image: [i64; 3]) -> Result<(), String> {
    let Some(meta) = program.graph_module.graph.tensor_values.get(images) else {
        return Err(format!("nothing tells the shape of its input `{images}`"));
    };
    let input = Input { name: images, kind: kind(meta.dtype), shape: Some(meta.shape()), any_number: EXPORT };
    input.check(image)
}

/// The output that holds the logits.
fn logits(program: &ExportedProgram) -> Result<String, String> {
    let outputs: Vec<Option<&str>> = program
        .graph_module
        .signature
        .output_specs
        .iter()
        .filter_map(union)
        .filter(|(kind, _)| *kind == "user_output")
        .map(|(_, spec)| match spec.get("arg").and_then(union) {
            Some(("as_tensor", tensor)) => name(tensor),
            _ => None,
        })
        .collect();
    let tensors: Vec<&str> = outputs.iter().copied().flatten().collect();
    if let [only] = tensors[..] {
        return Ok(only.to_owned());
    }
    let keys = keys(program).unwrap_or_default();
    // Where a key names a nested structure, keys and outputs do not pair.
    let place = keys.iter().position(|key| key == "logits").filter(|_| keys.len() == outputs.len());
    if let Some(logits) = place.and_then(|place| outputs[place]) {
        return Ok(logits.to_owned());
    }
    let found =
        if keys.is_empty() { "a tuple or list".to_owned() } else { format!("a structure with {}", keys.join(", ")) };
    Err(format!(
        "it returns {} tensors, {found}; expected logits [N, classes], or a dictionary with `logits`: wrap it in a module whose forward \
         returns the logits alone",
        tensors.len()
    ))
}

/// The keys of a dictionary or the fields of a structure that the program returns.
fn keys(program: &ExportedProgram) -> Option<Vec<String>> {
    let signature = program.graph_module.module_call_graph.first()?.get("signature")?;
    let spec: Value = serde_json::from_str(signature.get("out_spec")?.as_str()?).ok()?;
    let context = spec.get(1)?.get("context")?.as_str()?;
    let context: Value = serde_json::from_str(context).ok()?;
    let list = match &context {
        Value::Array(items) if items.iter().all(Value::is_string) => items,
        // Data classes: [fields, fields that are none].
        Value::Array(items) => items.first()?.as_array()?,
        _ => return None,
    };
    Some(list.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect())
}
