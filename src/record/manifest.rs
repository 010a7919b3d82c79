//! `manifest.json`: what determined a run's results, and how far the run got.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{StoreError, Trial, write_atomically};

/// Version of the manifest's form.
pub const MANIFEST_FORMAT: u32 = 1;

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

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's form.
    pub format: u32,
    /// Identity of the run: the suite's name and a hash of everything that determines its results.
    pub run: String,
    /// How far it got.
    pub status: RunStatus,
    /// The suite's name.
    pub suite_name: String,
    /// The suite's file, verbatim.
    pub suite_source: String,
    /// The suite with every default filled in.
    pub suite_resolved: serde_json::Value,
    /// The data set's name.
    pub dataset: String,
    /// Class names by index.
    pub classes: Vec<String>,
    /// Number of samples in the run.
    pub samples: u64,
    /// Images that were left out because they could not be read, with the reason.
    pub skipped: Vec<String>,
    /// blake3 over the ids and labels of the samples, in order.
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
    /// Search hits that the separate f32 pass did not confirm, over all blocks.
    pub unconfirmed_hits: u64,
    /// blake3 of each output file, by name.
    pub outputs: BTreeMap<String, String>,
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
        let text = std::fs::read(path).map_err(StoreError::io("read", path))?;
        let wrong = |error: serde_json::Error| StoreError::Content {
            path: path.to_owned(),
            problem: format!("not the manifest of a run: {error}"),
        };
        let version: Version = serde_json::from_slice(&text).map_err(wrong)?;
        if version.format > u64::from(MANIFEST_FORMAT) {
            let found = version.format;
            return Err(StoreError::NewerFormat { path: path.to_owned(), found, known: MANIFEST_FORMAT });
        }
        serde_json::from_slice(&text).map_err(wrong)
    }

    /// Write the manifest to the file `path`: whole and synced, or not at all.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| StoreError::Content { path: path.to_owned(), problem: error.to_string() })?;
        text.push(b'\n');
        write_atomically(path, &text).map(|_| ())
    }

    /// The target rule of each class-logit attack (`least-likely`, `class:3`), by the attack's name, as
    /// [`Cell::target`](super::Cell::target) holds it: `samples.csv` tells only the class that each sample was driven to.
    pub fn target_rules(&self) -> BTreeMap<String, String> {
        let attacks = self.suite_resolved["attacks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rule = |attack: &serde_json::Value| {
            let target = &attack["goal"]["target"];
            let rule = match (target.as_str(), target["class"].as_u64()) {
                (Some(rule), _) => rule.to_owned(),
                (None, Some(class)) => format!("class:{class}"),
                (None, None) => return None,
            };
            Some((attack["name"].as_str()?.to_owned(), rule))
        };
        attacks.iter().filter_map(rule).collect()
    }

    /// The attacks' names, in the suite's order.
    pub fn attack_names(&self) -> Vec<String> {
        let attacks = self.suite_resolved["attacks"].as_array().map(Vec::as_slice).unwrap_or_default();
        attacks.iter().filter_map(|attack| attack["name"].as_str().map(str::to_owned)).collect()
    }

    /// Whether the suite asks how images of one model fool the others.
    pub fn has_transfer(&self) -> bool {
        self.suite_resolved["transfer"].is_object()
    }

    /// Largest radius that the boundary search tried, in pixel units of [0, 1]: where censored distances end. Infinite
    /// if the suite measures no distances.
    pub fn searched_radius(&self) -> f64 {
        self.suite_resolved["boundary"]["max_radius"].as_f64().unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
