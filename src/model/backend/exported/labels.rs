//! The names of layers: those of modules, from the module stack of each node, and those of the nodes' values.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{Graph, Node, name, union};
use crate::model::backend::graph::Label;

/// One call of a module.
#[derive(Clone, PartialEq, Eq)]
struct Call<'a> {
    key: &'a str,
    layer: String,
    class: &'a str,
}

/// The calls that a node lies in, the outermost first: `key,path,class` for each.
fn calls(node: &Node) -> Vec<Call<'_>> {
    let stack = node.metadata.get("nn_module_stack").map_or("", String::as_str);
    let calls = stack.split(';').filter_map(|entry| {
        let mut parts = entry.splitn(3, ',');
        let (key, path, class) = (parts.next()?, parts.next()?, parts.next()?);
        // The second call of a module has `@1` behind its key; feature extractors of torchvision write `_1`.
        let layer = match key.rsplit_once('@') {
            Some((_, call)) if call.bytes().all(|byte| byte.is_ascii_digit()) => format!("{path}_{call}"),
            _ => path.to_owned(),
        };
        Some(Call { key, layer, class: class.rsplit('.').next().unwrap_or(class) })
    });
    calls.collect()
}

/// The labels of all values in the order of the nodes: for a value that is a module's output first the innermost module's name.
pub fn labels(graph: &Graph) -> Vec<Label> {
    let stacks: Vec<Vec<Call>> = graph.nodes.iter().map(calls).collect();
    let mut producers: BTreeMap<&str, usize> = BTreeMap::new();
    // The last value that leaves a call is its output.
    let mut outputs: BTreeMap<&str, &str> = BTreeMap::new();
    let leave = |value: &'_ str, outside: &BTreeSet<&str>, producers: &BTreeMap<&str, usize>| -> Vec<usize> {
        let Some(&producer) = producers.get(value) else { return Vec::new() };
        (0..stacks[producer].len()).filter(|&depth| !outside.contains(stacks[producer][depth].key)).collect()
    };
    for (place, node) in graph.nodes.iter().enumerate() {
        let inside: BTreeSet<&str> = stacks[place].iter().map(|call| call.key).collect();
        for value in node.reads() {
            for depth in leave(value, &inside, &producers) {
                let producer = producers[value];
                keep_last(&mut outputs, stacks[producer][depth].key, value, producer, &producers);
            }
        }
        producers.extend(node.writes().0.into_iter().map(|value| (value, place)));
    }
    let returned = graph.outputs.iter().filter_map(union).filter_map(|(_, tensor)| name(tensor));
    for value in returned {
        for depth in leave(value, &BTreeSet::new(), &producers) {
            let producer = producers[value];
            keep_last(&mut outputs, stacks[producer][depth].key, value, producer, &producers);
        }
    }
    let mut labels = Vec::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        let kind = node.operator().trim_start_matches("aten.").split('.').next().unwrap_or_default();
        for value in node.writes().0 {
            for call in stacks[place].iter().rev().filter(|call| outputs.get(call.key) == Some(&value)) {
                labels.push(Label { value: value.to_owned(), layer: call.layer.clone(), kind: call.class.to_owned() });
            }
            labels.push(Label { value: value.to_owned(), layer: value.to_owned(), kind: kind.to_owned() });
        }
    }
    // A node whose value has a module's name gives way to the module.
    let modules: BTreeSet<String> =
        labels.iter().filter(|label| label.layer != label.value).map(|label| label.layer.clone()).collect();
    labels.retain(|label| label.layer != label.value || !modules.contains(&label.layer));
    labels
}

/// Notes that `value`, made by the node at `producer`, leaves the call; the value that is made last counts.
fn keep_last<'a>(
    outputs: &mut BTreeMap<&'a str, &'a str>,
    call: &'a str,
    value: &'a str,
    producer: usize,
    producers: &BTreeMap<&str, usize>,
) {
    let earlier = outputs.get(call).and_then(|known| producers.get(known)).is_some_and(|&known| known > producer);
    if !earlier {
        outputs.insert(call, value);
    }
}
