//! A run of many records: how long the gate takes, and that memory does not grow with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use am_eval::gate::{Options, Snapshot, Verdict, baseline, judge};
use am_eval::record::{
    Block, Cell, CellKind, DistancesWriter, MANIFEST_FORMAT, Manifest, Record, RunDir, RunStatus, SamplesWriter, Status,
};
use am_eval::suite::Suite;
use am_eval::suite::gate::{Metric, Rule, RuleSet};
use am_eval::terms::{Epsilon, LayerName, Norm, Unit};

const SUITE: &str = r#"schema = 1
name = "scale"
[data]
kind = "synthetic"
samples = 50
[[model]]
name = "resnet50"
arch = "cifar/resnet8"
weights = "resnet50.safetensors"
normalize = { mean = [0.5], std = [0.25] }
[[attack]]
name = "units"
kind = "unit"
layer = "layer3"
units = "all"
norm = "linf"
epsilons = ["4/255"]
steps = 40
[[gate]]
metric = "worst_case_accuracy"
min = 0.0
[[gate]]
metric = "flip_rate"
max = 1.0
"#;

/// 50,000 samples in 100 cells: what `report` and `gate` of the real binary take, on idle cores. `make scale` runs it.
#[test]
#[ignore = "writes tables of more than two gigabytes"]
fn five_million_records() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, mut manifest) = blocks(folder.path(), 50_000, 100);
    // The suite tells `gate` its rules.
    manifest.suite_source = SUITE.to_owned();
    manifest.save(&dir.manifest_path()).unwrap();
    let report = measured("report", &[dir.path()]);
    let gate = measured("gate", &[dir.path()]);
    let page = std::fs::metadata(dir.path().join("report.html")).unwrap().len();
    println!("report.html: {page} bytes");
    assert!(page < 10_000_000);
    assert!(report.seconds < 60.0, "report: {report:?}");
    assert!(gate.seconds < 20.0, "gate: {gate:?}");
    assert!(report.peak < 1 << 30 && gate.peak < 1 << 30, "{report:?} {gate:?}");
}

/// What a process took.
#[derive(Debug)]
struct Taken {
    seconds: f64,
    /// Of processor time, over all threads.
    #[allow(dead_code)]
    processor: f64,
    /// Largest resident memory, in bytes; 0 where the system does not tell.
    peak: u64,
}

/// Runs a command of the binary, which must succeed, and watches it.
fn measured(command: &str, paths: &[&Path]) -> Taken {
    let start = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    let mut process = process.arg(command).args(paths).stdout(Stdio::null()).spawn().unwrap();
    let mut taken = Taken { seconds: 0.0, processor: 0.0, peak: 0 };
    let proc = Path::new("/proc").join(process.id().to_string());
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        let read = |name: &str| std::fs::read_to_string(proc.join(name)).unwrap_or_default();
        let peak =
            read("status").lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        taken.peak = peak.map_or(taken.peak, |kilobytes: u64| kilobytes * 1024);
        // User and system time, in hundredths of a second, are the 12th and 13th field after the name.
        let stat = read("stat");
        let ticks = stat.rsplit(')').next().into_iter().flat_map(|rest| rest.split_whitespace().skip(11).take(2));
        let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        taken.processor = f64::max(taken.processor, ticks / 100.0);
        std::thread::sleep(Duration::from_millis(20));
    };
    taken.seconds = start.elapsed().as_secs_f64();
    println!("{command}: {taken:?}");
    assert!(status.success(), "{command}: {status}");
    taken
}

#[test]
fn a_hundred_thousand_records() {
    check(1000, 100);
}

fn check(samples: u32, cells: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, manifest) = run(folder.path(), samples, cells);
    let start = Instant::now();
    let (snapshot, summary) = Snapshot::of_run(&dir, &manifest).unwrap();
    let read = start.elapsed();
    let file = folder.path().join("baseline.json");
    baseline::save(&snapshot, &file).unwrap();
    let before = baseline::load(&file).unwrap();
    assert_eq!(before, snapshot);
    let saved = start.elapsed();
    let margin = |metric| Rule { max_drop: Some(0.01), ..Rule::unbounded(metric) };
    let rules =
        RuleSet { rules: [Metric::WorstCaseAccuracy, Metric::RobustAccuracy].map(margin).into(), waivers: Vec::new() };
    let options = Options { allow_mismatch: false, today: "2026-01-01".parse().unwrap(), samples_hash: String::new() };
    let outcome = judge(&snapshot, Some(&before), &rules, &options);
    let size = std::fs::metadata(&file).unwrap().len();
    println!(
        "read and summarized {read:?}, baseline of {size} bytes {:?}, judged {:?}",
        saved - read,
        start.elapsed() - saved
    );
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert_eq!((summary.cells.len(), snapshot.samples.len()), (cells, samples as usize));
    assert_eq!(summary.models[0].worst_case[0].2.point, am_eval::gate::worst_cases(&snapshot)[0].1.point);
}

fn cells(count: usize) -> Vec<Arc<Cell>> {
    let cell = |unit: usize| Cell {
        model: "resnet50".to_owned(),
        dataset: "imagenet".to_owned(),
        attack: "units".to_owned(),
        kind: CellKind::Unit,
        target: None,
        layer: Some(LayerName::from("layer3")),
        unit: Some(Unit::channel(unit).into()),
        norm: Norm::Linf,
        epsilon: Epsilon::new(4.0 / 255.0).unwrap(),
    };
    (0..count).map(|unit| Arc::new(cell(unit))).collect()
}

fn record(cell: &Arc<Cell>, unit: u32, sample: u32) -> Record {
    let (label, hit) = (sample % 1000, (sample * 31 + unit * 17).is_multiple_of(97));
    Record {
        cell: cell.clone(),
        sample_id: format!("val/n{label:08}/ILSVRC2012_val_{sample:08}.JPEG").into(),
        label,
        clean_pred: if sample.is_multiple_of(5) { label + 1 } else { label },
        target: None,
        part: None,
        nearest_flip: None,
        steps: 40,
        forwards: 41,
        backwards: 40,
        adv_pred: label + u32::from(hit),
        flipped: hit,
        flipped_u8: hit,
        target_hit: None,
        margin_clean: 3.176_212 + sample as f32 / 7.0,
        margin_adv: 0.512_331,
        confidence_clean: 0.912_312_4,
        confidence_adv: 0.611_237,
        activation_clean: Some(0.131_253),
        activation_adv: Some(1.728_311),
        activation_gain_z: Some(4.100_32),
        linf: 0.015_686,
        l2: 4.112_381,
        l1: 1312.111,
        l0: 150_528,
        status: Status::Ok,
    }
}

/// A finished run as its tables alone.
fn run(folder: &Path, samples: u32, count: usize) -> (RunDir, Manifest) {
    let dir = RunDir::create(folder, "scale-1").unwrap();
    let mut table = SamplesWriter::create(&dir.samples_path(), dir.run()).unwrap();
    for (unit, cell) in (0u32..).zip(&cells(count)) {
        (0..samples).for_each(|sample| table.write(&record(cell, unit, sample)).unwrap());
    }
    let distances = DistancesWriter::create(&dir.distances_path(), dir.run()).unwrap();
    let mut manifest = manifest(samples);
    manifest.outputs.insert("samples.csv".to_owned(), table.finish().unwrap());
    manifest.outputs.insert("distances.csv".to_owned(), distances.finish().unwrap());
    (dir, manifest)
}

/// A finished run as its blocks alone, of 50 samples each.
fn blocks(folder: &Path, samples: u32, count: usize) -> (RunDir, Manifest) {
    let dir = RunDir::create(folder, "scale-1").unwrap();
    let cells = cells(count);
    let total = samples.div_ceil(50);
    for block in 0..total {
        let members = block * 50..samples.min((block + 1) * 50);
        let of_cell = |(unit, cell)| members.clone().map(move |sample| record(cell, unit, sample));
        let records = (0u32..).zip(&cells).flat_map(of_cell).collect();
        let key = format!("000-resnet50--units--{block:05}");
        Block { key, records, seconds: 1.0, ..Block::default() }.write(&dir).unwrap();
    }
    let mut manifest = manifest(samples);
    (manifest.blocks_total, manifest.blocks_done) = (total.into(), total.into());
    (dir, manifest)
}

fn manifest(samples: u32) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        run: "scale-1".to_owned(),
        status: RunStatus::Complete,
        suite_name: "scale".to_owned(),
        suite_source: String::new(),
        suite: Suite::parse("scale.toml", SUITE).unwrap(),
        dataset: "imagenet".to_owned(),
        classes: Vec::new(),
        samples: u64::from(samples),
        skipped: Vec::new(),
        data_hash: String::new(),
        models: Vec::new(),
        seed: 0,
        device: String::new(),
        repeats: true,
        versions: BTreeMap::new(),
        command: Vec::new(),
        blocks_total: 1,
        blocks_done: 1,
        seconds: 0.0,
        origin: None,
        unconfirmed_hits: 0,
        evidence: Vec::new(),
        outputs: BTreeMap::new(),
        blocks: BTreeMap::new(),
    }
}
