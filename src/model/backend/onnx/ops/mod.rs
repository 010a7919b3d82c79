//! ONNX's operators, one file for each group. An operator is one line of its group's registry. Inputs are named by their places, `0`,
//! `1` and so on; `~opset` is the version of the operator set, `~outputs` how many outputs the file names.

mod elementwise;
mod indexing;
mod network;
mod normalization;
mod quantization;
mod recurrent;
mod reduction;
mod resize;
mod shape;

use std::collections::HashMap;
use std::sync::LazyLock;

use tch::{Device, Kind, TchError, Tensor};

use crate::model::backend::graph::{Args, Frame, Lower, Slot, Value, refuse};

/// The groups.
const GROUPS: &[&[(&str, Lower)]] = &[
    elementwise::OPERATORS,
    indexing::OPERATORS,
    network::OPERATORS,
    normalization::OPERATORS,
    quantization::OPERATORS,
    recurrent::OPERATORS,
    reduction::OPERATORS,
    resize::OPERATORS,
    shape::OPERATORS,
];

static OPERATORS: LazyLock<HashMap<&str, Lower>> =
    LazyLock::new(|| GROUPS.iter().copied().flatten().copied().collect());

/// Lowers the operator of this name; none if it is not known.
pub fn find(name: &str) -> Option<Lower> {
    OPERATORS.get(name).copied()
}

const INTEGERS: &str = "computes in whole numbers, which have no gradients; use the model before quantization, or for attacks by scores \
                        one with `QuantizeLinear` and `DequantizeLinear` (quant_format=QuantFormat.QDQ)";

/// Why an operator that is not known cannot be used.
pub fn why_not(name: &str) -> Option<&'static str> {
    let quantized =
        name.to_lowercase().contains("quantize") || name.starts_with("QLinear") || name.ends_with("Integer");
    match name {
        "DynamicQuantizeLinear" => Some(
            "takes its steps from all images of the batch, so that an answer depends on the others; use the model before quantization",
        ),
        _ if quantized => Some(INTEGERS),
        "If" | "Loop" | "Scan" => Some("chooses at run time what is computed; export the model without it"),
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Bernoulli" | "Multinomial" => {
            Some("draws random numbers in each pass, so that no answer is certain; export the model in evaluation mode")
        }
        "Unique" | "Compress" => {
            Some("has an output whose size depends on the pixels' values; export the model without it")
        }
        "NonMaxSuppression" | "RoiAlign" | "NonZero" => {
            Some("belongs to detectors, whose answers are no logits [N, classes]; use a classifier")
        }
        _ => None,
    }
}

/// The whole numbers in a tensor.
fn integers(frame: &Frame, slot: Slot) -> Result<Vec<i64>, TchError> {
    match frame.value(slot)? {
        Value::Tensor(tensor) => {
            let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?.f_reshape([-1])?;
            Vec::<i64>::try_from(&flat)
        }
        _ => Err(refuse("expected a tensor of whole numbers")),
    }
}

/// The whole numbers in a tensor, if they are the same in every pass.
fn known(args: &Args, slot: Slot) -> Option<Vec<i64>> {
    match args.builder.constant(slot)? {
        Value::Tensor(tensor) => {
            let flat = tensor.f_to_device(Device::Cpu).ok()?.f_to_kind(Kind::Int64).ok()?.f_reshape([-1]).ok()?;
            Vec::<i64>::try_from(&flat).ok()
        }
        _ => None,
    }
}

/// Whole numbers from an attribute, or from an input as newer operator sets have them.
enum Whole {
    Fixed(Vec<i64>),
    Computed(Slot),
}

impl Whole {
    fn read(args: &mut Args, attribute: &str, input: &str) -> Result<Option<Whole>, String> {
        if let Some(fixed) = args.optional_fixed_ints(attribute)? {
            return Ok(Some(Whole::Fixed(fixed)));
        }
        let slot = args.optional(input)?;
        Ok(slot.map(|slot| known(args, slot).map_or(Whole::Computed(slot), Whole::Fixed)))
    }

    fn get(&self, frame: &Frame) -> Result<Vec<i64>, TchError> {
        match self {
            Whole::Fixed(values) => Ok(values.clone()),
            Whole::Computed(slot) => integers(frame, *slot),
        }
    }
}

/// Sizes that stay on the CPU, and tensors on the device, where one operator takes both.
fn together(a: &Tensor, b: &Tensor) -> Result<[Tensor; 2], TchError> {
    match (a.device(), b.device()) {
        (one, other) if one == other => Ok([a.shallow_clone(), b.shallow_clone()]),
        (Device::Cpu, device) => Ok([a.f_to_device(device)?, b.shallow_clone()]),
        (device, _) => Ok([a.shallow_clone(), b.f_to_device(device)?]),
    }
}
