//! The names of layers: `torch.export` notes the stack of modules that each node lies in.

use super::schema::{Graph, Node, name, union};
use crate::model::backend::graph::{Call, Label, Labelled, labels as of_nodes};

/// The calls that a node lies in, the outermost first: `key,path,class` for each.
fn calls(node: &Node) -> Vec<Call> {
    let stack = node.metadata.get("nn_module_stack").map_or("", String::as_str);
    let calls = stack.split(';').filter_map(|entry| {
        let mut parts = entry.splitn(3, ',');
        let (key, path, class) = (parts.next()?, parts.next()?, parts.next()?);
        // The second call of a module has `@1` behind its key; feature extractors of torchvision write `_1`.
        let layer = match key.rsplit_once('@') {
            Some((_, call)) if call.bytes().all(|byte| byte.is_ascii_digit()) => format!("{path}_{call}"),
            _ => path.to_owned(),
        };
        Some(Call { key: key.to_owned(), layer, class: class.rsplit('.').next().unwrap_or(class).to_owned() })
    });
    calls.collect()
}

/// The labels of all values, in the order of the nodes.
pub fn labels(graph: &Graph) -> Vec<Label> {
    let nodes = graph.nodes.iter().map(|node| {
        let kind = node.operator().trim_start_matches("aten.").split('.').next().unwrap_or_default();
        Labelled { reads: node.reads(), writes: node.writes().0, calls: calls(node), kind, also: None }
    });
    let outputs = graph.outputs.iter().filter_map(union).filter_map(|(_, tensor)| name(tensor));
    of_nodes(&nodes.collect::<Vec<_>>(), &outputs.collect::<Vec<_>>())
}
