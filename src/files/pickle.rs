//! Pickles taken apart without executing anything: a machine with the stack and the memo of Python's, which builds a picture of
//! the objects and calls nothing (PEP 307, PEP 3154, `Lib/pickletools.py`).

mod machine;
mod tensors;

use std::collections::BTreeSet;
use std::fmt;

pub use tensors::Laid;

/// Most objects that are pictured.
const MOST: usize = 4_000_000;

/// A place in the picture.
type Place = usize;

/// An object of a pickle.
#[derive(Debug, Clone)]
enum Node {
    /// A string.
    Text(String),
    /// Members in their order: a tuple, a list or a set.
    Several(Vec<Place>),
    /// Keys and values.
    Dict(Vec<(Place, Place)>),
    /// A whole number.
    Number(i64),
    /// What stands outside of the pickle under this name: a storage of PyTorch.
    Stored(Place),
    /// `module.name`.
    Global(String),
    /// What a call of a global with these arguments would have made, with its members and its state.
    Object { class: String, arguments: Option<Place>, entries: Vec<(Place, Place)>, state: Option<Place> },
    /// Anything else.
    Other,
}

/// The picture of one pickle.
#[derive(Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: Place,
    /// Everything that loading it would import, as `module.name`.
    pub globals: BTreeSet<String>,
}

/// A dictionary of tensors in a pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDict {
    /// The keys that lead to it; a place in a list or tuple is its number.
    pub keys: Vec<Key>,
    /// Names of its tensors.
    pub tensors: Vec<String>,
    /// The class of the module whose state it is, where the pickle holds the module itself.
    pub class: Option<String>,
    /// Whether the tensors are NumPy's arrays.
    pub arrays: bool,
}

/// A step on the way into a pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A key of a dictionary.
    Name(String),
    /// A place in a list or a tuple.
    Place(usize),
}

impl Key {
    /// The key's text; empty for a place.
    pub fn name(&self) -> &str {
        match self {
            Key::Name(name) => name,
            Key::Place(_) => "",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Name(name) => formatter.write_str(name),
            Key::Place(place) => write!(formatter, "{place}"),
        }
    }
}

impl Pickle {
    /// The dictionaries with tensors, and the modules, that are reached from the outside through keys that are strings.
    pub fn state_dicts(&self) -> Vec<StateDict> {
        let mut found = Vec::new();
        self.search(self.root, &mut Vec::new(), &mut found, &mut { MOST });
        found
    }

    /// The class of the outermost object.
    pub fn class(&self) -> Option<&str> {
        match &self.nodes[self.root] {
            Node::Object { class, .. } => Some(class),
            _ => None,
        }
    }

    /// The keys of the outermost dictionary that are strings.
    pub fn keys(&self) -> Vec<&str> {
        self.entries(self.root).iter().filter_map(|(key, _)| self.text(*key)).collect()
    }

    /// `left`: looks that are left, since objects that are shared over and over could ask for any number.
    fn search(&self, place: Place, keys: &mut Vec<Key>, found: &mut Vec<StateDict>, left: &mut usize) {
        const DEEPEST: usize = 3;
        if let Some(class) = self.module(place) {
            let mut tensors = Vec::new();
            self.parameters(place, "", &mut tensors, left);
            found.push(StateDict { keys: keys.clone(), tensors, class: Some(class.to_owned()), arrays: false });
            return;
        }
        let entries = self.entries(place);
        for (arrays, fits) in [(false, Pickle::is_tensor as fn(&Self, Place) -> bool), (true, Pickle::is_array)] {
            let names = entries.iter().filter(|(_, value)| fits(self, *value)).filter_map(|(key, _)| self.text(*key));
            let tensors: Vec<String> = names.map(str::to_owned).collect();
            if !tensors.is_empty() {
                found.push(StateDict { keys: keys.clone(), tensors, class: None, arrays });
            }
        }
        if keys.len() == DEEPEST {
            return;
        }
        let named = entries.iter().filter_map(|(key, value)| Some((Key::Name(self.text(*key)?.to_owned()), *value)));
        let members = match &self.nodes[place] {
            Node::Several(members) => members.as_slice(),
            _ => &[],
        };
        let placed = members.iter().enumerate().map(|(at, value)| (Key::Place(at), *value));
        for (key, value) in named.chain(placed) {
            let Some(less) = left.checked_sub(1) else { return };
            *left = less;
            keys.push(key);
            self.search(value, keys, found, left);
            keys.pop();
        }
    }

    /// The class of a module of PyTorch.
    fn module(&self, place: Place) -> Option<&str> {
        let Node::Object { class, state: Some(state), .. } = &self.nodes[place] else { return None };
        let has = |name: &str| self.entries(*state).iter().any(|(key, _)| self.text(*key) == Some(name));
        (has("_modules") && has("_parameters")).then_some(class.as_str())
    }

    /// Adds the names of a module's parameters and buffers to `names`.
    fn parameters(&self, place: Place, prefix: &str, names: &mut Vec<String>, left: &mut usize) {
        const LONGEST: usize = 1000;
        let Node::Object { state: Some(state), .. } = &self.nodes[place] else { return };
        for (key, value) in self.entries(*state) {
            let Some(part @ ("_parameters" | "_buffers" | "_modules")) = self.text(*key) else { continue };
            for (key, inner) in self.entries(*value) {
                let Some(key) = self.text(*key) else { continue };
                let Some(less) = left.checked_sub(1) else { return };
                *left = less;
                if part == "_modules" && prefix.len() + key.len() < LONGEST {
                    self.parameters(*inner, &format!("{prefix}{key}."), names, left);
                } else if part != "_modules" && self.is_tensor(*inner) {
                    names.push(format!("{prefix}{key}"));
                }
            }
        }
    }

    fn text(&self, place: Place) -> Option<&str> {
        match &self.nodes[place] {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    fn entries(&self, place: Place) -> &[(Place, Place)] {
        match &self.nodes[place] {
            Node::Dict(entries) | Node::Object { entries, .. } => entries,
            _ => &[],
        }
    }

    fn is_tensor(&self, place: Place) -> bool {
        matches!(&self.nodes[place], Node::Object { class, .. }
            if class.starts_with("torch._utils._rebuild_") || class.starts_with("torch._tensor._rebuild"))
    }

    fn is_array(&self, place: Place) -> bool {
        matches!(&self.nodes[place], Node::Object { class, .. } if class.starts_with("numpy.") && (class.ends_with("._reconstruct") || class.ends_with("._frombuffer")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dictionary_is_pictured_and_nothing_is_called() {
        // {"net": {"fc.weight": <tensor>}, "acc": 95, "run": os.system("true")}, of protocol 2.
        let pickle = b"\x80\x02}(X\x03\x00\x00\x00net}X\x09\x00\x00\x00fc.weightctorch._utils\n_rebuild_tensor_v2\n(tRsX\x03\x00\x00\x00accK_X\x03\x00\x00\x00runcos\nsystem\n(X\x04\x00\x00\x00truetRu.";
        let (found, length) = Pickle::parse(pickle).unwrap();
        assert_eq!((found.keys(), length), (vec!["net", "acc", "run"], pickle.len()));
        let expected = StateDict {
            keys: vec![Key::Name("net".into())],
            tensors: vec!["fc.weight".into()],
            class: None,
            arrays: false,
        };
        assert_eq!(found.state_dicts(), [expected]);
        assert!(found.globals.contains("os.system"));
        // [7, ({"w": <array>},)]
        let pickle = b"\x80\x02](K\x07}X\x01\x00\x00\x00wcnumpy.core.multiarray\n_reconstruct\n(tRs\x85e.";
        let (found, _) = Pickle::parse(pickle).unwrap();
        let keys = vec![Key::Place(1), Key::Place(0)];
        assert_eq!(found.state_dicts(), [StateDict { keys, tensors: vec!["w".into()], class: None, arrays: true }]);
        assert!(Pickle::parse(&pickle[..30]).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_pickle_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some((pickle, _)) = Pickle::parse(&bytes) {
                let _ = (pickle.state_dicts(), pickle.keys());
            }
        }

        #[test]
        fn any_opcodes_are_a_pickle_or_none(codes in proptest::collection::vec(proptest::sample::select(&b"(0123NGJKM}])tldaesuRobqrhj.2\x81\x85\x86\x87\x94\x90\x91\x93"[..]), 0..80)) {
            if let Some((pickle, _)) = Pickle::parse(&codes) {
                let _ = pickle.state_dicts();
            }
        }
    }
}
