//! A run's directory: where its files lie, which blocks are finished, and who may write.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::atomic::PARTIAL;
use super::{Block, Manifest, StoreError, block};
use crate::wording::neighbour;

/// How block files end.
const BLOCK: &str = ".block";

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    run: String,
}

/// The right to write into a run's directory, until dropped or the process ends.
#[derive(Debug)]
pub struct RunLock {
    _files: Vec<File>,
}

impl RunDir {
    /// The directory `path` of the run `run` (see [`Manifest::run`]), made if it is not there.
    pub fn create(path: impl Into<PathBuf>, run: &str) -> Result<Self, StoreError> {
        let dir = RunDir { path: path.into(), run: run.to_owned() };
        fs::create_dir_all(dir.blocks_path()).map_err(StoreError::io("create", &dir.path))?;
        Ok(dir)
    }

    /// The directory of a run that was begun before; its manifest tells which run it is.
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, Manifest), StoreError> {
        let path = path.into();
        let file = path.join("manifest.json");
        if !file.exists() {
            return Err(RunDir::missing(path));
        }
        let manifest = Manifest::load(&file)?;
        Ok((RunDir { path, run: manifest.run.clone() }, manifest))
    }

    /// What to say of a folder that is none of a run.
    fn missing(path: PathBuf) -> StoreError {
        let is_run = |folder: &Path| folder.join("manifest.json").is_file();
        let folders = || fs::read_dir(&path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let problem = match (neighbour(&path, is_run), folders().find(|folder| is_run(folder))) {
            (_, Some(inner)) => format!("it is no run, but holds some: name one, such as {}", inner.display()),
            (Some(near), None) => format!("there is no run; did you mean `{near}`, which is in the same folder?"),
            (None, None) if path.is_file() => {
                "it is a file; name the folder of a run, which holds manifest.json".to_owned()
            }
            (None, None) => {
                "there is no run (no manifest.json in it); `am-eval run` says at its end where a run lies".to_owned()
            }
        };
        StoreError::Content { path, problem }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's identity.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// `manifest.json`.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// `samples.csv`.
    pub fn samples_path(&self) -> PathBuf {
        self.path.join("samples.csv")
    }

    /// `distances.csv`.
    pub fn distances_path(&self) -> PathBuf {
        self.path.join("distances.csv")
    }

    /// `summary.csv`.
    pub fn summary_path(&self) -> PathBuf {
        self.path.join("summary.csv")
    }

    /// `summary.json`.
    pub fn summary_json_path(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// `transfer.csv`.
    pub fn transfer_path(&self) -> PathBuf {
        self.path.join("transfer.csv")
    }

    /// `thumbnails.safetensors`.
    pub fn thumbnails_path(&self) -> PathBuf {
        self.path.join("thumbnails.safetensors")
    }

    /// The folder of finished blocks.
    pub fn blocks_path(&self) -> PathBuf {
        self.path.join("blocks")
    }

    /// The file of the block `key`; an error if the key cannot name a file on every system.
    pub fn block_path(&self, key: &str) -> Result<PathBuf, StoreError> {
        Ok(self.blocks_path().join(format!("{}{BLOCK}", self.checked(key)?)))
    }

    /// The file of the block's adversarial images.
    pub fn adversarial_block_path(&self, key: &str) -> Result<PathBuf, StoreError> {
        Ok(self.blocks_path().join(format!("{}.adv.safetensors", self.checked(key)?)))
    }

    fn checked<'a>(&self, key: &'a str) -> Result<&'a str, StoreError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !key.is_empty() && key.len() <= 200 && !key.starts_with('.') && key.bytes().all(fits) {
            return Ok(key);
        }
        let problem = format!("`{key}` cannot name a block; use letters, digits, `-`, `_` and `.`");
        Err(StoreError::Content { path: self.blocks_path(), problem })
    }

    /// The finished block `key`; none if it is missing. A block that is damaged or belongs to another run or key is
    /// [`StoreError::DamagedBlock`]: the engine warns and computes it again.
    pub fn block(&self, key: &str) -> Result<Option<Block>, StoreError> {
        let path = self.block_path(key)?;
        let (block, run) = match block::read(&path) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        if run != self.run || block.key != key {
            let problem = format!("it holds block `{}` of run `{run}`, not `{key}` of `{}`", block.key, self.run);
            return Err(StoreError::DamagedBlock { path, problem });
        }
        Ok(Some(block))
    }

    /// The keys of the blocks that have a file, sorted.
    pub fn block_keys(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.blocks_path();
        let mut keys = Vec::new();
        for entry in fs::read_dir(&folder).map_err(StoreError::io("read", &folder))? {
            let name = entry.map_err(StoreError::io("read", &folder))?.file_name();
            if let Some(key) = name.to_str().and_then(|name| name.strip_suffix(BLOCK))
                && self.checked(key).is_ok()
            {
                keys.push(key.to_owned());
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// blake3 of each file in `blocks/`, by name: what [`Manifest::blocks`] holds.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be read.
    pub fn hash_blocks(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let folder = self.blocks_path();
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(StoreError::io("read", &folder))? {
            let name = entry.map_err(StoreError::io("read", &folder))?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        names.into_par_iter().map(|name| Ok((name.clone(), content_hash(&folder.join(&name))?))).collect()
    }

    /// Remove every block and its images, for a run from scratch.
    pub fn remove_blocks(&self) -> Result<(), StoreError> {
        let folder = self.blocks_path();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &folder)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))
    }

    /// Remove these blocks and their images, for a shard from scratch.
    pub fn remove(&self, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Result<(), StoreError> {
        for key in keys {
            for path in [self.block_path(key.as_ref())?, self.adversarial_block_path(key.as_ref())?] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(StoreError::io("remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Claim the directory for this process; [`StoreError::Locked`] if another holds it. Shards of one run may share a
    /// directory: each claims `Some((index, count))`, which excludes the same shard and the whole run. A claim on the
    /// whole run removes what killed processes left half-written.
    pub fn lock(&self, shard: Option<(usize, usize)>) -> Result<RunLock, StoreError> {
        let run_lock = self.open_lock(".lock")?;
        let Some((index, count)) = shard else {
            self.claimed(run_lock.try_lock())?;
            self.remove_partial_files()?;
            return Ok(RunLock { _files: vec![run_lock] });
        };
        self.claimed(run_lock.try_lock_shared())?;
        let share = self.open_lock(&format!(".lock-{index}-of-{count}"))?;
        self.claimed(share.try_lock())?;
        Ok(RunLock { _files: vec![run_lock, share] })
    }

    fn open_lock(&self, name: &str) -> Result<File, StoreError> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        file.map_err(StoreError::io("open", &path))
    }

    fn claimed(&self, result: Result<(), TryLockError>) -> Result<(), StoreError> {
        result.map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::Locked { path: self.path.clone() },
            TryLockError::Error(source) => StoreError::io("lock", &self.path)(source),
        })
    }

    fn remove_partial_files(&self) -> Result<(), StoreError> {
        for folder in [".", "blocks", "shards", "adversarial", "charts"].map(|name| self.path.join(name)) {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().to_str().is_some_and(|name| name.starts_with(PARTIAL)) {
                    fs::remove_file(entry.path()).map_err(StoreError::io("remove", &entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

/// blake3 of a file's content, in hexadecimal.
pub(crate) fn content_hash(path: &Path) -> Result<String, StoreError> {
    let mut hasher = blake3::Hasher::new();
    let read = crate::files::open_regular(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(StoreError::io("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_claim_is_refused_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::create(folder.path().join("run"), "suite-1").unwrap();
        let lock = dir.lock(None).unwrap();
        assert!(matches!(dir.lock(None), Err(StoreError::Locked { .. })));
        assert!(matches!(dir.lock(Some((0, 2))), Err(StoreError::Locked { .. })));
        drop(lock);
        let first = dir.lock(Some((0, 2))).unwrap();
        let _second = dir.lock(Some((1, 2))).unwrap();
        assert!(matches!(dir.lock(Some((0, 2))), Err(StoreError::Locked { .. })));
        assert!(matches!(dir.lock(None), Err(StoreError::Locked { .. })));
        drop(first);
        assert!(dir.lock(Some((0, 2))).is_ok());
    }

    #[test]
    fn a_claim_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::create(folder.path(), "suite-1").unwrap();
        fs::create_dir(dir.path().join("charts")).unwrap();
        let left = ["blocks/.partial-x", "charts/.partial-y", ".partial-z"].map(|name| dir.path().join(name));
        left.iter().for_each(|path| fs::write(path, "half").unwrap());
        assert_eq!(dir.block_keys().unwrap(), Vec::<String>::new());
        dir.lock(None).unwrap();
        assert!(left.iter().all(|path| !path.exists()));
    }

    #[test]
    fn a_key_that_leaves_the_folder_is_refused() {
        let dir = RunDir::create(tempfile::tempdir().unwrap().path(), "suite-1").unwrap();
        for key in ["", "../x", "a/b", ".hidden", "a b", &"k".repeat(201)] {
            assert!(dir.block_path(key).is_err(), "{key}");
        }
        assert!(dir.block_path("resnet20--pgd-0003").is_ok());
    }
}
