//! A safetensors file of which only the header is in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::DataError;
use crate::files::open_regular;

/// Longest header that is read; the format allows no more.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open safetensors file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: Mutex<File>,
    header: Metadata,
    /// Where the tensors' bytes begin.
    start: u64,
    length: u64,
}

impl TensorFile {
    /// Reads the header and checks it against the file's length.
    ///
    /// # Errors
    /// If the file cannot be read, is not safetensors, or is truncated.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let unreadable = |source| DataError::Read { path: path.to_path_buf(), source };
        let wrong = |problem: String| DataError::Content {
            path: path.to_path_buf(),
            problem: format!("not usable as safetensors: {problem}"),
        };
        let mut file = open_regular(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        if length < 8 {
            return Err(wrong(format!("it has only {length} bytes")));
        }
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(unreadable)?;
        let size = u64::from_le_bytes(size);
        if size > LONGEST_HEADER.min(length - 8) {
            return Err(wrong(format!("it says that its header has {size} bytes; the file has {length}")));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(unreadable)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| wrong(format!("invalid header: {error}")))?;
        let start = 8 + size;
        let expected = start.saturating_add(header.data_len() as u64);
        if expected != length {
            return Err(wrong(format!("it has {length} bytes, its header needs {expected}; it may be truncated")));
        }
        Ok(TensorFile { path: path.to_path_buf(), file: Mutex::new(file), header, start, length })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file's own notes (`__metadata__`).
    pub fn notes(&self) -> BTreeMap<String, String> {
        self.header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The names of the tensors, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.header.tensors().into_keys().collect();
        names.sort();
        names
    }

    /// Type and shape of a tensor.
    pub fn tensor(&self, name: &str) -> Option<(Dtype, &[usize])> {
        self.header.info(name).map(|info| (info.dtype, info.shape.as_slice()))
    }

    /// `count` bytes of a tensor, from its byte `from` on.
    ///
    /// # Errors
    /// If there is no such tensor, it is shorter, or the file cannot be read.
    pub fn bytes(&self, name: &str, from: usize, count: usize) -> Result<Vec<u8>, DataError> {
        let place = self
            .header
            .info(name)
            .map(|info| info.data_offsets)
            .filter(|(begin, end)| from.checked_add(count).is_some_and(|last| last <= end - begin));
        let Some((begin, _)) = place else {
            let problem = format!("has no {count} bytes at {from} of tensor `{name}`");
            return Err(DataError::Content { path: self.path.clone(), problem });
        };
        let mut bytes = vec![0; count];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.start + (begin + from) as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| DataError::Read { path: self.path.clone(), source })?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn example_file() -> Vec<u8> {
        let (one, two) = ([1, 2, 3, 4, 5, 6], [7, 8]);
        let view = |shape: &[usize], bytes| TensorView::new(Dtype::U8, shape.to_vec(), bytes).unwrap();
        let notes = [("about".to_owned(), "a test".to_owned())].into();
        serialize([("one", view(&[3, 2], &one)), ("two", view(&[2], &two))], Some(notes)).unwrap()
    }

    #[test]
    fn parts_of_tensors_are_read_in_place() {
        let (_folder, path) = written(&example_file());
        let file = TensorFile::open(&path).unwrap();
        assert_eq!(file.names(), ["one", "two"]);
        assert_eq!(file.tensor("one"), Some((Dtype::U8, [3, 2].as_slice())));
        assert_eq!(file.bytes("one", 2, 2).unwrap(), [3, 4]);
        assert_eq!(file.bytes("two", 0, 2).unwrap(), [7, 8]);
        assert!(file.bytes("one", 5, 2).is_err() && file.bytes("one", usize::MAX, 2).is_err());
        assert!(file.bytes("three", 0, 0).is_err());
        assert_eq!(file.notes()["about"], "a test");
    }

    #[test]
    fn a_file_cut_anywhere_or_with_a_tail_is_an_error() {
        let bytes = example_file();
        for length in 0..bytes.len() {
            let (_folder, path) = written(&bytes[..length]);
            assert!(TensorFile::open(&path).is_err(), "cut to {length}");
        }
        let (_folder, path) = written(&[bytes.as_slice(), &[0]].concat());
        assert!(TensorFile::open(&path).unwrap_err().to_string().contains("its header needs"));
        let (_folder, path) = written(&u64::MAX.to_le_bytes());
        assert!(TensorFile::open(&path).unwrap_err().to_string().contains("says that its header has"));
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = example_file();
            for (place, value) in damage {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let (_folder, path) = written(&bytes);
            if let Ok(file) = TensorFile::open(&path) {
                for name in file.names() {
                    let _ = file.bytes(&name, 0, 2);
                }
            }
        }
    }
}
