//! Universal perturbations: one perturbation for many images, and what it does to images that it was not made from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{AtomicFile, Status, StoreError, float_text};
use crate::stats::{mcnemar, wilson};
use crate::terms::{Epsilon, LayerName, Norm};

/// A universal perturbation at one radius.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UniversalRecord {
    /// The name of the `[[universal]]`.
    pub name: String,
    /// The model.
    pub model: String,
    /// What it was made from.
    pub source: String,
    /// The layer.
    pub layer: LayerName,
    /// The unit.
    pub unit: String,
    /// The norm of the ball.
    pub norm: Norm,
    /// Its radius.
    pub epsilon: Epsilon,
    /// Images that it was made from.
    pub made_from: u64,
    /// Correctly classified images, others than those, that it is judged on.
    pub n: u64,
    /// Those whose prediction it changes.
    pub flips: u64,
    /// Those that it brings to the class of the unit, if the unit is a class.
    pub hits: Option<u64>,
    /// Draws of the control: the same values at other pixels, so of the same length in every norm.
    pub draws: u64,
    /// Flips over all draws.
    pub control_flips: u64,
    /// Images that flip with the perturbation and not with the first draw.
    pub only: u64,
    /// Images that flip with the first draw and not with the perturbation.
    pub only_control: u64,
    /// The class that flips most often end in, and how many do.
    pub top_class: Option<(u32, u64)>,
    /// Mean of the unit's activation with the perturbation less that without, over the standard deviation without.
    pub gain: Option<f64>,
    /// How it went.
    pub status: Status,
    /// A PNG file of the perturbation, magnified, relative to the folder of universal perturbations.
    pub file: String,
}

impl UniversalRecord {
    /// Share of flips of the control.
    pub fn control_rate(&self) -> f64 {
        self.control_flips as f64 / (self.n * self.draws).max(1) as f64
    }

    /// One-sided p value that the perturbation flips no more than its first shuffled twin (McNemar).
    pub fn p(&self) -> f64 {
        mcnemar(self.only, self.only_control).greater
    }
}

/// The columns of `universal.csv`.
pub const UNIVERSAL_COLUMNS: [&str; 19] = [
    "name",
    "model",
    "source_of",
    "layer",
    "unit",
    "norm",
    "epsilon",
    "made_from",
    "n",
    "flip_rate",
    "flip_rate_lo",
    "flip_rate_hi",
    "shuffled_rate",
    "p",
    "class_rate",
    "top_class",
    "top_share",
    "gain_z",
    "status",
];

/// Writes `universal.csv`: whole, or not at all. Returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_universal(path: &Path, records: &[UniversalRecord]) -> Result<String, StoreError> {
    let mut writer = csv::WriterBuilder::new().from_writer(AtomicFile::create(path)?);
    let head = UNIVERSAL_COLUMNS.map(String::from).to_vec();
    for row in std::iter::once(head).chain(records.iter().map(row)) {
        let row = row.iter().map(|field| crate::wording::escape::cell(field).into_owned());
        writer.write_record(row).map_err(|error| StoreError::io("write", path)(error.into()))?;
    }
    writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?.finish()
}

fn row(record: &UniversalRecord) -> Vec<String> {
    let rate = wilson(record.flips, record.n);
    let share = |count: u64, all: u64| float_text(count as f64 / all.max(1) as f64);
    vec![
        record.name.clone(),
        record.model.clone(),
        record.source.clone(),
        record.layer.to_string(),
        record.unit.clone(),
        record.norm.to_string(),
        float_text(record.epsilon.value()),
        record.made_from.to_string(),
        record.n.to_string(),
        float_text(rate.point),
        float_text(rate.lo),
        float_text(rate.hi),
        float_text(record.control_rate()),
        float_text(record.p()),
        record.hits.map(|hits| share(hits, record.n)).unwrap_or_default(),
        record.top_class.map(|(class, _)| class.to_string()).unwrap_or_default(),
        record.top_class.map(|(_, count)| share(count, record.flips)).unwrap_or_default(),
        record.gain.map(float_text).unwrap_or_default(),
        record.status.as_str().to_owned(),
    ]
}
