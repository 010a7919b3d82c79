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
    /// A key of `[boundary]`.
    Boundary(&'static str),
    /// A key of `[transfer]`.
    Transfer(&'static str),
    /// A key of `[selftest]`.
    SelfTest(&'static str),
    /// A key of `[run]`.
    Run(&'static str),
}

impl Place {
    fn parts(self) -> (&'static str, Option<usize>, &'static str) {
        match self {
            Place::Data(key) => ("data", None, key),
            Place::Model(index, key) => ("model", Some(index), key),
            Place::Attack(index, key) => ("attack", Some(index), key),
            Place::Visualize(index, key) => ("visualize", Some(index), key),
            Place::Boundary(key) => ("boundary", None, key),
            Place::Transfer(key) => ("transfer", None, key),
            Place::SelfTest(key) => ("selftest", None, key),
            Place::Run(key) => ("run", None, key),
        }
    }
}

/// The bytes of every table of a suite and of every key in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(BTreeMap<(String, Option<usize>, Option<String>), Range<usize>>);

impl Places {
    /// Notes where a table stands, or with `key` one of its values.
    pub(super) fn note(&mut self, table: &str, index: Option<usize>, key: Option<&str>, span: Range<usize>) {
        self.0.insert((table.to_owned(), index, key.map(str::to_owned)), span);
    }

    /// The bytes of the value; those of its table if the key is not written, the file's beginning if neither is.
    pub fn find(&self, place: Place) -> Range<usize> {
        let (table, index, key) = place.parts();
        let at = |key: Option<&str>| self.0.get(&(table.to_owned(), index, key.map(str::to_owned)));
        at(Some(key)).or_else(|| at(None)).cloned().unwrap_or(0..0)
    }
}
