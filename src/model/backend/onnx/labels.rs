//! The names of layers: modules, where the export has noted them, and nodes and values.

use std::collections::{BTreeMap, BTreeSet};

use super::proto::{Graph, Node};
use crate::model::backend::graph::{Call, Label, Labelled, labels as of_nodes};

/// A list of words as Python writes it: `['', 'layer1', 'layer1.0']`.
fn words(text: &str) -> Vec<String> {
    let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
    inside.split(',').map(|word| word.trim().trim_matches(['\'', '"']).to_owned()).collect()
}

/// A module that a node lies in, as `torch.onnx` notes it.
struct Module {
    path: String,
    class: String,
    /// Whether it makes one value of one value, such as a rectifier.
    activation: bool,
}

/// The modules that a node lies in, the outermost first, and the name of what became the node, which may have become several.
fn modules(node: &Node) -> (Vec<Module>, String) {
    let note = |key: &str| node.notes.get(key).map(|text| words(text)).unwrap_or_default();
    let (mut scopes, classes) = (note("pkg.torch.onnx.name_scopes"), note("pkg.torch.onnx.class_hierarchy"));
    let origin = scopes.pop().unwrap_or_default();
    let modules = scopes.into_iter().zip(classes).map(|(path, class)| {
        let activation = class.starts_with("torch.nn.modules.activation.") && !class.ends_with("MultiheadAttention");
        Module { path, class: class.rsplit('.').next().unwrap_or_default().to_owned(), activation }
    });
    (modules.collect(), origin)
}

/// Tells the calls of a module apart, which the notes do not: nodes stand in the order of the pass, so a module that was left and comes
/// again is called again. Its second call is `relu_1`, as in programs of `torch.export`. An activation that is called twice in a row, on
/// queries and on keys, is known by a node of another origin that reads nothing of the call so far.
#[derive(Default)]
struct Calls {
    /// Paths and calls around the node before.
    around: Vec<(String, Call)>,
    counts: BTreeMap<String, usize>,
    /// Values that the innermost call has made so far.
    made: BTreeSet<String>,
    /// What its first node came from.
    origin: String,
}

impl Calls {
    /// The calls of the next node, which reads and makes these values.
    fn next(&mut self, (modules, origin): (Vec<Module>, String), reads: &[&str], makes: &[String]) -> Vec<Call> {
        if modules.is_empty() {
            return Vec::new();
        }
        let same = modules.len() == self.around.len()
            && modules.iter().zip(&self.around).all(|(module, (path, _))| module.path == *path);
        let anew = origin != self.origin && !reads.iter().any(|value| self.made.contains(*value));
        if same && anew && modules.last().is_some_and(|module| module.activation) {
            self.around.pop();
        }
        let mut inside = true;
        let mut around = Vec::with_capacity(modules.len());
        for (depth, Module { path, class, .. }) in modules.into_iter().enumerate() {
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
        if !inside {
            self.made.clear();
            self.origin = origin;
        }
        self.made.extend(makes.iter().cloned());
        self.around = around;
        self.around.iter().map(|(_, call)| call.clone()).collect()
    }
}

/// The labels of all values, in the order of the nodes.
pub fn labels(graph: &Graph) -> Vec<Label> {
    let mut calls = Calls::default();
    let nodes = graph.nodes.iter().map(|node| {
        let (reads, writes): (Vec<&str>, Vec<&str>) =
            (node.inputs.iter().map(String::as_str).collect(), node.outputs.iter().map(String::as_str).collect());
        let also = Some(node.name.as_str()).filter(|name| !name.is_empty());
        // Constants stand anywhere.
        let modules = if node.inputs.is_empty() { Default::default() } else { modules(node) };
        let calls = calls.next(modules, &reads, &node.outputs);
        Labelled { reads, writes, calls, kind: &node.operator, also }
    });
    let outputs = graph.outputs.iter().map(|output| output.name.as_str());
    of_nodes(&nodes.collect::<Vec<_>>(), &outputs.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(paths: &[&str], activation: bool) -> Vec<Module> {
        let module = |path: &&str| Module { path: (*path).to_owned(), class: "Module".to_owned(), activation };
        paths.iter().map(module).collect()
    }

    #[test]
    fn an_activation_that_is_called_twice_in_a_row_has_two_names() {
        let mut calls = Calls::default();
        let mut layer = |reads: &str, makes: &str, origin: &str, activation: bool| {
            let modules = stack(&["", "attention", "attention.shrink"], activation);
            calls
                .next((modules, origin.to_owned()), &[reads], &[makes.to_owned()])
                .pop()
                .map(|call| call.layer)
                .unwrap()
        };
        assert_eq!(layer("q", "less", "shrink", true), "attention.shrink");
        assert_eq!(layer("q", "more", "shrink", true), "attention.shrink", "one call of several nodes");
        assert_eq!(layer("less", "both", "shrink", true), "attention.shrink");
        assert_eq!(layer("k", "less_1", "shrink_1", true), "attention.shrink_1");
        assert_eq!(
            layer("v", "other", "project", false),
            "attention.shrink_1",
            "other modules may read several values in turn"
        );
    }

    #[test]
    fn a_module_that_is_called_twice_has_two_names() {
        let mut calls = Calls::default();
        let mut next = |paths: &[&str]| {
            calls
                .next((stack(paths, false), String::new()), &["x"], &["y".to_owned()])
                .pop()
                .map(|call| (call.layer, call.key))
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
