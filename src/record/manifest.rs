//! `manifest.json`: what determined a run's results, and how far the run got.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
