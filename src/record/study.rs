//! Folders of a run that hold studies beside its records: one JSON file for each finished part, and the pictures it names.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{StoreError, write_atomically};

/// The form of the files.
const STUDY_FORMAT: u32 = 1;

/// A folder of studies of one kind.
#[derive(Debug, Clone)]
pub struct StudyDir {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    format: u32,
    identity: String,
    study: T,
}

impl StudyDir {
    /// The folder `ways` of a run's directory: trajectories and slices.
    pub fn ways(run: &Path) -> Self {
        StudyDir { path: run.join("ways") }
    }

    /// The folder `universal` of a run's directory.
    pub fn universal(run: &Path) -> Self {
        StudyDir { path: run.join("universal") }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, key: &str) -> PathBuf {
        self.path.join("blocks").join(format!("{key}.json"))
    }

    /// Writes a finished part whose pictures are there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write<T: Serialize>(&self, key: &str, identity: &str, study: &T) -> Result<(), StoreError> {
        let path = self.file(key);
        let folder = self.path.join("blocks");
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let stored = Stored { format: STUDY_FORMAT, identity: identity.to_owned(), study };
        let text = serde_json::to_vec(&stored)
            .map_err(|error| StoreError::Content { path: path.clone(), problem: error.to_string() })?;
        write_atomically(&path, &text).map(drop)
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_png(&self, file: &str, png: &[u8]) -> Result<(), StoreError> {
        fs::create_dir_all(&self.path).map_err(StoreError::io("create", &self.path))?;
        write_atomically(&self.path.join(file), png).map(drop)
    }

    /// Whether a part is there that was made under the same conditions.
    pub fn has<T: DeserializeOwned>(&self, key: &str, identity: &str) -> bool {
        let stored = crate::files::read_whole(self.file(key))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Stored<T>>(&bytes).ok());
        stored.is_some_and(|stored| stored.format == STUDY_FORMAT && stored.identity == identity)
    }

    /// All finished parts, in the order of their keys.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, StoreError> {
        let folder = self.path.join("blocks");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder)(error)),
        };
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(json).collect();
        paths.sort();
        let parse = |path: PathBuf| {
            let bytes = crate::files::read_whole(&path).map_err(StoreError::io("read", &path))?;
            let stored: Stored<T> = serde_json::from_slice(&bytes).map_err(|error| StoreError::Content {
                path: path.clone(),
                problem: format!("is no part of a study ({error}); remove it, and run the suite again"),
            })?;
            Ok(stored.study)
        };
        paths.into_iter().map(parse).collect()
    }

    /// Removes all, for a run from scratch.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_back_in_order_and_known_by_their_conditions() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StudyDir::ways(folder.path());
        assert_eq!(dir.read::<u32>().unwrap(), Vec::<u32>::new());
        dir.write("b", "id", &2u32).unwrap();
        dir.write("a", "id", &1u32).unwrap();
        assert_eq!(dir.read::<u32>().unwrap(), [1, 2]);
        assert!(dir.has::<u32>("a", "id") && !dir.has::<u32>("a", "other") && !dir.has::<u32>("c", "id"));
        fs::write(dir.file("a"), "{}").unwrap();
        assert!(dir.read::<u32>().unwrap_err().to_string().contains("no part of a study"));
        dir.remove().unwrap();
        dir.remove().unwrap();
    }
}
