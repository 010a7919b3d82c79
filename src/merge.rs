//! Shards joined into one run: blocks brought together, compared and checked for completeness.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::record::{AdversarialImages, Block, Manifest, RunDir, ShardManifest, StoreError};
use crate::suite::{DeviceChoice, Suite};

/// Why directories cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directories are of different runs.
    #[error("{} and {} are not of one run: {difference}", first.display(), other.display())]
    Different {
        /// The first directory.
        first: PathBuf,
        /// The one that differs.
        other: PathBuf,
        /// What differs.
        difference: String,
    },
    /// Two directories have a block of the same name with different results.
    #[error("block `{key}` in {} and in {} hold different results; delete the wrong one", first.display(), other.display())]
    Contradiction {
        /// The block.
        key: String,
        /// A file.
        first: PathBuf,
        /// The other one.
        other: PathBuf,
    },
}

/// What is there of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// All blocks of the run, in the order of the plan; empty if an older version has made the directory.
    pub planned: Vec<String>,
    /// Those that are finished and whole.
    pub finished: BTreeSet<String>,
    /// Those whose file is damaged, with the reason.
    pub damaged: BTreeMap<String, String>,
}

impl Inventory {
    /// Reads every block of the directory.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(dir: &RunDir) -> Result<Self, StoreError> {
        let planned = dir.plan()?.unwrap_or_default();
        let mut inventory = Inventory { planned, ..Inventory::default() };
        for key in dir.block_keys()? {
            match dir.block(&key) {
                Ok(Some(_)) => {
                    inventory.finished.insert(key);
                }
                Ok(None) => {}
                Err(error) if error.is_damaged_block() => {
                    inventory.damaged.insert(key, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(inventory)
    }

    /// The planned blocks that are not there, in the order of the plan.
    pub fn missing(&self) -> Vec<&str> {
        self.planned.iter().map(String::as_str).filter(|key| !self.finished.contains(*key)).collect()
    }

    /// How many of the blocks of shard `index` of `count` are finished, and how many there are.
    pub fn share(&self, index: usize, count: usize) -> (usize, usize) {
        let share = || self.planned.iter().skip(index.saturating_sub(1)).step_by(count.max(1));
        (share().filter(|key| self.finished.contains(*key)).count(), share().count())
    }
}

/// Brings the blocks of `others` into `target`, which may be the first of them. Doing it again, or in another order, gives the same
/// directory. `mixed_devices`: runs that differ in the device alone count as one; the outputs are then the target's.
///
/// # Errors
/// If the directories are not of one run, if two blocks of a name hold different results, or if a file cannot be used. Blocks that were
/// brought before stay.
pub fn merge(target: &RunDir, others: &[(RunDir, Manifest)], mixed_devices: bool) -> Result<(), MergeError> {
    let manifest = Manifest::load(&target.manifest_path())?;
    for (dir, other) in others {
        if let Some(difference) = difference(&manifest, other, mixed_devices) {
            let (first, other) = (target.path().to_owned(), dir.path().to_owned());
            return Err(MergeError::Different { first, other, difference });
        }
        for key in dir.block_keys()? {
            bring(target, dir, &key)?;
        }
        if let (Some(plan), None) = (dir.plan()?, target.plan()?) {
            target.save_plan(plan)?;
        }
        for shard in dir.shard_manifests()? {
            ShardManifest { run: target.run().to_owned(), ..shard }.save(target)?;
        }
    }
    Ok(())
}

fn bring(target: &RunDir, from: &RunDir, key: &str) -> Result<(), MergeError> {
    // A damaged block is left where it is: to the target it is a missing one.
    let block = match from.block(key) {
        Ok(Some(block)) => block,
        Ok(None) => return Ok(()),
        Err(error) if error.is_damaged_block() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let there: Option<Block> = match target.block(key) {
        Err(error) if error.is_damaged_block() => None,
        there => there?,
    };
    match there {
        Some(there) if !there.agrees(&block) => {
            let (first, other) = (target.block_path(key)?, from.block_path(key)?);
            Err(MergeError::Contradiction { key: key.to_owned(), first, other })
        }
        there => {
            // Images first: a block that is there has all that belongs to it.
            if AdversarialImages::read(target, key)?.is_none()
                && let Some(images) = AdversarialImages::read(from, key)?
            {
                images.write(target, key)?;
            }
            if there.is_none() {
                block.write(target)?;
            }
            Ok(())
        }
    }
}

/// In what two runs differ that may not.
fn difference(first: &Manifest, other: &Manifest, mixed_devices: bool) -> Option<String> {
    if first.run == other.run {
        return None;
    }
    let hashes = |manifest: &Manifest| -> Vec<String> {
        manifest.models.iter().map(|model| model.weights_hash.clone()).collect()
    };
    let mut parts = Vec::new();
    let mut compare = |part: &str, same: bool| {
        if !same {
            parts.push(part.to_owned());
        }
    };
    compare("the suite", settings(first) == settings(other));
    compare("the data", first.data_hash == other.data_hash);
    compare("the weights", hashes(first) == hashes(other));
    compare("the seed", first.seed == other.seed);
    compare("the engine's version", first.versions.get("engine") == other.versions.get("engine"));
    if !parts.is_empty() {
        return Some(format!("{} differ", parts.join(", ")));
    }
    let devices = format!("they ran on {} and on {}", first.device, other.device);
    (!mixed_devices).then(|| format!("{devices}; --allow-mixed-devices merges them all the same"))
}

/// The suite as resolved, without what may differ between the machines of one run.
fn settings(manifest: &Manifest) -> Suite {
    let mut suite = manifest.suite.clone();
    suite.run.device = DeviceChoice::Auto;
    suite.run.batch = None;
    suite
}
