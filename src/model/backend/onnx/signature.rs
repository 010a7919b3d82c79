//! What an ONNX model takes and returns.

use std::collections::BTreeSet;

use super::proto::{Graph, ValueInfo};
use super::tensors::kind;
use crate::model::backend::graph::{self, Input, both};

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
        let (name, kind, shape) = (&images.name, kind(images.kind), images.shape.clone());
        let taken = Input { name, kind, shape, any_number: BATCH }.check(image);
        let outputs: Vec<&ValueInfo> = graph.outputs.iter().collect();
        let logits = match outputs[..] {
            [only] => Ok(only),
            _ => outputs.iter().copied().find(|output| output.name == "logits").ok_or_else(|| {
                format!(
                    "it returns {} outputs ({}), as detectors do; expected logits [N, classes] alone, or an output `logits`: export a module whose \
                     forward returns the logits alone, or name them in `output_names`",
                    outputs.len(),
                    names(&outputs)
                )
            }),
        };
        let (_, logits) = both(taken, logits)?;
        Ok(Signature { images: images.name.clone(), logits: logits.name.clone() })
    }
}

/// Channels, rows and columns of the first input, each where it is fixed; none if it takes no images.
pub fn image(graph: &Graph) -> Option<[Option<i64>; 3]> {
    let stored: BTreeSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
    let input = graph.inputs.iter().find(|input| !stored.contains(input.name.as_str()))?;
    graph::image(input.shape.as_ref()?)
}
