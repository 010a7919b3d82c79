//! A data set whose images are files of their own.

use std::path::{Path, PathBuf};

use super::decode::{decode, file_size, read};
use super::listing::LabelledFile;
use super::records::fingerprint;
use super::{DataError, Dataset, Image, Numbering};
use crate::terms::SampleId;

/// Labelled image files below a folder; ids are paths relative to it.
#[derive(Debug)]
pub(super) struct ImageFiles {
    /// The data set's name.
    pub(super) name: &'static str,
    /// The folder.
    pub(super) root: PathBuf,
    /// Class names.
    pub(super) classes: Vec<String>,
    /// The files.
    pub(super) files: Vec<LabelledFile>,
    /// How classes got their numbers.
    pub(super) numbering: Numbering,
    /// What looks wrong, and need not be.
    pub(super) warnings: Vec<String>,
}

impl ImageFiles {
    fn path(&self, index: usize) -> PathBuf {
        self.root.join(self.files[index].id.as_str())
    }
}

impl Dataset for ImageFiles {
    fn name(&self) -> &str {
        self.name
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn id(&self, index: usize) -> SampleId {
        self.files[index].id.clone()
    }

    fn label(&self, index: usize) -> u32 {
        self.files[index].label
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decode_file(&self.path(index))
    }

    fn size(&self, index: usize) -> Option<(u32, u32)> {
        file_size(&self.path(index))
    }

    fn location(&self, index: usize) -> PathBuf {
        self.path(index)
    }

    fn numbering(&self) -> Numbering {
        self.numbering
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn fingerprint(&self, index: usize) -> Result<u64, DataError> {
        Ok(fingerprint(&read(&self.path(index))?))
    }
}

/// Reads and decodes an image file.
pub(super) fn decode_file(path: &Path) -> Result<Image, DataError> {
    decode(&read(path)?, path)
}
