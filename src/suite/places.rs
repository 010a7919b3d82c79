//! Where each value of a suite stands in its file, kept from the one time that it is read.

use std::collections::BTreeMap;
use std::ops::Range;

/// A value of the suite's file, to point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A key of `[data]`.
    Data(&'static str),
    /// A key of a `[[model]]`, by index.
    Model(usize, &'static str),
    /// A key of an `[[attack]]`, by index.
    Attack(usize, &'static str),
    /// A key of a `[[visualize]]`, by index.
    Visualize(usize, &'static str),
    /// A key of `[damage]`.
    Damage(&'static str),
    /// A key of a `[[universal]]`, by index.
    Universal(usize, &'static str),
    /// A key of `[boundary]`.
    Boundary(&'static str),
    /// A key of `[transfer]`.
    Transfer(&'static str),
    /// A key of `[selftest]`.
    SelfTest(&'static str),
    /// A key of `[run]`.
    Run(&'static str),
    /// A key of a `[[gate]]`, by index.
    Gate(usize, &'static str),
}

impl Place {
    fn parts(self) -> (&'static str, Option<usize>, &'static str) {
        match self {
            Place::Data(key) => ("data", None, key),
            Place::Model(index, key) => ("model", Some(index), key),
            Place::Attack(index, key) => ("attack", Some(index), key),
            Place::Visualize(index, key) => ("visualize", Some(index), key),
            Place::Damage(key) => ("damage", None, key),
            Place::Universal(index, key) => ("universal", Some(index), key),
            Place::Boundary(key) => ("boundary", None, key),
            Place::Transfer(key) => ("transfer", None, key),
            Place::SelfTest(key) => ("selftest", None, key),
            Place::Run(key) => ("run", None, key),
            Place::Gate(index, key) => ("gate", Some(index), key),
        }
    }
}

/// The bytes of every table of a suite and of every key in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    spans: BTreeMap<(String, Option<usize>, Option<String>), Range<usize>>,
    /// Index of each table of a list, by the list and the table's `name`.
    names: BTreeMap<(String, String), usize>,
}

impl Places {
    /// Notes where a table stands, or with `key` one of its values.
    pub(super) fn note(&mut self, table: &str, index: Option<usize>, key: Option<&str>, span: Range<usize>) {
        self.spans.insert((table.to_owned(), index, key.map(str::to_owned)), span);
    }

    /// Notes the `name` of a table of a list.
    pub(super) fn note_name(&mut self, table: &str, index: usize, name: &str) {
        self.names.entry((table.to_owned(), name.to_owned())).or_insert(index);
    }

    /// The index of the table of the list `table` (`model`, `attack`) that has this name.
    pub fn named(&self, table: &str, name: &str) -> Option<usize> {
        self.names.get(&(table.to_owned(), name.to_owned())).copied()
    }

    /// Whether the key is written.
    pub fn written(&self, place: Place) -> bool {
        let (table, index, key) = place.parts();
        self.spans.contains_key(&(table.to_owned(), index, Some(key.to_owned())))
    }

    /// The bytes of the value; those of its table if the key is not written, the file's beginning if neither is.
    pub fn find(&self, place: Place) -> Range<usize> {
        let (table, index, key) = place.parts();
        let at = |key: Option<&str>| self.spans.get(&(table.to_owned(), index, key.map(str::to_owned)));
        at(Some(key)).or_else(|| at(None)).cloned().unwrap_or(0..0)
    }
}

/// Line and column of a byte of a text, both counted from 1, columns in characters.
pub fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut start = byte.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
