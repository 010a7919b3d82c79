//! The rows of a block: records, distances and transfers, with cells as indices into the block's list of them.

use std::sync::Arc;

use super::column::{ColumnType, joined};
use super::columns::Field;
use super::fields::{Fields, Row};
use super::{Cell, Column, DistanceRecord, Record, TransferRecord};

/// Columns of a block's records; `cell` is an index into the block's list of cells.
pub(super) const RECORD_COLUMNS: &[Column] =
    &joined::<{ SUBJECT.len() + Record::AFTER.len() }>(&[SUBJECT, Record::AFTER]);
const SUBJECT: &[Column] =
    &[internal("cell"), internal("sample_id"), internal("label"), internal("clean_pred"), internal("target")];

/// Columns of a block's distances.
pub(super) const DISTANCE_COLUMNS: &[Column] = &joined::<
    { DistanceRecord::BEFORE.len() + SEARCHED.len() + DistanceRecord::AFTER.len() },
>(&[DistanceRecord::BEFORE, SEARCHED, DistanceRecord::AFTER]);
const SEARCHED: &[Column] = &[internal("searched")];

/// Columns of a block's transfers; `cell` is an index into the block's list of cells.
pub(super) const TRANSFER_COLUMNS: &[Column] =
    &joined::<{ SOURCE.len() + TransferRecord::AFTER.len() }>(&[SOURCE, TransferRecord::AFTER]);
const SOURCE: &[Column] = &[internal("cell")];

/// A column that no table for readers has.
const fn internal(name: &'static str) -> Column {
    Column { name, form: ColumnType::Text, optional: false, meaning: "" }
}

pub(super) fn write_record(row: &mut Row, cell: usize, record: &Record) {
    record.write_row(row, |row| {
        cell.write(row);
        record.sample_id.write(row);
        record.label.write(row);
        record.clean_pred.write(row);
        record.target.write(row);
    });
}

/// The cell whose index is the next field.
fn cell(fields: &mut Fields<'_>, cells: &[Arc<Cell>]) -> Result<Arc<Cell>, String> {
    let index = usize::read(fields)?;
    cells.get(index).cloned().ok_or_else(|| format!("cell {index} of {}", cells.len()))
}

pub(super) fn read_record(fields: &mut Fields<'_>, cells: &[Arc<Cell>]) -> Result<Record, String> {
    Record::read_row(fields, |fields| {
        Ok((
            cell(fields, cells)?,
            Field::read(fields)?,
            Field::read(fields)?,
            Field::read(fields)?,
            Field::read(fields)?,
        ))
    })
}

pub(super) fn write_distance(row: &mut Row, distance: &DistanceRecord) {
    distance.write_row(row, |row| distance.searched.write(row));
}

pub(super) fn read_distance(fields: &mut Fields<'_>) -> Result<DistanceRecord, String> {
    DistanceRecord::read_row(fields, |fields| Ok((Field::read(fields)?,)))
}

pub(super) fn write_transfer(row: &mut Row, cell: usize, transfer: &TransferRecord) {
    transfer.write_row(row, |row| cell.write(row));
}

pub(super) fn read_transfer(fields: &mut Fields<'_>, cells: &[Arc<Cell>]) -> Result<TransferRecord, String> {
    TransferRecord::read_row(fields, |fields| Ok((cell(fields, cells)?,)))
}
