//! What an ONNX model takes and returns, and what of its graph is preprocessing.

use std::collections::BTreeSet;

use super::proto::{Graph, Node, ValueInfo};
use super::tensors::kind;

/// The input and output that matter.
pub struct Signature {
    /// The images.
    pub images: String,
    /// The logits.
    pub logits: String,
}

/// How to export with any number of images.
const BATCH: &str = "export it with torch.onnx.export(model, (pixels,), path, dynamo=True, \
                     dynamic_shapes=({0: torch.export.Dim(\"batch\")},)), where `pixels` has two or more images";

impl Signature {
    /// Checks that the model takes images of `image` (channels, rows, columns), any number at a time, and returns logits.
    ///
    /// # Errors
    /// What else it takes or returns, and what to change.
    pub fn read(graph: &Graph, image: [i64; 3]) -> Result<Self, String> {
        let stored: BTreeSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs: Vec<&ValueInfo> =
            graph.inputs.iter().filter(|input| !stored.contains(input.name.as_str())).collect();
        let names =
            |values: &[&ValueInfo]| values.iter().map(|value| value.name.clone()).collect::<Vec<_>>().join(", ");
        let [images] = inputs[..] else {
            return Err(format!(
                "it takes {} inputs ({}); expected images [N, C, H, W] alone: export a module whose forward takes nothing else",
                inputs.len(),
                names(&inputs)
            ));
        };
        check_images(images, image)?;
        let outputs: Vec<&ValueInfo> = graph.outputs.iter().collect();
        let logits = match outputs[..] {
            [only] => only,
            _ => *outputs.iter().find(|output| output.name == "logits").ok_or_else(|| {
                format!(
                    "it returns {} outputs ({}), as detectors do; expected logits [N, classes] alone, or an output `logits`: export a module whose \
                     forward returns the logits alone, or name them in `output_names`",
                    outputs.len(),
                    names(&outputs)
                )
            })?,
        };
        Ok(Signature { images: images.name.clone(), logits: logits.name.clone() })
    }
}

/// Channels, rows and columns of the first input, each where it is fixed; none if it takes no images.
pub fn image(graph: &Graph) -> Option<[Option<i64>; 3]> {
    let stored: BTreeSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
    let input = graph.inputs.iter().find(|input| !stored.contains(input.name.as_str()))?;
    input.shape.as_ref()?.get(1..)?.try_into().ok()
}

fn check_images(images: &ValueInfo, [channels, height, width]: [i64; 3]) -> Result<(), String> {
    let name = &images.name;
    match kind(images.kind) {
        Some(tch::Kind::Float | tch::Kind::Half | tch::Kind::BFloat16) => {}
        found => {
            let found = found.map_or("unknown".to_owned(), |kind| format!("{kind:?}"));
            return Err(format!("its input `{name}` has values of kind {found}; expected floating-point pixels"));
        }
    }
    let Some(shape) = &images.shape else { return Ok(()) };
    let text: Vec<String> = shape.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string())).collect();
    let [batch, sizes @ ..] = &shape[..] else { return Err(format!("its input `{name}` is no tensor of images")) };
    if sizes.len() != 3 {
        return Err(format!("its input `{name}` has shape [{}]; expected images [N, C, H, W]", text.join(", ")));
    }
    if sizes[2] == Some(channels) && sizes[0] != Some(channels) {
        return Err(format!("its input `{name}` has the channels last; export it for images [N, C, H, W]"));
    }
    if let Some(batch) = batch {
        return Err(format!("it takes exactly {batch} images at a time; {BATCH}"));
    }
    if !sizes.iter().zip([channels, height, width]).all(|(size, side)| size.is_none_or(|size| size == side)) {
        return Err(format!(
            "it was exported for images [{}] (channels, rows, columns), these are [{channels}, {height}, {width}]; crop or resize the \
             images to that size, or export it for this one",
            text[1..].join(", ")
        ));
    }
    Ok(())
}

/// A note, if the graph begins with preprocessing of its own: it would come on top of the suite's `normalize`.
pub fn preprocessing(graph: &Graph, signature: &Signature) -> Vec<String> {
    const PREPARES: [&str; 7] = ["Sub", "Add", "Div", "Mul", "Resize", "Upsample", "Cast"];
    let stored: BTreeSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut constants: BTreeSet<&str> = stored;
    constants.extend(
        graph
            .nodes
            .iter()
            .filter(|node| node.operator == "Constant")
            .flat_map(|node| node.outputs.iter().map(String::as_str)),
    );
    let mut value = signature.images.as_str();
    let mut found: Vec<&str> = Vec::new();
    while let [node] =
        graph.nodes.iter().filter(|node| node.inputs.iter().any(|input| input == value)).collect::<Vec<&Node>>()[..]
    {
        let others = node.inputs.iter().filter(|input| *input != value && !input.is_empty());
        let fixed = others.clone().all(|input| constants.contains(input.as_str()));
        if !PREPARES.contains(&node.operator.as_str()) || !fixed {
            break;
        }
        if node.operator != "Cast" {
            found.push(&node.operator);
        }
        match node.outputs.first() {
            Some(output) => value = output,
            None => break,
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "its graph begins with {}, which looks like preprocessing: if that is the normalization, give mean 0 and std 1 in the suite",
        found.join(", ")
    )]
}
