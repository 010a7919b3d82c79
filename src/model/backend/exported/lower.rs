//! Lowers the nodes of an exported program to steps.

use std::collections::BTreeMap;

use super::schema::{Graph, Node, TensorMeta, name, union};
use crate::model::backend::graph::{Aliases, Arg, Builder, Kernel, Lower, Problems, Slot, Value, line_of_code, ops};

/// Values are named in full: those of a graph inside another have the inner graph's name before their own.
pub struct Lowerer<'a> {
    pub(super) builder: Builder,
    /// The slots of values as they are now: writing into a tensor changes them.
    pub(super) values: BTreeMap<String, Slot>,
    /// The slots of values as they were made.
    pub(super) names: BTreeMap<String, Slot>,
    pub(super) aliases: Aliases,
    /// Nodes that made views, with the prefix of their values, to make them again.
    pub(super) nodes: Vec<(&'a Node, String)>,
    /// What the file says of the values of the graph at hand.
    pub(super) metas: &'a BTreeMap<String, TensorMeta>,
    pub(super) problems: Problems,
}

/// Operators on graphs, which choose at run time what is computed.
const CONTROL_FLOW: &[&str] = &["cond", "while_loop", "scan", "map_impl", "map", "associative_scan", "invoke_subgraph"];

impl<'a> Lowerer<'a> {
    /// Nothing lowered yet of `graph`.
    pub(super) fn new(builder: Builder, graph: &'a Graph) -> Self {
        Lowerer {
            builder,
            values: BTreeMap::new(),
            names: BTreeMap::new(),
            aliases: Aliases::default(),
            nodes: Vec::new(),
            metas: &graph.tensor_values,
            problems: Problems::default(),
        }
    }

    /// Lowers all nodes of a graph, whose values get names that begin with `prefix`.
    pub(super) fn graph(&mut self, graph: &'a Graph, prefix: &str) {
        let outer = std::mem::replace(&mut self.metas, &graph.tensor_values);
        for node in &graph.nodes {
            // The output of an operator on graphs is named after what takes it out of a list.
            let higher = node.name.as_deref().filter(|_| node.operator().starts_with("higher_order."));
            let name = higher.or_else(|| node.writes().0.first().copied());
            let label = name.map_or_else(|| node.target.clone(), |name| format!("{prefix}{name}"));
            if let Err(problem) = self.node(node, prefix, &label) {
                self.problems.add_at(problem, &label, line(node));
                // What reads its outputs has no problem of its own.
                for name in node.writes().0 {
                    let slot = self.builder.slot();
                    self.values.insert(format!("{prefix}{name}"), slot);
                }
            }
        }
        self.metas = outer;
    }

    pub(super) fn node(&mut self, node: &'a Node, prefix: &str, label: &str) -> Result<(), String> {
        let operator = node.operator();
        if ops::is_check(operator) {
            return Ok(());
        }
        if let Some(higher) = operator.strip_prefix("higher_order.") {
            return self.inner(node, higher, prefix, label);
        }
        if operator.starts_with("aten.as_strided.") && !self.contiguous(node) {
            return Err(format!(
                "operator `{operator}` reads memory as it lay at the export; use `unfold` or `reshape`"
            ));
        }
        if let Some(lower) = ops::find(operator) {
            let slots = self.lower(node, lower, prefix, label)?;
            return self.define(node, prefix, slots);
        }
        match pure(operator).and_then(|twin| ops::find(&twin)) {
            Some(lower) => self.write(node, lower, prefix, label),
            None if ops::why_not(operator).is_some() => {
                Err(format!("operator `{operator}` {}", ops::why_not(operator).unwrap_or_default()))
            }
            None if operator.starts_with("aten.") || operator.starts_with("_operator.") => Err(format!(
                "operator `{operator}` is not supported; `exported = exported.run_decompositions({{}})` before saving may do without it"
            )),
            None => Err(format!(
                "`{operator}` is an operator of your own or of a library; write it in PyTorch's before the export"
            )),
        }
    }

    /// Whether the values of the first argument lay one after another at the export.
    fn contiguous(&self, node: &Node) -> bool {
        let source = node.inputs.first().and_then(|input| union(&input.arg)).and_then(|(_, tensor)| name(tensor));
        source.and_then(|source| self.metas.get(source)).is_some_and(TensorMeta::contiguous)
    }

    /// Lowers a node and gives the slots of its outputs.
    pub(super) fn lower(
        &mut self,
        node: &'a Node,
        lower: Lower,
        prefix: &str,
        label: &str,
    ) -> Result<Vec<Slot>, String> {
        let operator = node.operator();
        let (writes, apart) = node.writes();
        let entries = self.entries(&node.inputs, prefix)?;
        self.builder.at(label, operator.trim_start_matches("aten."), line(node));
        let slots: Vec<Slot> = writes.iter().map(|_| self.builder.slot()).collect();
        self.builder
            .node(lower, entries, slots.clone(), apart)
            .map_err(|problem| format!("operator `{operator}` {problem}"))?;
        Ok(slots)
    }

    /// A graph inside the graph: one that is computed under other settings is put in its place, one that may not be computed refused.
    fn inner(&mut self, node: &'a Node, higher: &str, prefix: &str, label: &str) -> Result<(), String> {
        if CONTROL_FLOW.contains(&higher) {
            return Err(format!(
                "`{higher}` chooses at run time what is computed; write the model without it, or export one branch"
            ));
        }
        if !["wrap_with_set_grad_enabled", "wrap_with_autocast"].contains(&higher) {
            return Err(format!("the operator on graphs `{higher}` is not supported"));
        }
        let place = node.inputs.iter().position(|input| union(&input.arg).is_some_and(|(kind, _)| kind == "as_graph"));
        let place = place.ok_or("has no graph")?;
        let graph: &'a Graph = node.inner.as_deref().ok_or("has a graph that cannot be read")?;
        let within = format!("{label}.");
        for (input, operand) in graph.inputs.iter().zip(&node.inputs[place + 1..]) {
            let name = union(input).and_then(|(_, value)| name(value).or_else(|| value.get("as_name")?.as_str()));
            if let (Some(name), Arg::Slot(slot)) = (name, self.argument(&operand.arg, prefix)?) {
                self.values.insert(format!("{within}{name}"), slot);
            }
        }
        self.graph(graph, &within);
        let detached = higher == "wrap_with_set_grad_enabled"
            && node.inputs.first().and_then(|input| input.arg.get("as_bool")?.as_bool()) == Some(false);
        for (output, name) in graph.outputs.iter().zip(node.writes().0) {
            let Arg::Slot(slot) = self.argument(output, &within)? else { continue };
            let made = if detached { self.detached(slot)? } else { slot };
            self.values.insert(format!("{prefix}{name}"), made);
        }
        Ok(())
    }

    fn detached(&mut self, slot: Slot) -> Result<Slot, String> {
        let kernel: Kernel = Box::new(move |frame| match frame.value(slot)? {
            Value::Tensor(tensor) => tensor.f_detach().map(Value::Tensor),
            other => Ok(other.share()),
        });
        Ok(self.builder.push("detach", kernel, vec![slot]))
    }
}

/// The line of code that a node comes from.
fn line(node: &Node) -> Option<String> {
    line_of_code(node.metadata.get("stack_trace")?)
}

/// The operator that computes what this one writes into its first argument: `aten.relu.default` for `aten.relu_.default`.
fn pure(operator: &str) -> Option<String> {
    let (name, overload) = operator.strip_prefix("aten.")?.split_once('.')?;
    let twin = name.strip_suffix('_').filter(|twin| !twin.ends_with('_'))?;
    Some(format!("aten.{twin}.{overload}"))
}
