//! What a column of a table is, and columns joined into tables.

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header.
    pub name: &'static str,
    /// The type of its values.
    pub form: ColumnType,
    /// Whether a field may be empty, which means none.
    pub optional: bool,
    /// What it tells.
    pub meaning: &'static str,
}

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `true` or `false`.
    Boolean,
    /// A whole number, 64 bits.
    Whole,
    /// A float of 32 bits.
    Single,
    /// A float of 64 bits.
    Double,
    /// UTF-8.
    Text,
}

impl ColumnType {
    /// As documents say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ColumnType::Boolean => "boolean",
            ColumnType::Whole => "integer",
            ColumnType::Single => "f32",
            ColumnType::Double => "f64",
            ColumnType::Text => "text",
        }
    }
}

/// Groups of columns as one table of `N`.
pub(super) const fn joined<const N: usize>(groups: &[&[Column]]) -> [Column; N] {
    let mut all = [Column { name: "", form: ColumnType::Text, optional: false, meaning: "" }; N];
    let (mut group, mut at) = (0, 0);
    while group < groups.len() {
        let mut column = 0;
        while column < groups[group].len() {
            all[at] = groups[group][column];
            (column, at) = (column + 1, at + 1);
        }
        group += 1;
    }
    assert!(at == N, "a table has another number of columns");
    all
}

/// How many of `columns` the oldest file has that is still read: all but the optional ones at the end, which came later.
pub(super) const fn fewest(columns: &[Column]) -> usize {
    let mut count = columns.len();
    while count > 0 && columns[count - 1].optional {
        count -= 1;
    }
    count
}

/// The names of columns, in order.
pub(super) const fn names<const N: usize>(columns: &[Column; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = columns[at].name;
        at += 1;
    }
    names
}
