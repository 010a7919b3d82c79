//! Data sets as plain 8-bit images: listing, class-balanced choice, decoding and preprocessing.

mod ahead;
mod batches;
pub mod cifar10;
mod decode;
pub mod image_folder;
mod listing;
#[cfg(test)]
mod parity;
mod pictures;
mod png;
mod preprocess;
mod resample;
mod selection;
pub mod synthetic;
mod tensor_file;

pub use ahead::Loading;
pub use batches::{Batch, Batches, in_batches};
pub use cifar10::Cifar10;
pub use image_folder::ImageFolder;
pub use pictures::Pictures;
pub use selection::{Sample, Selection, Skipped, load, select};
pub use synthetic::Synthetic;
pub use tensor_file::TensorFile;

use crate::suite::DataSource;
use crate::terms::SampleId;

/// Opens a data set: checks that it is there and lists its samples, without decoding images.
///
/// # Errors
/// If the root is missing, empty or not of the expected form; each names the file or folder and what would be right.
pub fn open(source: &DataSource) -> Result<Box<dyn Dataset>, DataError> {
    Ok(match source {
        DataSource::Synthetic { split, size } => Box::new(Synthetic::new(*split, *size)),
        DataSource::Cifar10 { root, split } => Box::new(Cifar10::open(root, *split)?),
        DataSource::ImageFolder { root, preprocess } => Box::new(ImageFolder::open(root, *preprocess)?),
    })
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
    /// Class names, by class index.
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
    /// Decode and preprocess sample `index`.
    fn image(&self, index: usize) -> Result<Image, DataError>;
    /// A number that changes, as a rule, when the stored image does, and costs less than decoding it: a file's length, or
    /// a hash of what is in memory.
    fn fingerprint(&self, index: usize) -> Result<u64, DataError>;
}

/// What can go wrong with data; each names the file or the sample.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file could not be opened or read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The content is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The data set as a whole cannot be used.
    #[error("{0}")]
    Dataset(String),
}
