//! `manifest.json`: what determined a run's results, and how far the run got.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::seal::{self, Seal};
use super::version::file_versions;
use super::{Evidence, StoreError, Trial, write_atomically};
use crate::files::read_regular;
use crate::suite::{Suite, Target};

/// Most bytes of a file that is read whole.
const LARGEST: u64 = 1 << 34;

file_versions! {
    /// Version of the manifest's form: since 2 it lists its blocks, has a hash of itself, and names samples by their content.
    ManifestFormat = 2;
}

/// The form in which manifests are written.
pub const MANIFEST_FORMAT: ManifestFormat = ManifestFormat::CURRENT;

/// From this form on a manifest carries a hash of itself.
const SEALED_FORMAT: ManifestFormat = ManifestFormat::new(2);

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Blocks are missing.
    Incomplete,
    /// Every block is there.
    Complete,
}

/// One model of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The name in the suite.
    pub name: String,
    /// The architecture.
    pub arch: String,
    /// The weights file as the suite wrote it.
    pub weights: String,
    /// blake3 of the weights file.
    pub weights_hash: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Layout and precision of the search (`f32, channels-last`).
    pub search: String,
    /// What a few passes told before the attacks; none in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// When a run was started, and what was checked out: known for its place among others, and no part of its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The start, in seconds since 1970 (UTC).
    pub started: u64,
    /// The commit around the suite's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was committed, in seconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<u64>,
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's form.
    pub format: ManifestFormat,
    /// Identity of the run: the suite's name and a hash of everything that determines its results.
    pub run: String,
    /// How far it got.
    pub status: RunStatus,
    /// The suite's name.
    pub suite_name: String,
    /// The suite's file, verbatim.
    pub suite_source: String,
    /// The suite with every default filled in; its text and paths are not kept here.
    #[serde(rename = "suite_resolved")]
    pub suite: Suite,
    /// The data set's name.
    pub dataset: String,
    /// Class names by index.
    pub classes: Vec<String>,
    /// Number of samples in the run.
    pub samples: u64,
    /// Images that were left out because they could not be read, with the reason.
    pub skipped: Vec<String>,
    /// blake3 over the ids, labels and stored content of the samples, whatever their order.
    pub data_hash: String,
    /// The models.
    pub models: Vec<ModelEntry>,
    /// The suite's seed, or the command line's.
    pub seed: u64,
    /// The device's name.
    pub device: String,
    /// Whether the same command gives the same bytes on the same device: false where a network needs a kernel that adds in any order.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub repeats: bool,
    /// Versions of am-eval, the engine, libtorch.
    pub versions: BTreeMap<String, String>,
    /// The command that started the run.
    pub command: Vec<String>,
    /// Blocks that the plan holds.
    pub blocks_total: u64,
    /// Blocks that are finished.
    pub blocks_done: u64,
    /// Wall-clock seconds spent, over all starts.
    pub seconds: f64,
    /// When it was started and on which commit; none in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Search hits that the separate f32 pass did not confirm, over all blocks.
    pub unconfirmed_hits: u64,
    /// What checks of the attacks themselves found, over all blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// blake3 of each output file, by its path in the run's directory. That of `report.html` is of the page without a gate's
    /// verdict.
    pub outputs: BTreeMap<String, String>,
    /// blake3 of each file in `blocks/`, by name.
    #[serde(default)]
    pub blocks: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

#[derive(Deserialize)]
struct Version {
    format: u64,
}

impl Manifest {
    /// Read the manifest in the file `path`.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let text = read_regular(path, LARGEST).map_err(StoreError::io("read", path))?;
        let wrong = |error: serde_json::Error| StoreError::Content {
            path: path.to_owned(),
            problem: format!("not the manifest of a run: {error}"),
        };
        let version: Version = serde_json::from_slice(&text).map_err(wrong)?;
        if MANIFEST_FORMAT.is_older_than(version.format) {
            let found = version.format;
            return Err(StoreError::NewerFormat { path: path.to_owned(), found, known: MANIFEST_FORMAT.number() });
        }
        // A seal counts in every form, so that one cannot be escaped by an older number.
        match seal::check(&text) {
            Seal::Whole => {}
            Seal::None if version.format < u64::from(SEALED_FORMAT.number()) => {}
            Seal::None | Seal::Broken => return Err(StoreError::ChangedManifest { path: path.to_owned() }),
        }
        serde_json::from_slice(&text).map_err(wrong)
    }

    /// Write the manifest to the file `path`: whole and synced, or not at all.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let text = seal::sealed(self)
            .map_err(|error| StoreError::Content { path: path.to_owned(), problem: error.to_string() })?;
        write_atomically(path, &text).map(|_| ())
    }

    /// The target rule of each class-logit attack (`least-likely`, `class:3`), by the attack's name, as
    /// [`Cell::target`](super::Cell::target) holds it: `samples.csv` tells only the class that each sample was driven to.
    pub fn target_rules(&self) -> BTreeMap<String, Target> {
        self.suite.attacks.iter().filter_map(|attack| Some((attack.name.clone(), attack.goal.target()?))).collect()
    }

    /// The attacks' names, in the suite's order.
    pub fn attack_names(&self) -> Vec<String> {
        self.suite.attacks.iter().map(|attack| attack.name.clone()).collect()
    }

    /// Whether the suite asks how images of one model fool the others.
    pub fn has_transfer(&self) -> bool {
        self.suite.transfer.is_some()
    }

    /// Largest radius that the boundary search tried, in pixel units of [0, 1]: where censored distances end. Infinite
    /// if the suite measures no distances.
    pub fn searched_radius(&self) -> f64 {
        self.suite.boundary.as_ref().map_or(f64::INFINITY, |boundary| boundary.max_radius.value())
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
