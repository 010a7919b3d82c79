//! The adversarial images of a run, each with its record.

use std::path::Path;

use safetensors::Dtype;

use super::{Choice, ExportError};
use crate::data::TensorFile;
use crate::record::{Manifest, Record, RunDir, SamplesReader};

/// An image and its record.
pub(super) struct Saved<'a> {
    /// The row of `samples.csv`, from 0.
    pub(super) row: u64,
    /// That row.
    pub(super) record: &'a Record,
    /// Channels, height and width.
    pub(super) shape: [usize; 3],
    /// Values in [0, 1], channel after channel; empty if only records are asked for.
    pub(super) pixels: &'a [f32],
}

/// Whether the images' values are read, or their records alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Pixels,
    Records,
}

/// Calls `visit` with each of the run's images that `choice` takes, by file, then row. Holds one image in memory at a time, and the places
/// of those of one file.
pub(super) fn for_each_image(
    dir: &RunDir,
    manifest: &Manifest,
    choice: &Choice,
    reading: Reading,
    mut visit: impl FnMut(&Saved<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let files: Vec<&String> = manifest.outputs.keys().filter(|name| name.starts_with("adversarial/")).collect();
    if files.is_empty() {
        return Err(ExportError::NotSaved(dir.path().to_owned()));
    }
    for name in files {
        Images::open(&dir.path().join(name))?.visit(dir, manifest, choice, reading, &mut visit)?;
    }
    Ok(())
}

/// One file of a model's and an attack's images.
struct Images {
    file: TensorFile,
    shape: [usize; 3],
    rows: Vec<u64>,
}

impl Images {
    fn open(path: &Path) -> Result<Self, ExportError> {
        let wrong = |problem: &str| ExportError::Content { path: path.to_owned(), problem: problem.to_owned() };
        let file = TensorFile::open(path)?;
        let (images, shape) = match file.tensor("x") {
            Some((Dtype::F32, &[images, channels, height, width])) => (images, [channels, height, width]),
            _ => return Err(wrong("has no f32 tensor `x` of images")),
        };
        if file.tensor("index") != Some((Dtype::I64, &[images][..])) {
            return Err(wrong("has no i64 tensor `index` with a row for each image"));
        }
        let bytes = file.bytes("index", 0, images * 8)?;
        let rows = bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
        let rows: Option<Vec<u64>> = rows.map(|row| u64::try_from(row).ok()).collect();
        let rows = rows.filter(|rows| rows.is_sorted_by(|row, next| row < next));
        Ok(Images { shape, rows: rows.ok_or_else(|| wrong("its rows do not ascend"))?, file })
    }

    fn visit(
        &self,
        dir: &RunDir,
        manifest: &Manifest,
        choice: &Choice,
        reading: Reading,
        visit: &mut impl FnMut(&Saved<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let size = self.shape.iter().product::<usize>() * 4;
        let mut wanted = self.rows.iter().copied().enumerate();
        let mut next = wanted.next();
        let mut pixels = Vec::new();
        for (row, record) in SamplesReader::open(&dir.samples_path(), manifest.target_rules())?.enumerate() {
            let Some((at, _)) = next.filter(|(_, wanted)| *wanted == row as u64) else { continue };
            next = wanted.next();
            let record = record?;
            if !choice.takes_file(&record.cell.model, &record.cell.attack) {
                // All images of a file are of one model and attack.
                return Ok(());
            }
            let left_out = (choice.flipped && !record.flipped) || (!choice.controls && record.cell.kind.is_control());
            if left_out {
                continue;
            }
            if reading == Reading::Pixels {
                let bytes = self.file.bytes("x", at * size, size)?;
                pixels.clear();
                pixels.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            }
            visit(&Saved { row: row as u64, record: &record, shape: self.shape, pixels: &pixels })?;
        }
        match next {
            None => Ok(()),
            Some((_, row)) => Err(ExportError::Content {
                path: self.file.path().to_owned(),
                problem: format!("holds an image of row {row}, which samples.csv does not have"),
            }),
        }
    }
}
