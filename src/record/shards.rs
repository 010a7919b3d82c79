//! What the processes of one run know of each other: the names of all blocks, and a manifest for each shard.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::version::file_versions;
use super::{RunDir, StoreError, write_atomically};

file_versions! {
    /// Version of the form of both files.
    ShardFormat = 1;
}

/// The form in which both are written.
const SHARD_FORMAT: ShardFormat = ShardFormat::CURRENT;

/// `shards/3-of-16.json`: one shard of a run, as the process that computes it tells. Nothing in it is needed to make the outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardManifest {
    /// Version of this file's form.
    pub format: ShardFormat,
    /// The run's identity.
    pub run: String,
    /// Which shard, from 1.
    pub shard: usize,
    /// Of how many.
    #[serde(rename = "of")]
    pub count: usize,
    /// The machine's name.
    pub host: String,
    /// The device's name.
    pub device: String,
    /// Whether the same command gives the same bytes on the same device.
    pub repeats: bool,
    /// Versions of am-eval, the engine, libtorch.
    pub versions: BTreeMap<String, String>,
    /// The command that started it last.
    pub command: Vec<String>,
    /// Blocks of the shard.
    pub blocks_total: u64,
    /// Its blocks that are finished.
    pub blocks_done: u64,
    /// Wall-clock seconds spent by this process.
    pub seconds: f64,
}

impl ShardManifest {
    /// Version of this form.
    pub const FORMAT: ShardFormat = SHARD_FORMAT;

    /// Writes the manifest into the run's directory: whole and synced, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, dir: &RunDir) -> Result<(), StoreError> {
        let folder = dir.shards_path();
        std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let path = folder.join(format!("{}-of-{}.json", self.shard, self.count));
        write_json(&path, self)
    }
}

/// `plan.json`: the names of a run's blocks, in the order of the plan.
#[derive(Serialize, Deserialize)]
struct PlanFile {
    format: ShardFormat,
    run: String,
    blocks: Vec<String>,
}

impl RunDir {
    /// The folder of the shards' manifests.
    pub fn shards_path(&self) -> PathBuf {
        self.path().join("shards")
    }

    fn plan_path(&self) -> PathBuf {
        self.path().join("plan.json")
    }

    /// Keeps the names of all blocks of the run, for those that have no suite at hand.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_plan(&self, blocks: Vec<String>) -> Result<(), StoreError> {
        write_json(&self.plan_path(), &PlanFile { format: SHARD_FORMAT, run: self.run().to_owned(), blocks })
    }

    /// The names of all blocks of the run, in the order of the plan; none if an older version has made the directory.
    ///
    /// # Errors
    /// If the file is there and is not a plan of this run.
    pub fn plan(&self) -> Result<Option<Vec<String>>, StoreError> {
        let path = self.plan_path();
        let Some(file) = read_json::<PlanFile>(&path)? else { return Ok(None) };
        if file.run != self.run() {
            let problem = format!("it is the plan of run `{}`, not of `{}`", file.run, self.run());
            return Err(StoreError::Content { path, problem });
        }
        Ok(Some(file.blocks))
    }

    /// The files of this module that are there: the plan and the manifests of shards.
    pub(crate) fn bookkeeping(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.shards_path()).into_iter().flatten().flatten();
        let shards = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        shards.chain([self.plan_path()]).filter(|path| path.is_file()).collect()
    }

    /// The manifests of the shards that were begun, by count, then index.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn shard_manifests(&self) -> Result<Vec<ShardManifest>, StoreError> {
        let folder = self.shards_path();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::io("read", &folder))?,
        };
        let mut shards = Vec::new();
        for entry in entries {
            let path = entry.map_err(StoreError::io("read", &folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                shards.extend(read_json::<ShardManifest>(&path)?);
            }
        }
        shards.sort_by_key(|shard| (shard.count, shard.shard));
        Ok(shards)
    }

    /// Whether a process works on this shard now, as far as the file system tells.
    ///
    /// # Errors
    /// If the lock cannot be asked.
    pub fn is_running(&self, index: usize, count: usize) -> Result<bool, StoreError> {
        match self.lock(Some((index, count))) {
            Ok(_) => Ok(false),
            Err(StoreError::Locked { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn write_json(path: &std::path::Path, value: &impl Serialize) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| StoreError::Content { path: path.to_owned(), problem: error.to_string() })?;
    text.push(b'\n');
    write_atomically(path, &text).map(|_| ())
}

/// The value in a file; none if the file is not there.
fn read_json<T: for<'d> Deserialize<'d>>(path: &std::path::Path) -> Result<Option<T>, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let text = match crate::files::read_whole(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(StoreError::io("read", path))?,
    };
    let wrong = |error: serde_json::Error| StoreError::Content {
        path: path.to_owned(),
        problem: format!("not what am-eval writes there: {error}; delete it, and the next run writes it again"),
    };
    let version: Version = serde_json::from_slice(&text).map_err(wrong)?;
    if SHARD_FORMAT.is_older_than(version.format) {
        return Err(StoreError::NewerFormat {
            path: path.to_owned(),
            found: version.format,
            known: SHARD_FORMAT.number(),
        });
    }
    serde_json::from_slice(&text).map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: usize, count: usize) -> ShardManifest {
        ShardManifest {
            format: ShardManifest::FORMAT,
            run: "suite-1".to_owned(),
            shard: index,
            count,
            host: "node".to_owned(),
            device: "cpu".to_owned(),
            repeats: true,
            versions: BTreeMap::new(),
            command: vec!["am-eval".to_owned()],
            blocks_total: 3,
            blocks_done: 1,
            seconds: 0.5,
        }
    }

    #[test]
    fn shards_and_plan_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::create(folder.path(), "suite-1").unwrap();
        assert_eq!(dir.shard_manifests().unwrap(), []);
        assert_eq!(dir.plan().unwrap(), None);
        let shards = [shard(1, 2), shard(2, 2), shard(10, 12)];
        shards.iter().rev().for_each(|shard| shard.save(&dir).unwrap());
        assert_eq!(dir.shard_manifests().unwrap(), shards);
        dir.save_plan(vec!["b".to_owned(), "a".to_owned()]).unwrap();
        assert_eq!(dir.plan().unwrap().unwrap(), ["b", "a"]);
        let other = RunDir::create(folder.path(), "suite-2").unwrap();
        assert!(other.plan().unwrap_err().to_string().contains("`suite-1`"));
    }

    #[test]
    fn a_shard_runs_while_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::create(folder.path(), "suite-1").unwrap();
        let lock = dir.lock(Some((1, 2))).unwrap();
        assert!(dir.is_running(1, 2).unwrap() && !dir.is_running(2, 2).unwrap());
        drop(lock);
        assert!(!dir.is_running(1, 2).unwrap());
    }
}
