//! Made-up runs on disk, for the real binary.
#![allow(dead_code, reason = "each test uses a part of this")]

mod records;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use am_eval::record::{
    Cell, DistanceRecord, DistancesWriter, MANIFEST_FORMAT, Manifest, ModelEntry, Record, RunDir, RunStatus,
    SamplesWriter, Status,
};
use am_eval::suite::Suite;
use am_eval::terms::Norm;
use assert_cmd::Command;
use records::{cell, record};

/// A suite with one model, one attack and one rule.
pub const SUITE: &str = r#"schema = 1
name = "guarded"
[data]
kind = "synthetic"
samples = 300
[[model]]
name = "cnn"
arch = "cifar/resnet8"
weights = "cnn.safetensors"
normalize = { mean = [0.5], std = [0.25] }
[[attack]]
name = "logit"
kind = "class-logit"
norm = "linf"
epsilons = ["8/255"]
steps = 20
[[gate]]
metric = "worst_case_accuracy"
max_drop = 0.02
"#;

/// A folder of runs.
pub struct Runs(pub tempfile::TempDir);

impl Runs {
    /// An empty one.
    pub fn new() -> Self {
        Runs(tempfile::tempdir().unwrap())
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A finished run, whose attack flips the samples in `flipped`.
    pub fn run(&self, name: &str, flipped: Range<u32>) -> PathBuf {
        self.made(name, SUITE, flipped, |_| {})
    }

    /// The same with another suite, or another manifest.
    pub fn made(&self, name: &str, suite: &str, flipped: Range<u32>, change: impl FnOnce(&mut Manifest)) -> PathBuf {
        let mut manifest = manifest(name, suite);
        let dir = RunDir::create(self.path(name), &manifest.run).unwrap();
        let mut samples = SamplesWriter::create(&dir.samples_path(), dir.run()).unwrap();
        records(flipped).iter().for_each(|record| samples.write(record).unwrap());
        let distances = DistancesWriter::create(&dir.distances_path(), dir.run()).unwrap();
        manifest.outputs.insert("samples.csv".to_owned(), samples.finish().unwrap());
        manifest.outputs.insert("distances.csv".to_owned(), distances.finish().unwrap());
        change(&mut manifest);
        manifest.save(&dir.manifest_path()).unwrap();
        dir.path().to_owned()
    }

    /// The baseline of a run in which the first thirty flip.
    pub fn baseline(&self) -> PathBuf {
        let (run, file) = (self.run("trusted", 0..30), self.path("baseline.json"));
        am_eval().args(["baseline", "save"]).arg(run).arg(&file).assert().success();
        file
    }
}

/// The manifest of a finished run of `suite`.
pub fn manifest(name: &str, suite: &str) -> Manifest {
    let parsed = Suite::parse("suite.toml", suite).map_err(|errors| format!("{errors:#}")).unwrap();
    Manifest {
        format: MANIFEST_FORMAT,
        run: format!("guarded-{name}"),
        status: RunStatus::Complete,
        suite_name: "guarded".to_owned(),
        suite_source: suite.to_owned(),
        suite: parsed,
        dataset: "synthetic".to_owned(),
        classes: (0..10).map(|class| class.to_string()).collect(),
        samples: 300,
        skipped: Vec::new(),
        data_hash: "d".repeat(64),
        models: vec![ModelEntry {
            name: "cnn".to_owned(),
            arch: "cifar/resnet8".to_owned(),
            weights: "cnn.safetensors".to_owned(),
            weights_hash: blake3::hash(name.as_bytes()).to_hex().to_string(),
            parameters: 1,
            search: "f32".to_owned(),
            trial: None,
        }],
        seed: 0,
        device: "CPU".to_owned(),
        repeats: true,
        versions: BTreeMap::from([("engine".to_owned(), "1".to_owned())]),
        command: vec!["am-eval".to_owned()],
        blocks_total: 1,
        blocks_done: 1,
        seconds: 1.0,
        origin: None,
        unconfirmed_hits: 0,
        evidence: Vec::new(),
        outputs: BTreeMap::new(),
        blocks: BTreeMap::new(),
    }
}

/// Three hundred records, of which the attack flips those in `flipped`.
pub fn records(flipped: Range<u32>) -> Vec<Record> {
    let cell = Arc::new(Cell { model: "cnn".to_owned(), attack: "logit".to_owned(), ..cell(8.0 / 255.0) });
    let one = record(&cell, 0);
    let record = |sample: u32| {
        let (label, hit) = (sample % 10, flipped.contains(&sample));
        Record {
            sample_id: format!("test-{sample:03}").into(),
            label,
            clean_pred: label,
            adv_pred: (label + u32::from(hit)) % 10,
            flipped: hit,
            flipped_u8: hit,
            ..one.clone()
        }
    };
    (0..300).map(record).collect()
}

/// The binary, without what a CI job would set.
pub fn am_eval() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    for name in ["LD_LIBRARY_PATH", "NO_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"] {
        command.env_remove(name);
    }
    command
}

/// The l2 distance of a record's sample from the boundary.
pub fn distance(record: &Record, distance: f64) -> DistanceRecord {
    DistanceRecord {
        model: record.cell.model.as_str().into(),
        sample_id: record.sample_id.clone(),
        label: record.label,
        clean_pred: record.clean_pred,
        norm: Norm::L2,
        method: "path".into(),
        distance,
        bracket: 1e-6,
        searched: 10.0,
        censored: false,
        linearized: distance,
        adv_pred: record.label + 1,
        forwards: 36,
        backwards: 20,
        status: Status::Ok,
    }
}
