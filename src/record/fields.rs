//! Fields of CSV rows: numbers that read back bit by bit, empty for none.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::str::FromStr;
use std::sync::Arc;

use csv::StringRecord;

use super::Column;
use super::column::fewest;
use super::intern::Interner;
use crate::terms::SampleId;
use crate::wording::escape;

/// A row that is being written.
#[derive(Default)]
pub(super) struct Row {
    pub(super) fields: StringRecord,
    scratch: String,
}

impl Row {
    pub(super) fn clear(&mut self) {
        self.fields.clear();
    }

    pub(super) fn text(&mut self, text: &str) {
        self.fields.push_field(&escape::cell(text));
    }

    pub(super) fn show(&mut self, value: impl Display) {
        self.scratch.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.scratch, "{value}");
        self.fields.push_field(&self.scratch);
    }

    pub(super) fn float32(&mut self, value: f32) {
        if is_plain(value.into()) { self.show(value) } else { self.show(format_args!("{value:e}")) }
    }

    pub(super) fn float64(&mut self, value: f64) {
        if is_plain(value) { self.show(value) } else { self.show(format_args!("{value:e}")) }
    }
}

/// Shortest digits without an exponent read well in this range and for infinities; beyond it they are padded with zeros.
fn is_plain(value: f64) -> bool {
    let size = value.abs();
    !size.is_finite() || size == 0.0 || (1e-5..1e16).contains(&size)
}

/// A float as CSV text: the shortest digits that read back to the same number; `inf`, `-inf`, `NaN`.
pub(crate) fn float_text(value: f64) -> String {
    if is_plain(value) { value.to_string() } else { format!("{value:e}") }
}

/// A row that is being read, field after field; errors name the column.
pub(super) struct Fields<'a> {
    row: &'a StringRecord,
    columns: &'static [Column],
    interner: &'a mut Interner,
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields of `row`. Optional ones at the end may be lacking, as they do in files of before there were such columns; another number
    /// of fields is an error.
    pub(super) fn new(
        row: &'a StringRecord,
        columns: &'static [Column],
        interner: &'a mut Interner,
    ) -> Result<Self, String> {
        if !(fewest(columns)..=columns.len()).contains(&row.len()) {
            return Err(format!("expected {} fields, found {}; the file may be cut off", columns.len(), row.len()));
        }
        Ok(Fields { row, columns, interner, at: 0 })
    }

    pub(super) fn text(&mut self) -> Cow<'a, str> {
        let text = self.row.get(self.at).unwrap_or_default();
        self.at += 1;
        escape::uncell(text)
    }

    /// The next field as a name that many rows share.
    pub(super) fn name(&mut self) -> Arc<str> {
        let text = self.text();
        self.interner.name(&text)
    }

    /// The next field as a sample's id.
    pub(super) fn sample(&mut self) -> SampleId {
        let text = self.text();
        self.interner.sample(&text)
    }

    /// Passes over the next field if it is empty; whether it was.
    pub(super) fn skip_empty(&mut self) -> bool {
        let empty = self.row.get(self.at).unwrap_or_default().is_empty();
        self.at += usize::from(empty);
        empty
    }

    /// The error about the field that was read last.
    pub(super) fn wrong(&self, text: &str, problem: &str) -> String {
        let column = self.at.checked_sub(1).and_then(|at| self.columns.get(at)).map_or("", |column| column.name);
        format!("column `{column}`: `{text}` {problem}")
    }

    pub(super) fn parse<T: FromStr>(&mut self, problem: &str) -> Result<T, String> {
        let text = self.text();
        text.parse().map_err(|_| self.wrong(&text, problem))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn floats_read_back_bit_by_bit(bits32 in any::<u32>(), bits64 in any::<u64>()) {
            let (single, double) = (f32::from_bits(bits32), f64::from_bits(bits64));
            let mut row = Row::default();
            row.float32(single);
            row.float64(double);
            let (single_text, double_text) = (&row.fields[0], &row.fields[1]);
            let (single_back, double_back): (f32, f64) = (single_text.parse().unwrap(), double_text.parse().unwrap());
            prop_assert!(single.is_nan() && single_back.is_nan() || single_back.to_bits() == bits32);
            prop_assert!(double.is_nan() && double_back.is_nan() || double_back.to_bits() == bits64);
            prop_assert!(single_text.len() <= 24 && double_text.len() <= 28, "{single_text} {double_text}");
        }
    }
}
