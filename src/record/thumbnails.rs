//! Small clean images of a run's samples, so that reports show any of them without the data set: each block holds those
//! of its samples, and `thumbnails.safetensors` all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{StoreError, write_atomically};
use crate::files::read_regular;
use crate::terms::SampleId;

/// Longest side of a thumbnail, in pixels; smaller images are kept as they are.
pub const THUMBNAIL_SIDE: usize = 48;

/// Samples of a run that have a thumbnail: the first of its selection, which are class-balanced. A thumbnail has about 2.5
/// kB if the image is 32 pixels wide, and at most about 7 kB.
pub const MOST_THUMBNAILS: usize = 10_000;

/// A larger file was not written by am-eval.
const LARGEST_FILE: u64 = 1 << 28;

/// A small clean image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// The sample.
    pub sample_id: SampleId,
    /// The image as PNG.
    pub png: Vec<u8>,
}

/// The thumbnails of a run, by sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thumbnails {
    ids: Vec<SampleId>,
    places: HashMap<SampleId, usize>,
    /// PNG files, one after the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Thumbnails {
    /// Add one, unless the sample has one already.
    pub fn add(&mut self, thumbnail: &Thumbnail) {
        self.insert(&thumbnail.sample_id, &thumbnail.png);
    }

    /// Add those of samples that have none yet.
    pub fn add_all(&mut self, others: Thumbnails) {
        if self.is_empty() {
            *self = others;
            return;
        }
        for id in &others.ids {
            self.insert(id, others.get(id).unwrap_or_default());
        }
    }

    fn insert(&mut self, sample: &SampleId, png: &[u8]) {
        if let Entry::Vacant(free) = self.places.entry(sample.clone()) {
            free.insert(self.ends.len());
            self.ids.push(sample.clone());
            self.bytes.extend_from_slice(png);
            self.ends.push(self.bytes.len());
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The sample's thumbnail as PNG.
    pub fn get(&self, sample: &SampleId) -> Option<&[u8]> {
        let &place = self.places.get(sample)?;
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        self.bytes.get(start..self.ends[place])
    }

    /// Write the file `path`: `png` u8 `[bytes]`, the PNG files one after the other; `ends` i64 `[N]`, where each ends; and
    /// `ids` in the header, a JSON list. Returns its blake3 hash.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<String, StoreError> {
        let content = |problem: String| StoreError::Content { path: path.to_owned(), problem };
        let ends: Vec<u8> = self.ends.iter().flat_map(|&end| (end as i64).to_le_bytes()).collect();
        let ids = serde_json::to_string(&self.ids).map_err(|error| content(error.to_string()))?;
        let view = |dtype, count, bytes| {
            TensorView::new(dtype, vec![count], bytes).map_err(|error| content(error.to_string()))
        };
        let tensors = [
            ("ends", view(Dtype::I64, self.ends.len(), &ends)?),
            ("png", view(Dtype::U8, self.bytes.len(), &self.bytes)?),
        ];
        let notes = HashMap::from([("ids".to_owned(), ids)]);
        let bytes = safetensors::serialize(tensors, Some(notes)).map_err(|error| content(error.to_string()))?;
        write_atomically(path, &bytes)
    }

    /// Read what [`Thumbnails::save`] wrote; empty if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read or contradicts itself.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let bytes = match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(about) if about.len() > LARGEST_FILE => Err("it is larger than 256 MiB".to_owned()),
            _ => Ok(read_regular(path, LARGEST_FILE).map_err(StoreError::io("read", path))?),
        };
        bytes.and_then(|bytes| decode(&bytes)).map_err(|problem| StoreError::Content { path: path.to_owned(), problem })
    }
}

fn decode(bytes: &[u8]) -> Result<Thumbnails, String> {
    let message = |error: safetensors::SafeTensorError| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(message)?;
    let ids = header.metadata().as_ref().and_then(|notes| notes.get("ids")).ok_or("its header has no `ids`")?;
    let ids: Vec<SampleId> = serde_json::from_str(ids).map_err(|error| format!("its `ids`: {error}"))?;
    let file = SafeTensors::deserialize(bytes).map_err(message)?;
    let (ends, png) = (file.tensor("ends").map_err(message)?, file.tensor("png").map_err(message)?);
    if (ends.dtype(), png.dtype()) != (Dtype::I64, Dtype::U8) {
        return Err("its tensors are not `ends` (I64) and `png` (U8)".to_owned());
    }
    let ends: Vec<usize> = ends.data().as_chunks().0.iter().map(|&end| i64::from_le_bytes(end) as usize).collect();
    if ends.len() != ids.len() || !ends.is_sorted() || ends.last().is_some_and(|&end| end > png.data().len()) {
        return Err("its `ends` do not fit its `ids` and `png`".to_owned());
    }
    let places = ids.iter().cloned().zip(0..).collect();
    Ok(Thumbnails { ids, places, bytes: png.data().to_vec(), ends })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some() -> Thumbnails {
        let mut thumbnails = Thumbnails::default();
        for (id, png) in [("a/\"1\".png", vec![1, 2, 3]), ("b", vec![]), ("c", vec![9; 40]), ("b", vec![5])] {
            thumbnails.add(&Thumbnail { sample_id: id.into(), png });
        }
        thumbnails
    }

    fn saved() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thumbnails.safetensors");
        let hash = some().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(hash, blake3::hash(&bytes).to_hex().as_str());
        assert_eq!(Thumbnails::load(&path).unwrap().get(&"c".into()), Some(&[9; 40][..]));
        bytes
    }

    #[test]
    fn each_sample_finds_its_own() {
        let read = decode(&saved()).unwrap();
        assert_eq!(read, some());
        assert_eq!(read.get(&"a/\"1\".png".into()), Some(&[1, 2, 3][..]));
        assert_eq!(read.get(&"b".into()), Some(&[][..]));
        assert_eq!(read.get(&"d".into()), None);
        assert_eq!(saved(), saved(), "the same bytes each time");
        let mut more = Thumbnails::default();
        ["b", "e"].iter().for_each(|id| more.add(&Thumbnail { sample_id: (*id).into(), png: vec![8] }));
        let mut all = some();
        all.add_all(more.clone());
        assert_eq!((all.get(&"b".into()), all.get(&"e".into())), (Some(&[][..]), Some(&[8][..])));
        let mut none = Thumbnails::default();
        none.add_all(more.clone());
        assert_eq!(none, more);
    }

    #[test]
    fn no_file_is_no_thumbnail_and_another_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        assert!(Thumbnails::load(&path).unwrap().is_empty());
        std::fs::write(&path, b"no").unwrap();
        assert!(Thumbnails::load(&path).unwrap_err().to_string().contains("t.safetensors"));
        assert!(Thumbnails::load(folder.path()).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bytes_give_an_error_or_pictures(at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = saved();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = with }
            if let Ok(read) = decode(&bytes) {
                for id in &read.ids {
                    prop_assert!(read.get(id).is_some());
                }
            }
        }
    }
}
