//! `distances.csv`: one row per sample, model and method.

use std::path::Path;
use std::sync::Arc;

use super::column::{joined, names};
use super::columns::columns;
use super::table::{TableReader, TableWriter};
use super::{Column, DistanceRecord, StoreError};

columns! {
    /// What stands before a distance's own columns.
    struct Heading {
        /// the run's identity
        run: Arc<str>,
        supplied {}
    }
}

/// The columns of `distances.csv`, in order.
pub const DISTANCES_TABLE: &[Column] = &COLUMNS;
/// Their names.
pub const DISTANCES_COLUMNS: &[&str] = &names(&COLUMNS);
const COLUMNS: [Column; Heading::BEFORE.len() + DistanceRecord::BEFORE.len() + DistanceRecord::AFTER.len()] =
    joined(&[Heading::BEFORE, DistanceRecord::BEFORE, DistanceRecord::AFTER]);

/// Writes `distances.csv`; without [`DistancesWriter::finish`] no file appears.
pub struct DistancesWriter {
    table: TableWriter,
    heading: Heading,
}

impl DistancesWriter {
    /// Begin the file `path` of the run `run`.
    pub fn create(path: &Path, run: &str) -> Result<Self, StoreError> {
        Ok(DistancesWriter {
            table: TableWriter::create(path, DISTANCES_COLUMNS)?,
            heading: Heading { run: run.into() },
        })
    }

    /// Append one row.
    pub fn write(&mut self, distance: &DistanceRecord) -> Result<(), StoreError> {
        self.table.write(|row| {
            self.heading.write_row(row, |_| ());
            distance.write_row(row, |_| ());
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
}

impl DistancesReader {
    /// Open the file `path`. `searched` is the radius where censored distances end, which the table does not tell (see
    /// [`Manifest::searched_radius`](super::Manifest::searched_radius)).
    pub fn open(path: &Path, searched: f64) -> Result<Self, StoreError> {
        let table = TableReader::open(path, DISTANCES_TABLE)?;
        Ok(DistancesReader { table, searched })
    }
}

impl Iterator for DistancesReader {
    type Item = Result<DistanceRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let searched = self.searched;
        self.table.next(|_, fields| {
            Heading::read_row(fields, |_| Ok(()))?;
            DistanceRecord::read_row(fields, |_| Ok((searched,)))
        })
    }
}
