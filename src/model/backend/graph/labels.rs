//! The names of layers: those of modules, from the calls that each node lies in, and those of nodes and their values.

use std::collections::{BTreeMap, BTreeSet};

/// A value with the name and the kind of a layer, as the file has them.
pub struct Label {
    /// The value.
    pub value: String,
    /// The layer.
    pub layer: String,
    /// What computes it.
    pub kind: String,
    /// Whether the layer is a module, and no node.
    pub module: bool,
}

/// One call of a module.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Tells the calls of one module apart.
    pub key: String,
    /// The module's name.
    pub layer: String,
    /// Its class.
    pub class: String,
}

/// What a file says of a node.
pub struct Labelled<'a> {
    /// Values that it reads.
    pub reads: Vec<&'a str>,
    /// Values that it computes.
    pub writes: Vec<&'a str>,
    /// The calls that it lies in, the outermost first.
    pub calls: Vec<Call>,
    /// Its operator, in short.
    pub kind: &'a str,
    /// Its own name, where it has one besides those of its values.
    pub also: Option<&'a str>,
}

/// The labels of all values in the order of the nodes: for a value that is a module's output first the innermost module's name. A
/// module's output is the last value that is made inside of a call and read outside of it; `outputs` are read by the caller.
pub fn labels(nodes: &[Labelled], outputs: &[&str]) -> Vec<Label> {
    let left = leaving(nodes, outputs);
    let modules: BTreeSet<&str> = nodes.iter().flat_map(|node| &node.calls).map(|call| call.layer.as_str()).collect();
    let mut labels = Vec::new();
    for node in nodes {
        for value in &node.writes {
            for call in node.calls.iter().rev().filter(|call| left.get(call.key.as_str()) == Some(value)) {
                labels.push(Label {
                    value: (*value).to_owned(),
                    layer: call.layer.clone(),
                    kind: call.class.clone(),
                    module: true,
                });
            }
            let node_names = node.also.filter(|_| node.writes.len() == 1).into_iter().chain([*value]);
            // A value whose name is a module's gives way to the module.
            labels.extend(node_names.filter(|name| !modules.contains(name)).map(|name| Label {
                value: (*value).to_owned(),
                layer: name.to_owned(),
                kind: node.kind.to_owned(),
                module: false,
            }));
        }
    }
    labels
}

/// The output of each call, by the call's key.
fn leaving<'a>(nodes: &'a [Labelled], outputs: &[&'a str]) -> BTreeMap<&'a str, &'a str> {
    let mut producers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    let mut read = |value: &'a str, inside: &BTreeSet<&str>, producers: &BTreeMap<&str, usize>| {
        let Some(&producer) = producers.get(value) else { return };
        for call in nodes[producer].calls.iter().filter(|call| !inside.contains(call.key.as_str())) {
            let known = left.entry(&call.key).or_insert((value, producer));
            if known.1 <= producer {
                *known = (value, producer);
            }
        }
    };
    for (place, node) in nodes.iter().enumerate() {
        let inside: BTreeSet<&str> = node.calls.iter().map(|call| call.key.as_str()).collect();
        node.reads.iter().for_each(|value| read(value, &inside, &producers));
        producers.extend(node.writes.iter().map(|value| (*value, place)));
    }
    outputs.iter().for_each(|value| read(value, &BTreeSet::new(), &producers));
    left.into_iter().map(|(key, (value, _))| (key, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node<'a>(reads: &[&'a str], write: &'a str, calls: &[&str]) -> Labelled<'a> {
        let call =
            |path: &&str| Call { key: (*path).to_owned(), layer: (*path).to_owned(), class: "Module".to_owned() };
        let calls = calls.iter().map(call).collect();
        Labelled { reads: reads.to_vec(), writes: vec![write], calls, kind: "op", also: None }
    }

    #[test]
    fn a_modules_output_is_what_leaves_it_last() {
        let nodes = [
            node(&["x"], "a", &["block", "block.conv"]),
            node(&["a"], "b", &["block"]),
            node(&["b"], "unused", &["block"]),
            node(&["b"], "head", &["head"]),
        ];
        let found = labels(&nodes, &["head"]);
        let value_of = |layer: &str| found.iter().find(|label| label.layer == layer).map(|label| label.value.as_str());
        assert_eq!(
            [value_of("block.conv"), value_of("block"), value_of("head"), value_of("unused")],
            [Some("a"), Some("b"), Some("head"), Some("unused")]
        );
        assert_eq!(found.iter().filter(|label| label.layer == "head").count(), 1, "the node gives way to the module");
    }
}
