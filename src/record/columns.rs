//! The columns of records, declared once: name, form and meaning. Structs, headers, writers, readers and `docs/outputs.md` are made of
//! that one declaration, so that none of them can lack a column or give it another place.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use super::column::ColumnType;
use super::fields::{Fields, Row};
use super::{CellUnit, Status};
use crate::terms::{CellKind, Epsilon, LayerName, Norm, SampleId};

/// A value as a field of a row. Numbers read back bit by bit.
pub(super) trait Field: Sized {
    const FORM: ColumnType;
    const OPTIONAL: bool = false;
    fn write(&self, row: &mut Row);
    /// The next of `fields`; the error names the column.
    fn read(fields: &mut Fields<'_>) -> Result<Self, String>;
}

/// Declares structs whose fields are columns; the documentation of a field is the column's meaning.
///
/// The fields under `supplied` are no columns: whoever writes or reads a row sees to them, at the place where they stand. Each struct has the
/// columns `BEFORE` and `AFTER` that place, and `write_row` and `read_row`.
macro_rules! columns {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $early_meaning:literal])+ $early:ident: $early_type:ty,)*
            supplied { $($(#[doc = $supplied_meaning:literal])+ $supplied:ident: $supplied_type:ty,)* }
            $($(#[doc = $late_meaning:literal])+ $late:ident: $late_type:ty,)*
        }
    )+) => {$(
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq)]
        $visibility struct $name {
            $($(#[doc = $early_meaning])+ pub $early: $early_type,)*
            $($(#[doc = $supplied_meaning])+ pub $supplied: $supplied_type,)*
            $($(#[doc = $late_meaning])+ pub $late: $late_type,)*
        }

        impl $name {
            /// The columns before what is supplied.
            #[allow(dead_code, reason = "not every struct has some")]
            pub(super) const BEFORE: &'static [$crate::record::Column] =
                &[$($crate::record::columns::column!($early, $early_type, $($early_meaning)+),)*];

            /// The columns after it.
            #[allow(dead_code, reason = "not every struct has some")]
            pub(super) const AFTER: &'static [$crate::record::Column] =
                &[$($crate::record::columns::column!($late, $late_type, $($late_meaning)+),)*];

            /// Append the columns to a row; `supplied` writes what stands between them.
            pub(super) fn write_row(
                &self,
                row: &mut $crate::record::fields::Row,
                supplied: impl FnOnce(&mut $crate::record::fields::Row),
            ) {
                $($crate::record::columns::Field::write(&self.$early, row);)*
                supplied(row);
                $($crate::record::columns::Field::write(&self.$late, row);)*
            }

            /// Read what [`Self::write_row`] wrote; `supplied` tells what is no column of this struct, and may read it.
            pub(super) fn read_row(
                fields: &mut $crate::record::fields::Fields<'_>,
                supplied: impl FnOnce(&mut $crate::record::fields::Fields<'_>) -> Result<($($supplied_type,)*), String>,
            ) -> Result<Self, String> {
                $(let $early = <$early_type as $crate::record::columns::Field>::read(fields)?;)*
                let ($($supplied,)*) = supplied(fields)?;
                $(let $late = <$late_type as $crate::record::columns::Field>::read(fields)?;)*
                Ok($name { $($early,)* $($supplied,)* $($late,)* })
            }
        }
    )+};
}
pub(super) use columns;

/// The [`Column`] of a field.
macro_rules! column {
    ($name:ident, $type:ty, $($meaning:literal)+) => {
        $crate::record::Column {
            name: stringify!($name),
            form: <$type as $crate::record::columns::Field>::FORM,
            optional: <$type as $crate::record::columns::Field>::OPTIONAL,
            meaning: concat!($($meaning),+),
        }
    };
}
pub(super) use column;

macro_rules! fields {
    ($($type:ty: $form:ident, |$value:ident, $row:ident| $write:expr, |$fields:ident| $read:expr;)+) => {$(
        impl Field for $type {
            const FORM: ColumnType = ColumnType::$form;

            fn write(&self, $row: &mut Row) {
                let $value = self;
                $write;
            }

            fn read($fields: &mut Fields<'_>) -> Result<Self, String> {
                $read
            }
        }
    )+};
}

fields! {
    u32: Whole, |value, row| row.show(value), |fields| fields.parse("is not a whole number in range");
    usize: Whole, |value, row| row.show(value), |fields| fields.parse("is not a whole number in range");
    bool: Boolean, |value, row| row.show(value), |fields| fields.parse("is neither true nor false");
    f32: Single, |value, row| row.float32(*value), |fields| fields.parse("is not a number");
    f64: Double, |value, row| row.float64(*value), |fields| fields.parse("is not a number");
    Epsilon: Double, |value, row| row.float64(value.value()), |fields| {
        let value = f64::read(fields)?;
        Epsilon::new(value).map_err(|_| fields.wrong(&value.to_string(), "is not a finite number of at least 0"))
    };
    Arc<str>: Text, |value, row| row.text(value), |fields| Ok(fields.name());
    SampleId: Text, |value, row| row.text(value.as_str()), |fields| Ok(fields.sample());
    LayerName: Text, |value, row| row.text(value.as_str()), |fields| Ok(fields.name().into());
    CellUnit: Text, |value, row| row.show(value), |fields| word(fields);
    CellKind: Text, |value, row| row.text(value.as_str()), |fields| word(fields);
    Norm: Text, |value, row| row.text(value.as_str()), |fields| word(fields);
    Status: Text, |value, row| row.text(value.as_str()), |fields| word(fields);
}

impl<T: Field> Field for Option<T> {
    const FORM: ColumnType = T::FORM;
    const OPTIONAL: bool = true;

    fn write(&self, row: &mut Row) {
        match self {
            Some(value) => value.write(row),
            None => row.text(""),
        }
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, String> {
        if fields.skip_empty() { Ok(None) } else { T::read(fields).map(Some) }
    }
}

/// A value whose own error tells what would be right.
fn word<T: FromStr<Err: Display>>(fields: &mut Fields<'_>) -> Result<T, String> {
    let text = fields.text();
    text.parse().map_err(|problem| fields.wrong(&text, &format!("cannot be read: {problem}")))
}
