//! The machine that pictures the objects of a pickle: the stack and the memo of Python's, and no call.

use std::collections::{BTreeSet, HashMap};

use super::{MOST, Node, Pickle, Place};

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
