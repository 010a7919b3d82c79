//! What the tables of a run share: header checks, whole-file writing, and the pass over the blocks that makes them.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Writer, WriterBuilder};

use super::column::fewest;
use super::fields::{Fields, Row};
use super::intern::Interner;
use super::{AtomicFile, Block, Column, DistancesWriter, RunDir, SamplesWriter, StoreError};
use crate::files::open_regular;

/// A CSV file that is being written.
pub(super) struct TableWriter {
    writer: Writer<AtomicFile>,
    path: PathBuf,
    row: Row,
}

impl TableWriter {
    pub(super) fn create(path: &Path, columns: &[&str]) -> Result<Self, StoreError> {
        let writer = WriterBuilder::new().from_writer(AtomicFile::create(path)?);
        let mut table = TableWriter { writer, path: path.to_owned(), row: Row::default() };
        table.write(|row| columns.iter().for_each(|column| row.text(column)))?;
        Ok(table)
    }

    pub(super) fn write(&mut self, fill: impl FnOnce(&mut Row)) -> Result<(), StoreError> {
        self.row.clear();
        fill(&mut self.row);
        self.writer.write_record(&self.row.fields).map_err(|error| StoreError::io("write", &self.path)(error.into()))
    }

    pub(super) fn finish(self) -> Result<String, StoreError> {
        let inner = self.writer.into_inner();
        inner.map_err(|error| StoreError::io("write", &self.path)(error.into_error()))?.finish()
    }
}

/// A CSV file that is being read.
pub(super) struct TableReader {
    reader: csv::Reader<File>,
    path: PathBuf,
    columns: &'static [Column],
    interner: Interner,
    row: StringRecord,
}

impl TableReader {
    /// Opens a table with these columns; optional ones at the end may be lacking, as they do in files of before there were such columns.
    pub(super) fn open(path: &Path, columns: &'static [Column]) -> Result<Self, StoreError> {
        let file = open_regular(path).map_err(StoreError::io("read", path))?;
        let mut reader = ReaderBuilder::new().from_reader(file);
        let header = reader.headers().map_err(|error| StoreError::table(path, error))?;
        let is_older =
            |older: &&[Column]| older.len() >= fewest(columns) && older.iter().map(|column| column.name).eq(header);
        let columns = columns.get(..header.len()).filter(is_older).unwrap_or(columns);
        if let Some(problem) = header_problem(header, columns) {
            return Err(StoreError::Table { path: path.to_owned(), line: 1, problem });
        }
        Ok(TableReader {
            reader,
            path: path.to_owned(),
            columns,
            interner: Interner::default(),
            row: StringRecord::new(),
        })
    }

    /// The next row, as `read` understands it; none at the end.
    pub(super) fn next<T>(
        &mut self,
        read: impl FnOnce(&StringRecord, &mut Fields<'_>) -> Result<T, String>,
    ) -> Option<Result<T, StoreError>> {
        match self.reader.read_record(&mut self.row) {
            Err(error) => return Some(Err(StoreError::table(&self.path, error))),
            Ok(false) => return None,
            Ok(true) => {}
        }
        let fields = Fields::new(&self.row, self.columns, &mut self.interner);
        let value = fields.and_then(|mut fields| read(&self.row, &mut fields));
        Some(value.map_err(|problem| {
            let line = self.row.position().map_or(0, csv::Position::line);
            StoreError::Table { path: self.path.clone(), line, problem }
        }))
    }
}

fn header_problem(header: &StringRecord, columns: &[Column]) -> Option<String> {
    let columns: Vec<&str> = columns.iter().map(|column| column.name).collect();
    if header.iter().eq(columns.iter().copied()) {
        return None;
    }
    let missing: Vec<&str> =
        columns.iter().copied().filter(|column| !header.iter().any(|name| name == *column)).collect();
    let extra: Vec<&str> = header.iter().filter(|name| !columns.contains(name)).collect();
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!("missing columns: {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        problems.push(format!("unknown columns: {}", extra.join(", ")));
    }
    if problems.is_empty() {
        problems.push(format!("columns out of order; expected {}", columns.join(",")));
    }
    Some(problems.join("; "))
}

/// What [`assemble_tables`] wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assembled {
    /// blake3 of `samples.csv`, in hexadecimal.
    pub samples_hash: String,
    /// blake3 of `distances.csv`, in hexadecimal.
    pub distances_hash: String,
    /// Rows of `samples.csv`.
    pub samples: u64,
    /// Rows of `distances.csv`.
    pub distances: u64,
}

/// Write `samples.csv` and `distances.csv` from the finished blocks `keys`, in that order, holding one block in memory
/// at a time. `visit` sees each block as it passes, so that a summary needs no second reading. A missing block is an
/// error.
pub fn assemble_tables(dir: &RunDir, keys: &[String], mut visit: impl FnMut(&Block)) -> Result<Assembled, StoreError> {
    let mut samples = SamplesWriter::create(&dir.samples_path(), dir.run())?;
    let mut distances = DistancesWriter::create(&dir.distances_path(), dir.run())?;
    let mut assembled = Assembled::default();
    for key in keys {
        let block = finished(dir, key)?;
        block.records.iter().try_for_each(|record| samples.write(record))?;
        block.distances.iter().try_for_each(|distance| distances.write(distance))?;
        assembled.samples += block.records.len() as u64;
        assembled.distances += block.distances.len() as u64;
        visit(&block);
    }
    assembled.samples_hash = samples.finish()?;
    assembled.distances_hash = distances.finish()?;
    Ok(assembled)
}

/// The block `key`, which must be there.
pub(super) fn finished(dir: &RunDir, key: &str) -> Result<Block, StoreError> {
    dir.block(key)?.ok_or_else(|| StoreError::Content {
        path: dir.path().to_owned(),
        problem: format!("block `{key}` is missing; run the suite again to finish it"),
    })
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
