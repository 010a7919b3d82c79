//! A run of many records: how long the gate takes, and that memory does not grow with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use am_eval::gate::{Metric, Options, Rule, RuleSet, Snapshot, Verdict, baseline, judge};
use am_eval::record::{
    Cell, CellKind, DistancesWriter, MANIFEST_FORMAT, Manifest, Record, RunDir, RunStatus, SamplesWriter, Status,
};
use am_eval::terms::{Epsilon, LayerName, Norm};

/// 50,000 samples in 100 cells. Run it with `cargo test --release --test gate_scale -- --ignored --nocapture`.
#[test]
#[ignore = "writes a table of more than a gigabyte"]
fn five_million_records() {
    check(50_000, 100);
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
    let margin = |metric| Rule { max_drop: Some(0.01), ..Rule::of(metric) };
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

fn run(folder: &std::path::Path, samples: u32, cells: usize) -> (RunDir, Manifest) {
    let dir = RunDir::create(folder, "scale-1").unwrap();
    let cell = |unit: usize| Cell {
        model: "resnet50".to_owned(),
        dataset: "imagenet".to_owned(),
        attack: "units".to_owned(),
        kind: CellKind::Unit,
        target: String::new(),
        layer: Some(LayerName::from("layer3")),
        unit: Some(unit.to_string()),
        norm: Norm::Linf,
        epsilon: Epsilon::new(4.0 / 255.0).unwrap(),
    };
    let cells: Vec<Arc<Cell>> = (0..cells).map(|unit| Arc::new(cell(unit))).collect();
    let mut table = SamplesWriter::create(&dir.samples_path(), dir.run()).unwrap();
    for (unit, cell) in (0u32..).zip(&cells) {
        for sample in 0..samples {
            let (label, hit) = (sample % 1000, (sample * 31 + unit * 17).is_multiple_of(97));
            let record = Record {
                cell: cell.clone(),
                sample_id: format!("val/n{label:08}/ILSVRC2012_val_{sample:08}.JPEG").into(),
                label,
                clean_pred: if sample.is_multiple_of(5) { label + 1 } else { label },
                target: None,
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
            };
            table.write(&record).unwrap();
        }
    }
    let distances = DistancesWriter::create(&dir.distances_path(), dir.run()).unwrap();
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        run: "scale-1".to_owned(),
        status: RunStatus::Complete,
        suite_name: "scale".to_owned(),
        suite_source: String::new(),
        suite_resolved: serde_json::Value::Null,
        dataset: "imagenet".to_owned(),
        classes: Vec::new(),
        samples: u64::from(samples),
        skipped: Vec::new(),
        data_hash: String::new(),
        models: Vec::new(),
        seed: 0,
        device: String::new(),
        versions: BTreeMap::new(),
        command: Vec::new(),
        blocks_total: 1,
        blocks_done: 1,
        seconds: 0.0,
        unconfirmed_hits: 0,
        outputs: BTreeMap::from([
            ("samples.csv".to_owned(), table.finish().unwrap()),
            ("distances.csv".to_owned(), distances.finish().unwrap()),
        ]),
    };
    (dir, manifest)
}
