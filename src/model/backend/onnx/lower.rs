//! Lowers the nodes of an ONNX graph to steps.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::ops;
use super::proto::{Attribute, Model};
use super::signature::Signature;
use super::tensors::{ExternalFiles, tensor};
use crate::model::Compute;
use crate::model::backend::graph::{Arg, Builder, Lowering, Problems, Slot, Source, Value, line_of_code};

/// A graph with its tensors.
pub struct Program {
    opset: i64,
    images: String,
    logits: String,
    tensors: BTreeMap<String, Tensor>,
    nodes: Vec<Node>,
}

/// A node whose attributes are read.
struct Node {
    label: String,
    /// The line of code that made it, where the exporter has noted it.
    line: Option<String>,
    operator: String,
    domain: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<(String, Setting)>,
}

/// An attribute: an argument, or a tensor.
enum Setting {
    Arg(Arg),
    Tensor(Tensor),
}

impl Program {
    /// Reads tensors and attributes.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub fn read(
        model: &Model,
        opset: i64,
        signature: &Signature,
        external: &mut ExternalFiles,
    ) -> Result<Self, String> {
        let mut tensors = BTreeMap::new();
        for proto in &model.graph.initializers {
            tensors.insert(proto.name.clone(), tensor(proto, external)?);
        }
        let mut nodes = Vec::with_capacity(model.graph.nodes.len());
        for (place, node) in model.graph.nodes.iter().enumerate() {
            let label = match (node.name.as_str(), node.outputs.first()) {
                ("", Some(output)) => output.clone(),
                ("", None) => format!("number {place}"),
                (name, _) => name.to_owned(),
            };
            let mut attributes = Vec::new();
            for (name, attribute) in &node.attributes {
                attributes.push((
                    name.clone(),
                    setting(attribute, external).map_err(|problem| format!("node `{label}`: {problem}"))?,
                ));
            }
            let (operator, domain) = (node.operator.clone(), node.domain.clone());
            let line = node.notes.get("pkg.torch.onnx.stack_trace").and_then(|trace| line_of_code(trace));
            nodes.push(Node {
                label,
                line,
                operator,
                domain,
                inputs: node.inputs.clone(),
                outputs: node.outputs.clone(),
                attributes,
            });
        }
        let (images, logits) = (signature.images.clone(), signature.logits.clone());
        Ok(Program { opset, images, logits, tensors, nodes })
    }

    /// Number of floating-point values of its tensors.
    pub fn values(&self) -> u64 {
        self.tensors.values().filter(|tensor| tensor.is_floating_point()).map(|tensor| tensor.numel() as u64).sum()
    }
}

fn setting(attribute: &Attribute, external: &mut ExternalFiles) -> Result<Setting, String> {
    Ok(Setting::Arg(match attribute {
        Attribute::Float(value) => Arg::Float(*value),
        Attribute::Int(value) => Arg::Int(*value),
        Attribute::Text(text) => Arg::Text(text.clone()),
        Attribute::Floats(values) => Arg::List(values.iter().map(|&value| Arg::Float(value)).collect()),
        Attribute::Ints(values) => Arg::List(values.iter().map(|&value| Arg::Int(value)).collect()),
        Attribute::Texts(texts) => Arg::List(texts.iter().map(|text| Arg::Text(text.clone())).collect()),
        Attribute::Graph => Arg::Text("a graph".to_owned()),
        Attribute::Tensor(proto) => return tensor(proto, external).map(Setting::Tensor),
    }))
}

/// Operators of ONNX Runtime, which its optimizer writes, that are known.
const CONTRIBUTED: &[&str] = &["Gelu", "FastGelu", "BiasGelu", "QuickGelu"];

impl Source for Program {
    fn lower(&self, compute: Compute) -> Result<Lowering, String> {
        let mut builder = Builder::new(compute);
        let (mut names, mut values, mut problems) = (BTreeMap::new(), BTreeMap::new(), Problems::default());
        let input = builder.slot();
        for (name, tensor) in &self.tensors {
            values.insert(name.clone(), builder.with(constant(tensor, compute)));
        }
        values.insert(self.images.clone(), input);
        for node in &self.nodes {
            let slots: Vec<Slot> = node.outputs.iter().map(|_| builder.slot()).collect();
            if let Err(problem) = self.node(node, &mut builder, &values, &slots) {
                problems.add_at(problem, &node.label, node.line.clone());
            }
            for (name, slot) in node.outputs.iter().zip(slots).filter(|(name, _)| !name.is_empty()) {
                names.insert(name.clone(), slot);
                if values.insert(name.clone(), slot).is_some() {
                    problems
                        .add(format!("writes `{name}`, which is there already: a value has one source"), &node.label);
                }
            }
        }
        if let Some(problem) = problems.text() {
            return Err(problem);
        }
        let logits = values.get(&self.logits).copied();
        let logits = logits.ok_or_else(|| format!("no node computes its output `{}`", self.logits))?;
        Ok(Lowering { program: builder.program(input, logits), names })
    }
}

/// Whole numbers stay on the CPU, where sizes are needed.
fn constant(tensor: &Tensor, compute: Compute) -> Value {
    Value::Tensor(if tensor.is_floating_point() { tensor.to_device(compute.device) } else { tensor.shallow_clone() })
}

impl Program {
    /// What is wrong where a node reads `name`, which nothing before it gives.
    fn unknown(&self, name: &str) -> String {
        match self.nodes.iter().find(|node| node.outputs.iter().any(|output| output == name)) {
            Some(node) => format!(
                "reads `{name}`, which node `{}` computes only after it: the nodes are out of order or go in a circle",
                node.label
            ),
            None => format!(
                "reads `{name}`, which no node computes and no initializer holds: the file is incomplete, export it again"
            ),
        }
    }

    fn node(
        &self,
        node: &Node,
        builder: &mut Builder,
        values: &BTreeMap<String, Slot>,
        slots: &[Slot],
    ) -> Result<(), String> {
        let Node { label, operator, domain, line, .. } = node;
        builder.at(label, operator, line.clone());
        if operator == "Constant" && domain.is_empty() {
            return constant_node(node, builder, slots);
        }
        let lower = match ops::find(operator) {
            Some(lower)
                if domain.is_empty() || domain == "com.microsoft" && CONTRIBUTED.contains(&operator.as_str()) =>
            {
                lower
            }
            _ => {
                return Err(match ops::why_not(operator) {
                    Some(why) => format!("operator `{operator}` {why}"),
                    None if domain.is_empty() => format!("operator `{operator}` is not supported"),
                    None if domain == "com.microsoft" => format!(
                        "operator `{operator}` belongs to `{domain}`: ONNX Runtime's optimizer wrote it; use the file before it was optimized"
                    ),
                    None => format!("operator `{operator}` belongs to `{domain}`, whose operators are not supported"),
                });
            }
        };
        let mut entries = Vec::new();
        for (place, input) in node.inputs.iter().enumerate() {
            let arg = match (input.as_str(), values.get(input)) {
                ("", _) => Arg::None,
                (_, Some(slot)) => Arg::Slot(*slot),
                (name, None) => return Err(self.unknown(name)),
            };
            entries.push((place.to_string(), arg));
        }
        for (name, setting) in &node.attributes {
            let arg = match setting {
                Setting::Arg(arg) => arg.clone(),
                Setting::Tensor(tensor) => Arg::Slot(builder.with(constant(tensor, builder.compute))),
            };
            entries.push((name.clone(), arg));
        }
        let named = node.outputs.iter().rposition(|output| !output.is_empty()).map_or(0, |last| last + 1);
        entries.push(("~opset".to_owned(), Arg::Int(self.opset)));
        entries.push(("~outputs".to_owned(), Arg::Int(named as i64)));
        let apart = named > 1 || ["Split", "TopK", "Dropout", "LSTM", "GRU"].contains(&operator.as_str());
        let problem = |problem: String| format!("operator `{operator}` {problem}");
        builder.node(lower, entries, slots[..named].to_vec(), apart).map_err(problem)
    }
}

/// The value of a `Constant`.
fn constant_node(node: &Node, builder: &mut Builder, slots: &[Slot]) -> Result<(), String> {
    let (Some((_, setting)), Some(slot)) = (node.attributes.first(), slots.first()) else {
        return Err("operator `Constant` has no value".to_owned());
    };
    let number = |arg: &Arg| match arg {
        Arg::Float(value) => Some(*value),
        Arg::Int(value) => Some(*value as f64),
        _ => None,
    };
    let tensor = match setting {
        Setting::Tensor(tensor) => tensor.shallow_clone(),
        Setting::Arg(Arg::Int(value)) => Tensor::from(*value),
        Setting::Arg(Arg::Float(value)) => Tensor::from(*value as f32),
        Setting::Arg(Arg::List(list)) => {
            let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
            let integral = list.iter().all(|arg| matches!(arg, Arg::Int(_)));
            let numbers = numbers.ok_or("operator `Constant` has a value that is no number")?;
            Tensor::from_slice(&numbers).to_kind(if integral { Kind::Int64 } else { Kind::Float })
        }
        Setting::Arg(_) => return Err("operator `Constant` has a value that is no number".to_owned()),
    };
    let value = constant(&tensor, builder.compute);
    builder.set(*slot, value);
    Ok(())
}
