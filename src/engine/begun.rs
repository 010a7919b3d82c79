//! The manifest of a run that has finished nothing yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::device;
use super::identity::ENGINE_VERSION;
use super::prepare::Prepared;
use crate::record::{MANIFEST_FORMAT, Manifest, ModelEntry, RunStatus};
use crate::wording::format;

impl Prepared {
    /// The manifest of a run that has finished nothing yet.
    pub fn manifest(&self, command: Vec<String>) -> Manifest {
        let models = self.sources.iter().enumerate().map(|(index, source)| ModelEntry {
            name: source.name.clone(),
            arch: source.arch().to_owned(),
            weights: relative(&self.suite.models[index].weights, &self.suite.path),
            weights_hash: source.hash().to_owned(),
            parameters: source.parameters(),
            search: device::words(self.search_compute(index)),
            trial: self.trials.get(index).cloned(),
        });
        let versions = BTreeMap::from([
            ("am-eval".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("engine".to_owned(), ENGINE_VERSION.to_owned()),
            ("libtorch".to_owned(), device::libtorch_version()),
        ]);
        let skipped = self.selection.skipped().iter().map(|skipped| format!("{}: {}", skipped.id, skipped.reason));
        Manifest {
            format: MANIFEST_FORMAT,
            run: self.run.clone(),
            status: RunStatus::Incomplete,
            suite_name: self.suite.name.clone(),
            suite_source: self.suite.source.clone(),
            suite: self.suite.clone(),
            dataset: self.dataset.name().to_owned(),
            classes: self.dataset.classes().to_vec(),
            samples: self.selection.len() as u64,
            skipped: skipped.collect(),
            data_hash: self.data_hash.clone(),
            models: models.collect(),
            seed: self.suite.seed,
            device: match self.device.is_cuda() {
                true => device::name(self.device),
                false => {
                    let threads = format::counted(tch::get_num_threads().unsigned_abs().into(), "thread");
                    format!("{}, {threads}", device::name(self.device))
                }
            },
            repeats: true,
            versions,
            command,
            blocks_total: self.plan.units().len() as u64,
            blocks_done: 0,
            seconds: 0.0,
            origin: None,
            unconfirmed_hits: 0,
            evidence: Vec::new(),
            outputs: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }
}

/// A weights file as seen from the suite's folder, so that manifests do not carry anyone's home directory.
fn relative(weights: &Path, suite: &Path) -> String {
    let folder = suite.parent().map(PathBuf::from).unwrap_or_default();
    weights.strip_prefix(&folder).unwrap_or(weights).display().to_string()
}
