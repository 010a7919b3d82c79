//! Images of one size, one after the other in memory, as CIFAR's batches and IDX files hold them.

use std::path::PathBuf;

use super::{DataError, Dataset, Image, Numbering};
use crate::terms::SampleId;

/// Records of equal length, each with the bytes of an image.
#[derive(Debug)]
pub(super) struct Records {
    /// The data set's name.
    pub(super) name: &'static str,
    /// What stands before a sample's number in its id: `test/`, or nothing.
    pub(super) prefix: String,
    /// Class names.
    pub(super) classes: Vec<String>,
    /// Class index of each record.
    pub(super) labels: Vec<u32>,
    /// The records: as many as labels.
    pub(super) bytes: Vec<u8>,
    /// Bytes of a record before its image.
    pub(super) skip: usize,
    /// Channels, rows and columns of an image.
    pub(super) shape: [usize; 3],
    /// Where the records come from, for messages.
    pub(super) path: PathBuf,
}

impl Records {
    fn record(&self, index: usize) -> &[u8] {
        let length = self.skip + self.shape.iter().product::<usize>();
        &self.bytes[index * length..(index + 1) * length]
    }
}

impl Dataset for Records {
    fn name(&self) -> &str {
        self.name
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn id(&self, index: usize) -> SampleId {
        format!("{}{index:05}", self.prefix).into()
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn numbering(&self) -> Numbering {
        if self.classes.is_empty() { Numbering::Numbers } else { Numbering::Fixed }
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        let [channels, height, width] = self.shape;
        Ok(Image { channels, height, width, pixels: self.record(index)[self.skip..].to_vec() })
    }

    fn size(&self, _index: usize) -> Option<(u32, u32)> {
        let [_, height, width] = self.shape;
        Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
    }

    fn location(&self, index: usize) -> PathBuf {
        let mut place = self.path.clone().into_os_string();
        place.push(format!(" (image {index})"));
        place.into()
    }

    fn fingerprint(&self, index: usize) -> Result<u64, DataError> {
        Ok(fingerprint(self.record(index)))
    }
}

/// Eight bytes of a hash of what is stored for an image.
pub(super) fn fingerprint(stored: &[u8]) -> u64 {
    blake3::hash(stored).as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
