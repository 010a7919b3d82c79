//! Lowers the nodes of an exported program to steps.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tch::{Kind, Tensor};

use super::schema::{Graph, NamedArgument, Node, TensorMeta, fixed, name, union};
use super::signature::Signature;
use super::tensors::{Stored, kind};
use crate::model::Compute;
use crate::model::backend::graph::{
    Aliases, Arg, Builder, Lower, Lowering, Problems, Slot, Source, Value, View, one, ops,
};

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
        let read: std::collections::BTreeSet<&str> = graph.nodes.iter().flat_map(Node::reads).collect();
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
        let mut lowerer = Lowerer {
            builder: Builder::new(compute),
            values: BTreeMap::new(),
            names: BTreeMap::new(),
            aliases: Aliases::default(),
            nodes: Vec::new(),
            metas: &self.graph.tensor_values,
            problems: Problems::default(),
        };
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

/// Values are named in full: those of a graph inside another have the inner graph's name before their own.
struct Lowerer<'a> {
    builder: Builder,
    /// The slots of values as they are now: writing into a tensor changes them.
    values: BTreeMap<String, Slot>,
    /// The slots of values as they were made.
    names: BTreeMap<String, Slot>,
    aliases: Aliases,
    /// Nodes that made views, with the prefix of their values, to make them again.
    nodes: Vec<(&'a Node, String)>,
    /// What the file says of the values of the graph at hand.
    metas: &'a BTreeMap<String, TensorMeta>,
    problems: Problems,
}

/// Whether two values share memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    None,
    Certain,
    /// Only if the memory allows it.
    Uncertain,
}

/// Operators on graphs, which choose at run time what is computed.
const CONTROL_FLOW: &[&str] = &["cond", "while_loop", "scan", "map_impl", "map", "associative_scan", "invoke_subgraph"];

impl<'a> Lowerer<'a> {
    fn graph(&mut self, graph: &'a Graph, prefix: &str) {
        let outer = std::mem::replace(&mut self.metas, &graph.tensor_values);
        for node in &graph.nodes {
            let label = node.writes().0.first().map_or_else(|| node.target.clone(), |name| format!("{prefix}{name}"));
            if let Err(problem) = self.node(node, prefix, &label) {
                self.problems.add(problem, &label);
                // What reads its outputs has no problem of its own.
                for name in node.writes().0 {
                    let slot = self.builder.slot();
                    self.values.insert(format!("{prefix}{name}"), slot);
                }
            }
        }
        self.metas = outer;
    }

    /// Whether the node's output shares the memory of `source`, its first argument.
    fn sharing(&self, node: &Node, source: &str) -> Sharing {
        let operator = node.operator();
        if !ops::is_view(operator) {
            return Sharing::None;
        }
        let meta = |name: &str| self.metas.get(name);
        let contiguous = meta(source).map(TensorMeta::contiguous);
        let kinds = (meta(source), node.writes().0.first().and_then(|name| meta(name)));
        match operator.split('.').nth(1) {
            Some("to" | "type_as") => match kinds {
                (Some(before), Some(after)) if before.dtype == after.dtype => Sharing::Certain,
                (Some(_), Some(_)) => Sharing::None,
                _ => Sharing::Uncertain,
            },
            Some("contiguous") if contiguous == Some(false) => Sharing::None,
            Some("contiguous" | "reshape" | "flatten") if contiguous != Some(true) => Sharing::Uncertain,
            _ => Sharing::Certain,
        }
    }

    fn node(&mut self, node: &'a Node, prefix: &str, label: &str) -> Result<(), String> {
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
    fn lower(&mut self, node: &'a Node, lower: Lower, prefix: &str, label: &str) -> Result<Vec<Slot>, String> {
        let operator = node.operator();
        let (writes, apart) = node.writes();
        let entries = self.entries(&node.inputs, prefix)?;
        self.builder.at(label, operator.trim_start_matches("aten."));
        let slots: Vec<Slot> = writes.iter().map(|_| self.builder.slot()).collect();
        self.builder
            .node(lower, entries, slots.clone(), apart)
            .map_err(|problem| format!("operator `{operator}` {problem}"))?;
        Ok(slots)
    }

    /// Names the outputs of a node, and notes whose memory they share.
    fn define(&mut self, node: &'a Node, prefix: &str, slots: Vec<Slot>) -> Result<(), String> {
        let source = node.inputs.first().and_then(|input| union(&input.arg)).filter(|(kind, _)| *kind == "as_tensor");
        let source = source.and_then(|(_, tensor)| name(tensor));
        let shares = source.map_or(Sharing::None, |source| self.sharing(node, source));
        let source = source.filter(|_| shares != Sharing::None);
        let made = self.nodes.len();
        if source.is_some() {
            self.nodes.push((node, prefix.to_owned()));
        }
        for (place, (name, slot)) in node.writes().0.into_iter().zip(slots).enumerate() {
            let full = format!("{prefix}{name}");
            self.values.insert(full.clone(), slot);
            self.names.insert(full.clone(), slot);
            if let Some(source) = source {
                let uncertain = shares == Sharing::Uncertain;
                let view = View { parent: format!("{prefix}{source}"), node: Some((made, place)), uncertain };
                self.aliases.record(&full, view);
            }
        }
        Ok(())
    }

    /// A node that writes into its first argument: the value after the writing takes its place, and all views of the same memory are made
    /// again.
    fn write(&mut self, node: &'a Node, lower: Lower, prefix: &str, label: &str) -> Result<(), String> {
        let target = node.inputs.first().and_then(|input| union(&input.arg)).and_then(|(_, tensor)| name(tensor));
        let target = target.map(|name| format!("{prefix}{name}")).ok_or("writes into something that is no tensor")?;
        let slots = self.lower(node, lower, prefix, label)?;
        let [written] = slots[..] else { return Err("writes into a tensor and has several outputs".to_owned()) };
        let (root, path) = self.aliases.path(&target);
        let (root, path) = (root.to_owned(), path.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let uncertain = path.iter().find(|name| self.aliases.view(name).is_some_and(|view| view.uncertain));
        if let Some(name) = uncertain {
            return Err(format!(
                "operator `{}` writes into `{name}`, which may share its memory with `{root}` or not; \
                 `exported = exported.run_decompositions({{}})` before saving does without such operators",
                node.operator()
            ));
        }
        let resolved = if path.is_empty() { written } else { self.patched(&root, &path, written)? };
        self.values.insert(root.clone(), resolved);
        for name in self.aliases.family(&root) {
            self.make_again(&name)?;
        }
        // The output is the very tensor that was written into.
        for name in node.writes().0 {
            let full = format!("{prefix}{name}");
            self.names.insert(full.clone(), written);
            self.values.insert(full.clone(), written);
            self.aliases.record(&full, View { parent: target.clone(), node: None, uncertain: false });
        }
        Ok(())
    }

    /// A copy of `root` in which the view at the end of `path` has the values in `written`.
    fn patched(&mut self, root: &str, path: &[String], written: Slot) -> Result<Slot, String> {
        let before = self.values[root];
        let copy = one(move |frame| Ok(frame.tensor(before)?.copy()))?;
        // It also waits for what will be written, so that no copy is a constant that each pass writes into.
        let copied = self.builder.push("copy", copy, vec![before, written]);
        let mut values = BTreeMap::from([(root.to_owned(), copied)]);
        let mut last = copied;
        for name in path {
            last = self.view_of(name, &values)?;
            values.insert(name.clone(), last);
        }
        let patch = one(move |frame| {
            let mut view = frame.tensor(last)?.shallow_clone();
            let new = frame.tensor(written)?.f_to_kind(view.kind())?.f_expand(view.size(), false)?;
            view.copy_(&new);
            Ok(frame.tensor(copied)?.shallow_clone())
        })?;
        Ok(self.builder.push("patch", patch, vec![copied, last, written]))
    }

    /// The view `name` of a parent whose slot `values` has, or else of its parent as it is now.
    fn view_of(&mut self, name: &str, values: &BTreeMap<String, Slot>) -> Result<Slot, String> {
        let Some(view) = self.aliases.view(name).cloned() else { return Err(format!("`{name}` is no view")) };
        let parent = values.get(&view.parent).or_else(|| self.values.get(&view.parent)).copied();
        let parent = parent.ok_or_else(|| format!("`{}` is not computed", view.parent))?;
        let Some((node, place)) = view.node else { return Ok(parent) };
        let (node, prefix) = (self.nodes[node].0, self.nodes[node].1.clone());
        let Some(lower) = ops::find(node.operator()) else { return Err(format!("`{name}` cannot be made again")) };
        let known = self.values.insert(view.parent.clone(), parent);
        let made = self.lower(node, lower, &prefix, name);
        if let Some(known) = known {
            self.values.insert(view.parent, known);
        }
        Ok(made?[place])
    }

    fn make_again(&mut self, name: &str) -> Result<(), String> {
        let slot = self.view_of(name, &BTreeMap::new())?;
        self.values.insert(name.to_owned(), slot);
        Ok(())
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
        let kernel: crate::model::backend::graph::Kernel = Box::new(move |frame| match frame.value(slot)? {
            Value::Tensor(tensor) => tensor.f_detach().map(Value::Tensor),
            other => Ok(other.share()),
        });
        Ok(self.builder.push("detach", kernel, vec![slot]))
    }

    fn entries(&self, inputs: &[NamedArgument], prefix: &str) -> Result<Vec<(String, Arg)>, String> {
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

    fn argument(&self, argument: &Json, prefix: &str) -> Result<Arg, String> {
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
                .and_then(kind_of)
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

fn kind_of(code: u64) -> Option<Kind> {
    kind(code)
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

/// The operator that computes what this one writes into its first argument: `aten.relu.default` for `aten.relu_.default`.
fn pure(operator: &str) -> Option<String> {
    let (name, overload) = operator.strip_prefix("aten.")?.split_once('.')?;
    let twin = name.strip_suffix('_').filter(|twin| !twin.ends_with('_'))?;
    Some(format!("aten.{twin}.{overload}"))
}
