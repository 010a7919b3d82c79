//! What a graph does to its images before the network begins: normalization and resizing, which would come on top of the suite's own.

use super::builder::Program;
use super::value::Step;

/// Operators of preprocessing, without their overloads; of `torch.export` and of ONNX.
const PREPARES: [&str; 12] = [
    "sub",
    "rsub",
    "add",
    "div",
    "mul",
    "resize",
    "upsample",
    "upsample_nearest2d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
];

/// Operators between them that change no value.
const BETWEEN: [&str; 6] = ["cast", "identity", "to", "_to_copy", "clone", "contiguous"];

/// A note, if the graph begins with preprocessing: operators on the images and constants alone, one after another.
pub fn note(program: &Program) -> Option<String> {
    let mut value = program.input;
    let mut found: Vec<&str> = Vec::new();
    while let [step] = program.steps.iter().filter(|step| step.reads.contains(&value)).collect::<Vec<&Step>>()[..] {
        let fixed = step.reads.iter().all(|slot| *slot == value || program.constants[slot.0].is_some());
        let name = step.operator.split('.').next().unwrap_or_default();
        let word = name.to_lowercase();
        let ([output], true) = (step.writes.as_slice(), fixed) else { break };
        if PREPARES.contains(&word.as_str()) {
            found.push(name);
        } else if !BETWEEN.contains(&word.as_str()) {
            break;
        }
        value = *output;
    }
    let begins = "which looks like preprocessing: if that is the normalization, give mean 0 and std 1 in the suite";
    (!found.is_empty()).then(|| format!("its graph begins with {}, {begins}", found.join(", ")))
}
