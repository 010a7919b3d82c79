//! The names of layers: modules, where the export has noted them, and nodes and values.

use std::collections::BTreeMap;

use super::proto::{Graph, Node};
use crate::model::backend::graph::{Call, Label, Labelled, labels as of_nodes};

/// A list of words as Python writes it: `['', 'layer1', 'layer1.0']`.
fn words(text: &str) -> Vec<String> {
    let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
    inside.split(',').map(|word| word.trim().trim_matches(['\'', '"']).to_owned()).collect()
}

/// The modules that a node lies in, as `torch.onnx` notes them: path and class, the outermost first. The last name is the node's own.
fn modules(node: &Node) -> Vec<(String, String)> {
    let note = |key: &str| node.notes.get(key).map(|text| words(text)).unwrap_or_default();
    let (mut scopes, classes) = (note("pkg.torch.onnx.name_scopes"), note("pkg.torch.onnx.class_hierarchy"));
    scopes.pop();
    let class = |class: String| class.rsplit('.').next().unwrap_or_default().to_owned();
    scopes.into_iter().zip(classes).map(|(path, of_module)| (path, class(of_module))).collect()
}

/// Tells the calls of a module apart, which the notes do not: nodes stand in the order of the pass, so a module that was left and comes
/// again is called again. Its second call is `relu_1`, as in programs of `torch.export`.
#[derive(Default)]
struct Calls {
    /// Paths and calls around the node before.
    around: Vec<(String, Call)>,
    counts: BTreeMap<String, usize>,
}

impl Calls {
    /// The calls of the next node.
    fn next(&mut self, modules: Vec<(String, String)>) -> Vec<Call> {
        if modules.is_empty() {
            return Vec::new();
        }
        let mut inside = true;
        let mut around = Vec::with_capacity(modules.len());
        for (depth, (path, class)) in modules.into_iter().enumerate() {
            let known = self.around.get(depth).filter(|(known, _)| inside && *known == path);
            inside = known.is_some();
            let call = known.map(|(_, call)| call.clone()).unwrap_or_else(|| {
                let count = self.counts.entry(path.clone()).or_default();
                let layer = if *count == 0 { path.clone() } else { format!("{path}_{count}") };
                *count += 1;
                Call { key: format!("{path}@{count}"), layer, class }
            });
            around.push((path, call));
        }
        self.around = around;
        self.around.iter().map(|(_, call)| call.clone()).collect()
    }
}

/// The labels of all values, in the order of the nodes.
pub fn labels(graph: &Graph) -> Vec<Label> {
    let mut calls = Calls::default();
    let nodes = graph.nodes.iter().map(|node| {
        let (reads, writes) =
            (node.inputs.iter().map(String::as_str).collect(), node.outputs.iter().map(String::as_str).collect());
        let also = Some(node.name.as_str()).filter(|name| !name.is_empty());
        // Constants stand anywhere.
        let modules = if node.inputs.is_empty() { Vec::new() } else { modules(node) };
        Labelled { reads, writes, calls: calls.next(modules), kind: &node.operator, also }
    });
    let outputs = graph.outputs.iter().map(|output| output.name.as_str());
    of_nodes(&nodes.collect::<Vec<_>>(), &outputs.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_called_twice_has_two_names() {
        let mut calls = Calls::default();
        let mut next = |paths: &[&str]| {
            let modules = paths.iter().map(|path| ((*path).to_owned(), "Module".to_owned())).collect();
            calls.next(modules).pop().map(|call| (call.layer, call.key))
        };
        let (first, key) = next(&["", "block", "block.relu"]).unwrap();
        assert_eq!(first, "block.relu");
        assert_eq!(next(&["", "block", "block.relu"]).unwrap(), (first, key.clone()), "one call of two nodes");
        assert_eq!(next(&[]), None);
        assert_eq!(next(&["", "block"]).unwrap().0, "block", "the block goes on");
        let (second, other) = next(&["", "block", "block.relu"]).unwrap();
        assert_eq!(second, "block.relu_1");
        assert_ne!(key, other);
        assert_eq!(next(&["", "head"]).unwrap().0, "head");
    }
}
