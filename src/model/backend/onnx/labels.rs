//! The names of layers: modules, where the export has noted them, and nodes and values.

use super::proto::{Graph, Node};
use crate::model::backend::graph::{Call, Label, Labelled, labels as of_nodes};

/// A list of words as Python writes it: `['', 'layer1', 'layer1.0']`.
fn words(text: &str) -> Vec<String> {
    let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
    inside.split(',').map(|word| word.trim().trim_matches(['\'', '"']).to_owned()).collect()
}

/// The calls of modules that a node lies in, as `torch.onnx` notes them; the last name is the node's own.
fn calls(node: &Node) -> Vec<Call> {
    let note = |key: &str| node.notes.get(key).map(|text| words(text)).unwrap_or_default();
    let (mut scopes, classes) = (note("pkg.torch.onnx.name_scopes"), note("pkg.torch.onnx.class_hierarchy"));
    scopes.pop();
    let calls = scopes.into_iter().zip(classes).map(|(path, class)| {
        let class = class.rsplit('.').next().unwrap_or_default().to_owned();
        Call { key: path.clone(), layer: path, class }
    });
    calls.collect()
}

/// The labels of all values, in the order of the nodes.
pub fn labels(graph: &Graph) -> Vec<Label> {
    let nodes = graph.nodes.iter().map(|node| {
        let (reads, writes) =
            (node.inputs.iter().map(String::as_str).collect(), node.outputs.iter().map(String::as_str).collect());
        let also = Some(node.name.as_str()).filter(|name| !name.is_empty());
        Labelled { reads, writes, calls: calls(node), kind: &node.operator, also }
    });
    let outputs = graph.outputs.iter().map(|output| output.name.as_str());
    of_nodes(&nodes.collect::<Vec<_>>(), &outputs.collect::<Vec<_>>())
}
