//! Data sets as plain 8-bit images: listing, class-balanced choice, decoding and preprocessing.
//!
//! [`open`] makes a [`Dataset`] of a suite's `[data]`: one type per form lists samples with ids and labels and reads their
//! images one by one, and [`Uniform`] around it brings them to one size. Images are decoded
//! on demand, so that memory does not grow with their number: block by block ([`Selection::load_block`], and ahead of
//! their use [`Loading`]), or in batches ([`in_batches`]).

mod ahead;
mod batches;
mod budget;
pub mod cifar10;
pub mod cifar100;
mod class_names;
mod classes;
mod csv_table;
mod decode;
mod idx;
mod image_files;
mod image_folder;
mod imagenet;
mod labels;
mod listing;
#[cfg(test)]
mod parity;
mod pictures;
mod png;
mod preprocess;
mod records;
mod resample;
mod selection;
pub mod synthetic;
mod tensor_file;
mod text;
mod uniform;
mod webdataset;

use std::path::PathBuf;

pub use ahead::Loading;
pub use batches::{Batch, Batches, in_batches};
pub use cifar10::Cifar10;
pub use classes::{Numbering, class_count, misfit};
pub use pictures::Pictures;
pub use selection::{Sample, Selection, Skipped, load, select};
pub use synthetic::Synthetic;
pub use tensor_file::TensorFile;
pub use uniform::Uniform;

use crate::suite::{DataConfig, DataSource};
use crate::terms::SampleId;
use class_names::ClassList;

/// Opens a data set: checks that it is there and lists its samples, without decoding images.
///
/// # Errors
/// If a file is missing, empty or not of the expected form; each names the file, the line where there is one, and what
/// would be right.
pub fn open(config: &DataConfig) -> Result<Box<dyn Dataset>, DataError> {
    let names = config.class_names.as_ref().map(ClassList::open).transpose()?;
    let names = names.as_ref();
    let dataset: Box<dyn Dataset> = match &config.source {
        DataSource::Synthetic { split, size } => Box::new(Synthetic::new(*split, *size)),
        DataSource::Cifar10 { root, split } => Box::new(Cifar10::open(root, *split)?),
        DataSource::Cifar100 { root, split, labels } => Box::new(cifar100::open(root, *split, *labels)?),
        DataSource::Mnist { root, split } => Box::new(idx::open_mnist(root, *split)?),
        DataSource::FashionMnist { root, split } => Box::new(idx::open_fashion_mnist(root, *split)?),
        DataSource::Idx { images, labels } => Box::new(idx::open(images, labels, names)?),
        DataSource::ImageFolder { root } => Box::new(image_folder::open(root, names)?),
        DataSource::ImagenetVal { root, labels, synsets } => {
            Box::new(imagenet::open(root, labels, synsets.as_deref())?)
        }
        DataSource::Csv { file, root } => Box::new(csv_table::open(file, root, names)?),
        DataSource::Webdataset { root, shards, label_field } => {
            Box::new(webdataset::open(root, shards, label_field, names)?)
        }
    };
    Ok(Box::new(Uniform::new(dataset, config.preprocess, names, config.on_error)?))
}

/// One decoded image: planar RGB, `channels * height * width` bytes (CHW).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Colour planes: 3, or 1 for grey-scale.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values, plane by plane, row by row.
    pub pixels: Vec<u8>,
}

/// A data set: a fixed order of samples with ids and labels, and their images on demand.
pub trait Dataset: Send + Sync {
    /// The name used in records, such as `cifar10`.
    fn name(&self) -> &str;
    /// Class names, by class index; empty where a class has none.
    fn classes(&self) -> &[String];
    /// Number of samples.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The stable id of sample `index`.
    fn id(&self, index: usize) -> SampleId;
    /// The class index of sample `index`.
    fn label(&self, index: usize) -> u32;
    /// Decode sample `index`.
    fn image(&self, index: usize) -> Result<Image, DataError>;
    /// Width and height of sample `index`, as far as they can be told without decoding it.
    fn size(&self, index: usize) -> Option<(u32, u32)>;
    /// How the classes got their numbers.
    fn numbering(&self) -> Numbering {
        Numbering::Fixed
    }
    /// What looks wrong about the data, one sentence each, and need not be.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    /// Where sample `index` lies, for messages: its file, and its place in it if it is not the whole file.
    fn location(&self, index: usize) -> PathBuf;
    /// A number that changes when the stored image does: of a hash of its bytes, which are read for it.
    fn fingerprint(&self, index: usize) -> Result<u64, DataError>;
}

/// What can go wrong with data; each names the file or the sample.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file could not be opened or read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The content is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file, or the file and the place in it.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A line of a text file is not what it should be.
    #[error("{path}:{line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The data set as a whole cannot be used.
    #[error("{0}")]
    Dataset(String),
}

/// Decodes an image in memory: for tests with any bytes.
#[doc(hidden)]
pub fn decode_bytes(bytes: &[u8]) -> Result<Image, DataError> {
    decode::decode(bytes, std::path::Path::new("bytes"))
}

impl DataError {
    /// The error and its cause, on one line.
    pub fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// A file whose content is wrong.
    fn content(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        DataError::Content { path: path.into(), problem: problem.into() }
    }

    /// A file that could not be read.
    fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| DataError::Read { path, source }
    }
}
