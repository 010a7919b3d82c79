//! A program with its tensors, checked.

use std::collections::BTreeSet;

use tch::{Kind, Tensor};

use super::lower::Lowerer;
use super::schema::{Graph, Node};
use super::signature::Signature;
use super::tensors::Stored;
use crate::model::Compute;
use crate::model::backend::graph::{Builder, Lowering, Problems, Source, Value};

/// A program with its tensors.
pub struct Program {
    graph: Graph,
    signature: Signature,
    tensors: Stored,
}

impl Program {
    /// Checks that all tensors are there that the program reads, and that their values can be computed with.
    ///
    /// # Errors
    /// A tensor that is missing, or holds what no weight has.
    pub fn new(graph: Graph, signature: Signature, tensors: Stored) -> Result<Self, String> {
        let read: BTreeSet<&str> = graph.nodes.iter().flat_map(Node::reads).collect();
        let mut missing = Problems::default();
        for (value, stored) in signature.stored.iter().filter(|(value, _)| read.contains(value.as_str())) {
            let name = &stored.tensor;
            let Some(tensor) = tensors.get(name) else {
                let readers = graph.nodes.iter().filter(|node| node.reads().contains(&value.as_str()));
                for node in readers.filter_map(|node| node.writes().0.first().copied()) {
                    missing.add(
                        format!("the archive lacks tensor `{name}`: it is incomplete, copy or export it again"),
                        node,
                    );
                }
                continue;
            };
            if let Some(problem) = unusable(tensor, stored.parameter) {
                return Err(format!("tensor `{name}`, which `{value}` stands for, {problem}"));
            }
        }
        missing.text().map_or(Ok(Program { graph, signature, tensors }), Err)
    }
}

/// What makes the values of a tensor unusable. Buffers and constants may be infinite: masks of attention are.
fn unusable(tensor: &Tensor, parameter: bool) -> Option<&'static str> {
    if !tensor.is_floating_point() {
        return None;
    }
    let any = |found: Result<Tensor, tch::TchError>| {
        found.and_then(|found| found.f_any()).and_then(|any| any.f_int64_value(&[])).is_ok_and(|any| any != 0)
    };
    // A finite sum has finite parts; which parts are not is asked only then.
    let sum = tensor.f_sum(Kind::Double).and_then(|sum| sum.f_double_value(&[]));
    match sum {
        Ok(sum) if sum.is_finite() => None,
        _ if any(tensor.f_isnan()) => Some("holds NaN"),
        _ if parameter => Some("holds infinity"),
        _ => None,
    }
}

impl Source for Program {
    fn lower(&self, compute: Compute) -> Result<Lowering, String> {
        let mut lowerer = Lowerer::new(Builder::new(compute), &self.graph);
        let input = lowerer.builder.slot();
        lowerer.values.insert(self.signature.images.clone(), input);
        for (value, stored) in &self.signature.stored {
            if let Some(tensor) = self.tensors.get(&stored.tensor) {
                let slot = lowerer.builder.with(Value::Tensor(tensor.to_device(compute.device)));
                lowerer.values.insert(value.clone(), slot);
            }
        }
        lowerer.graph(&self.graph, "");
        if let Some(problem) = lowerer.problems.text() {
            return Err(problem);
        }
        let Some(logits) = lowerer.values.get(&self.signature.logits).copied() else {
            return Err(format!("no node computes its output `{}`", self.signature.logits));
        };
        Ok(Lowering { program: lowerer.builder.program(input, logits), names: lowerer.names })
    }
}
