//! `distances.csv`: one row per sample, model and method.

use std::path::Path;

use super::intern::Interner;
use super::table::{TableReader, TableWriter};
use super::{DistanceRecord, StoreError};

/// The columns of `distances.csv`, in order.
pub const DISTANCES_COLUMNS: &[&str] = &[
    "run",
    "model",
    "sample_id",
    "label",
    "clean_pred",
    "norm",
    "method",
    "distance",
    "bracket",
    "censored",
    "linearized",
    "adv_pred",
    "forwards",
    "backwards",
    "status",
];

/// Writes `distances.csv`; without [`DistancesWriter::finish`] no file appears.
pub struct DistancesWriter {
    table: TableWriter,
    run: String,
}

impl DistancesWriter {
    /// Begin the file `path` of the run `run`.
    pub fn create(path: &Path, run: &str) -> Result<Self, StoreError> {
        Ok(DistancesWriter { table: TableWriter::create(path, DISTANCES_COLUMNS)?, run: run.to_owned() })
    }

    /// Append one row.
    pub fn write(&mut self, distance: &DistanceRecord) -> Result<(), StoreError> {
        self.table.write(|row| {
            row.text(&self.run);
            row.text(&distance.model);
            row.text(distance.sample_id.as_str());
            row.show(distance.label);
            row.show(distance.clean_pred);
            row.text(distance.norm.as_str());
            row.text(&distance.method);
            row.float64(distance.distance);
            row.float64(distance.bracket);
            row.show(distance.censored);
            row.float64(distance.linearized);
            row.show(distance.adv_pred);
            row.show(distance.forwards);
            row.show(distance.backwards);
            row.text(distance.status.as_str());
        })
    }

    /// Sync the file and give it its name. Returns its blake3 hash.
    pub fn finish(self) -> Result<String, StoreError> {
        self.table.finish()
    }
}

/// Reads `distances.csv`, row after row.
pub struct DistancesReader {
    table: TableReader,
    searched: f64,
    names: Interner,
    samples: Interner,
}

impl DistancesReader {
    /// Open the file `path`. `searched` is the radius where censored distances end, which the table does not tell (see
    /// [`Manifest::searched_radius`](super::Manifest::searched_radius)).
    pub fn open(path: &Path, searched: f64) -> Result<Self, StoreError> {
        let table = TableReader::open(path, DISTANCES_COLUMNS)?;
        Ok(DistancesReader { table, searched, names: Interner::default(), samples: Interner::default() })
    }
}

impl Iterator for DistancesReader {
    type Item = Result<DistanceRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let DistancesReader { table, searched, names, samples } = self;
        table.next(|_, fields| {
            let _run = fields.text();
            Ok(DistanceRecord {
                model: names.name(fields.text()),
                sample_id: samples.sample(fields.text()),
                label: fields.whole()?,
                clean_pred: fields.whole()?,
                norm: fields.known()?,
                method: names.name(fields.text()),
                distance: fields.float()?,
                bracket: fields.float()?,
                searched: *searched,
                censored: fields.boolean()?,
                linearized: fields.float()?,
                adv_pred: fields.whole()?,
                forwards: fields.whole()?,
                backwards: fields.whole()?,
                status: fields.known()?,
            })
        })
    }
}
