//! Pickles taken apart without executing anything: a machine with the stack and the memo of Python's, which builds a picture of
//! the objects and calls nothing (PEP 307, PEP 3154, `Lib/pickletools.py`).

mod tensors;

use std::collections::{BTreeSet, HashMap};
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
    /// Takes the pickle at the beginning of `bytes` apart, and returns how many bytes it has; none if it is no whole pickle.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut machine = Machine {
            bytes,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            globals: BTreeSet::new(),
        };
        let root = machine.run()?;
        let Machine { nodes, globals, at, .. } = machine;
        Some((Pickle { nodes, root, globals }, at))
    }

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

struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Place>,
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
    globals: BTreeSet<String>,
}

impl<'b> Machine<'b> {
    fn run(&mut self) -> Option<Place> {
        loop {
            let code = self.take(1)?[0];
            if code == b'.' {
                return self.stack.pop();
            }
            self.step(code)?;
            if self.nodes.len() > MOST {
                return None;
            }
        }
    }

    fn step(&mut self, code: u8) -> Option<()> {
        match code {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.stack.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => self.stack.push(*self.stack.last()?),
            b'N' | 0x88 | 0x89 | 0x97 => self.push(Node::Other),
            0x98 => {}
            b'G' => self.skip(8)?,
            b'F' | b'I' | b'L' | b'P' => self.skip_line()?,
            b'J' => {
                let number = self.little(4)? as u32 as i32;
                self.push(Node::Number(i64::from(number)));
            }
            b'K' => self.push_number(1)?,
            b'M' => self.push_number(2)?,
            0x84 => self.skip(4)?,
            0x82 => self.skip(1)?,
            0x83 => self.skip(2)?,
            b'U' | 0x8c => self.counted(1, text)?,
            b'T' | b'X' => self.counted(4, text)?,
            0x8d => self.counted(8, text)?,
            0x8a => self.counted(1, long)?,
            b'C' => self.counted(1, |_| Node::Other)?,
            b'B' | 0x8b => self.counted(4, |_| Node::Other)?,
            0x8e | 0x96 => self.counted(8, |_| Node::Other)?,
            b'S' | b'V' => {
                let line = self.line()?;
                self.push(Node::Text(line.trim_matches(['\'', '"']).to_owned()));
            }
            b'Q' => {
                let name = self.stack.pop()?;
                self.push(Node::Stored(name));
            }
            b']' | b')' | 0x8f => self.push(Node::Several(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b't' | b'l' | 0x91 => {
                let members = self.marked()?;
                self.push(Node::Several(members));
            }
            0x85..=0x87 => {
                let members = self.top(usize::from(code - 0x84))?;
                self.push(Node::Several(members));
            }
            b'd' => {
                let entries = pairs(self.marked()?);
                self.push(Node::Dict(entries));
            }
            b'a' => {
                let member = self.stack.pop()?;
                self.extend(vec![member])?;
            }
            b'e' | 0x90 => {
                let members = self.marked()?;
                self.extend(members)?;
            }
            b's' => {
                let entry = self.top(2)?;
                self.enter(pairs(entry))?;
            }
            b'u' => {
                let entries = pairs(self.marked()?);
                self.enter(entries)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(format!("{module}.{name}"));
            }
            0x93 => {
                let names = self.top(2)?;
                let part = |place: Place| match &self.nodes[place] {
                    Node::Text(text) => text.clone(),
                    _ => "?".to_owned(),
                };
                self.global(format!("{}.{}", part(names[0]), part(names[1])));
            }
            b'R' | 0x81 => {
                let call = self.top(2)?;
                self.call(call[0], Some(call[1]));
            }
            0x92 => {
                let call = self.top(3)?;
                self.call(call[0], Some(call[1]));
            }
            b'o' => {
                let members = self.marked()?;
                self.call(*members.first()?, None);
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.marked()?;
                self.global(format!("{module}.{name}"));
                let class = self.stack.pop()?;
                self.call(class, None);
            }
            b'b' => {
                let argument = self.stack.pop()?;
                let place = *self.stack.last()?;
                if let Node::Object { state, .. } = &mut self.nodes[place] {
                    *state = Some(argument);
                }
            }
            b'p' => {
                let key = self.line()?.parse().ok()?;
                self.memo.insert(key, *self.stack.last()?);
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let key = self.memo.len() as u64;
                self.memo.insert(key, *self.stack.last()?);
            }
            b'g' => {
                let key: u64 = self.line()?.parse().ok()?;
                self.stack.push(*self.memo.get(&key)?);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            _ => return None,
        }
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn line(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn little(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn add(&mut self, node: Node) -> Place {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn push(&mut self, node: Node) {
        let place = self.add(node);
        self.stack.push(place);
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count)?;
        self.push(Node::Other);
        Some(())
    }

    fn skip_line(&mut self) -> Option<()> {
        self.line()?;
        self.push(Node::Other);
        Some(())
    }

    fn counted(&mut self, size: usize, node: impl Fn(&[u8]) -> Node) -> Option<()> {
        let count = usize::try_from(self.little(size)?).ok()?;
        let bytes = self.take(count)?;
        self.push(node(bytes));
        Some(())
    }

    /// The places above the last mark, which is taken away.
    fn marked(&mut self) -> Option<Vec<Place>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn top(&mut self, count: usize) -> Option<Vec<Place>> {
        let from = self.stack.len().checked_sub(count)?;
        Some(self.stack.split_off(from))
    }

    fn push_number(&mut self, size: usize) -> Option<()> {
        let number = self.little(size)?;
        self.push(Node::Number(number as i64));
        Some(())
    }

    fn extend(&mut self, more: Vec<Place>) -> Option<()> {
        let place = *self.stack.last()?;
        if let Node::Several(members) = &mut self.nodes[place] {
            members.extend(more);
        }
        Some(())
    }

    fn enter(&mut self, more: Vec<(Place, Place)>) -> Option<()> {
        let place = *self.stack.last()?;
        if let Node::Dict(entries) | Node::Object { entries, .. } = &mut self.nodes[place] {
            entries.extend(more);
        }
        Some(())
    }

    fn global(&mut self, name: String) {
        self.globals.insert(name.clone());
        self.push(Node::Global(name));
    }

    fn call(&mut self, class: Place, arguments: Option<Place>) {
        let class = match &self.nodes[class] {
            Node::Global(name) => name.clone(),
            _ => "?".to_owned(),
        };
        self.push(Node::Object { class, arguments, entries: Vec::new(), state: None });
    }

    fn remember(&mut self, size: usize) -> Option<()> {
        let key = self.little(size)?;
        self.memo.insert(key, *self.stack.last()?);
        Some(())
    }

    fn recall(&mut self, size: usize) -> Option<()> {
        let key = self.little(size)?;
        self.stack.push(*self.memo.get(&key)?);
        Some(())
    }
}

fn text(bytes: &[u8]) -> Node {
    Node::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// A whole number of any length, of which those of up to eight bytes are kept.
fn long(bytes: &[u8]) -> Node {
    let Some(last) = bytes.last().filter(|_| bytes.len() <= 8) else {
        return if bytes.is_empty() { Node::Number(0) } else { Node::Other };
    };
    let sign = if last & 0x80 == 0 { 0 } else { u64::MAX };
    let number = bytes.iter().rev().fold(sign, |number, byte| number << 8 | u64::from(*byte));
    Node::Number(number as i64)
}

fn pairs(places: Vec<Place>) -> Vec<(Place, Place)> {
    places.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
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
