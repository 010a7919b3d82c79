//! `images.csv`: what each exported image is.

use std::path::{Path, PathBuf};

use csv::WriterBuilder;

use super::ExportError;
use super::source::Saved;
use crate::record::{AtomicFile, StoreError, float_text};
use crate::terms::LayerName;
use crate::wording::escape::cell;

/// The columns of `images.csv`. `path` and `label` make it a data set of `kind = "csv"`.
pub const IMAGES_COLUMNS: [&str; 19] = [
    "path",
    "label",
    "row",
    "sample_id",
    "model",
    "attack",
    "kind",
    "target",
    "layer",
    "unit",
    "norm",
    "epsilon",
    "clean_pred",
    "adv_pred",
    "flipped",
    "flipped_u8",
    "linf",
    "l2",
    "status",
];

/// `images.csv`.
pub(super) struct ImageTable {
    writer: csv::Writer<AtomicFile>,
    path: PathBuf,
}

impl ImageTable {
    pub(super) fn create(out: &Path) -> Result<Self, ExportError> {
        let path = out.join("images.csv");
        let writer = WriterBuilder::new().from_writer(AtomicFile::create(&path)?);
        let mut table = ImageTable { writer, path };
        table.put(&IMAGES_COLUMNS.map(String::from))?;
        Ok(table)
    }

    fn put(&mut self, fields: &[String]) -> Result<(), ExportError> {
        let written = self.writer.write_record(fields);
        Ok(written.map_err(|error| StoreError::io("write", &self.path)(error.into()))?)
    }

    /// The row of an image that lies at `place`.
    pub(super) fn write(&mut self, place: &str, saved: &Saved<'_>) -> Result<(), ExportError> {
        let record = saved.record;
        let name = &record.cell;
        self.put(&[
            place.to_owned(),
            record.label.to_string(),
            saved.row.to_string(),
            cell(record.sample_id.as_str()).into_owned(),
            cell(&name.model).into_owned(),
            cell(&name.attack).into_owned(),
            name.kind.to_string(),
            record.target.map(|target| target.to_string()).unwrap_or_default(),
            cell(name.layer.as_ref().map_or("", LayerName::as_str)).into_owned(),
            cell(&name.unit_text()).into_owned(),
            name.norm.to_string(),
            float_text(name.epsilon.value()),
            record.clean_pred.to_string(),
            record.adv_pred.to_string(),
            record.flipped.to_string(),
            record.flipped_u8.to_string(),
            float_text(record.linf.into()),
            float_text(record.l2.into()),
            record.status.to_string(),
        ])
    }

    pub(super) fn finish(self) -> Result<(), ExportError> {
        let inner = self.writer.into_inner();
        inner.map_err(|error| StoreError::io("write", &self.path)(error.into_error()))?.finish()?;
        Ok(())
    }
}
