//! The part of a record that a block's rows and `samples.csv` share, and the rows of a block.

use std::sync::Arc;

use super::fields::{Fields, Row};
use super::{Cell, DistanceRecord, Record, TransferRecord};
use crate::terms::SampleId;

/// Columns of a block's records; `cell` is an index into the block's list of cells.
pub(super) const RECORD_COLUMNS: &[&str] = &[
    "cell",
    "sample_id",
    "label",
    "clean_pred",
    "target",
    "steps",
    "forwards",
    "backwards",
    "adv_pred",
    "flipped",
    "flipped_u8",
    "target_hit",
    "margin_clean",
    "margin_adv",
    "confidence_clean",
    "confidence_adv",
    "activation_clean",
    "activation_adv",
    "activation_gain_z",
    "linf",
    "l2",
    "l1",
    "l0",
    "status",
    "part",
];

/// Columns of a block's distances.
pub(super) const DISTANCE_COLUMNS: &[&str] = &[
    "model",
    "sample_id",
    "label",
    "clean_pred",
    "norm",
    "method",
    "distance",
    "bracket",
    "searched",
    "censored",
    "linearized",
    "adv_pred",
    "forwards",
    "backwards",
    "status",
];

/// Columns of a block's transfers; `cell` is an index into the block's list of cells.
pub(super) const TRANSFER_COLUMNS: &[&str] =
    &["cell", "victim", "sample_id", "flipped", "victim_pred", "fooled", "fooled_by_noise", "forwards"];

/// Everything from `steps` on: the same in a block and in `samples.csv`.
pub(super) fn write_outcome(row: &mut Row, record: &Record) {
    row.show(record.steps);
    row.show(record.forwards);
    row.show(record.backwards);
    row.show(record.adv_pred);
    row.show(record.flipped);
    row.show(record.flipped_u8);
    row.optional(record.target_hit, |row, hit| row.show(hit));
    row.float32(record.margin_clean);
    row.float32(record.margin_adv);
    row.float32(record.confidence_clean);
    row.float32(record.confidence_adv);
    row.optional(record.activation_clean, Row::float32);
    row.optional(record.activation_adv, Row::float32);
    row.optional(record.activation_gain_z, Row::float32);
    row.float32(record.linf);
    row.float32(record.l2);
    row.float32(record.l1);
    row.show(record.l0);
    row.text(record.status.as_str());
    row.text(record.part.as_deref().unwrap_or_default());
}

/// What stands before the outcome.
pub(super) struct Subject {
    pub(super) cell: Arc<Cell>,
    pub(super) sample_id: SampleId,
    pub(super) label: u32,
    pub(super) clean_pred: u32,
    pub(super) target: Option<u32>,
}

/// Reads what [`write_outcome`] wrote.
pub(super) fn read_outcome(fields: &mut Fields<'_>, subject: Subject) -> Result<Record, String> {
    let Subject { cell, sample_id, label, clean_pred, target } = subject;
    Ok(Record {
        cell,
        sample_id,
        label,
        clean_pred,
        target,
        steps: fields.whole()?,
        forwards: fields.whole()?,
        backwards: fields.whole()?,
        adv_pred: fields.whole()?,
        flipped: fields.boolean()?,
        flipped_u8: fields.boolean()?,
        target_hit: fields.optional(Fields::boolean)?,
        margin_clean: fields.float()?,
        margin_adv: fields.float()?,
        confidence_clean: fields.float()?,
        confidence_adv: fields.float()?,
        activation_clean: fields.optional(Fields::float)?,
        activation_adv: fields.optional(Fields::float)?,
        activation_gain_z: fields.optional(Fields::float)?,
        linf: fields.float()?,
        l2: fields.float()?,
        l1: fields.float()?,
        l0: fields.whole()?,
        status: fields.known()?,
        part: Some(fields.text()).filter(|part| !part.is_empty()).map(Arc::from),
    })
}

pub(super) fn write_record(row: &mut Row, cell: usize, record: &Record) {
    row.show(cell);
    row.text(record.sample_id.as_str());
    row.show(record.label);
    row.show(record.clean_pred);
    row.optional(record.target, |row, target| row.show(target));
    write_outcome(row, record);
}

/// The cell whose index is the next field.
fn cell(fields: &mut Fields<'_>, cells: &[Arc<Cell>]) -> Result<Arc<Cell>, String> {
    let index: usize = fields.whole()?;
    cells.get(index).cloned().ok_or_else(|| format!("cell {index} of {}", cells.len()))
}

pub(super) fn read_record(
    fields: &mut Fields<'_>,
    cells: &[Arc<Cell>],
    sample: impl FnOnce(&str) -> SampleId,
) -> Result<Record, String> {
    let subject = Subject {
        cell: cell(fields, cells)?,
        sample_id: sample(fields.text()),
        label: fields.whole()?,
        clean_pred: fields.whole()?,
        target: fields.optional(Fields::whole)?,
    };
    read_outcome(fields, subject)
}

pub(super) fn write_distance(row: &mut Row, distance: &DistanceRecord) {
    row.text(&distance.model);
    row.text(distance.sample_id.as_str());
    row.show(distance.label);
    row.show(distance.clean_pred);
    row.text(distance.norm.as_str());
    row.text(&distance.method);
    row.float64(distance.distance);
    row.float64(distance.bracket);
    row.float64(distance.searched);
    row.show(distance.censored);
    row.float64(distance.linearized);
    row.show(distance.adv_pred);
    row.show(distance.forwards);
    row.show(distance.backwards);
    row.text(distance.status.as_str());
}

pub(super) fn read_distance(
    fields: &mut Fields<'_>,
    mut name: impl FnMut(&str) -> Arc<str>,
    sample: impl FnOnce(&str) -> SampleId,
) -> Result<DistanceRecord, String> {
    Ok(DistanceRecord {
        model: name(fields.text()),
        sample_id: sample(fields.text()),
        label: fields.whole()?,
        clean_pred: fields.whole()?,
        norm: fields.known()?,
        method: name(fields.text()),
        distance: fields.float()?,
        bracket: fields.float()?,
        searched: fields.float()?,
        censored: fields.boolean()?,
        linearized: fields.float()?,
        adv_pred: fields.whole()?,
        forwards: fields.whole()?,
        backwards: fields.whole()?,
        status: fields.known()?,
    })
}

pub(super) fn write_transfer(row: &mut Row, cell: usize, transfer: &TransferRecord) {
    row.show(cell);
    row.text(&transfer.victim);
    row.text(transfer.sample_id.as_str());
    row.show(transfer.flipped);
    row.show(transfer.victim_pred);
    row.show(transfer.fooled);
    row.show(transfer.fooled_by_noise);
    row.show(transfer.forwards);
}

pub(super) fn read_transfer(
    fields: &mut Fields<'_>,
    cells: &[Arc<Cell>],
    name: impl FnOnce(&str) -> Arc<str>,
    sample: impl FnOnce(&str) -> SampleId,
) -> Result<TransferRecord, String> {
    Ok(TransferRecord {
        cell: cell(fields, cells)?,
        victim: name(fields.text()),
        sample_id: sample(fields.text()),
        flipped: fields.boolean()?,
        victim_pred: fields.whole()?,
        fooled: fields.boolean()?,
        fooled_by_noise: fields.boolean()?,
        forwards: fields.whole()?,
    })
}
