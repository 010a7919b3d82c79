//! What a run leaves behind, and what `report` makes of it again.

use std::fs;
use std::path::Path;

use am_eval::record::{Manifest, RunStatus};
use predicates::prelude::*;
use predicates::str::contains;

use crate::sandbox::{BLOCKS, Results, SMALL, Sandbox, UNDISTURBED, am_eval, assert_same, files_of};

const SAMPLES: &str = "run,model,dataset,sample_id,label,clean_pred,clean_correct,attack,kind,target,layer,unit,norm,epsilon,\
    steps,forwards,backwards,adv_pred,flipped,flipped_u8,target_hit,margin_clean,margin_adv,confidence_clean,confidence_adv,\
    activation_clean,activation_adv,activation_gain_z,linf,l2,l1,l0,status,part,nearest_flip";
const DISTANCES: &str = "run,model,sample_id,label,clean_pred,norm,method,distance,bracket,censored,linearized,adv_pred,\
    forwards,backwards,status";

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_run_leaves_every_file_with_the_columns_of_the_contract() {
    let sandbox = Sandbox::small();
    let summary_line =
        contains("model / attack").and(contains("cnn")).and(contains("worst case")).and(contains("report: "));
    sandbox.run(&[]).assert().success().stdout(summary_line).stderr(contains(format!("{BLOCKS}/{BLOCKS} blocks")));

    let dir = sandbox.run_dir();
    let names: Vec<String> =
        files_of(&dir).iter().map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect();
    let expected = [
        ".lock",
        "blocks",
        "charts",
        "curves.csv",
        "distances.csv",
        "gate.json",
        "gate.sarif",
        "junit.xml",
        "layers.csv",
        "manifest.json",
        "plan.json",
        "report.html",
        "samples.csv",
        "summary.csv",
        "summary.json",
        "summary.md",
        "thumbnails.safetensors",
        "units.csv",
        "worst_case.csv",
        "worst_case_samples.csv",
    ];
    assert_eq!(names, expected);
    let charts = files_of(&dir.join("charts"));
    assert!(charts.len() >= 4, "{charts:?}");
    for chart in charts {
        assert!(fs::read(&chart).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"), "{chart:?}");
    }

    // 20 samples in two radii of the class logit, two units and as many random ones, and five draws of noise.
    let samples = lines(&dir.join("samples.csv"));
    assert_eq!(samples[0], SAMPLES);
    assert_eq!(without_controls(&samples), 1 + 20 * (2 + 2 + 2 + 5));
    // Beside the first attack in each norm: two draws of noise on every sample where the attack has none, and a search on half of them, those that the attack flipped left out.
    let rows_of_kind = |kind: &str| samples.iter().filter(|line| line.contains(kind)).count();
    assert_eq!(rows_of_kind(",control-noise,,,"), 2 * 20);
    assert!((1..=2 * 10).contains(&rows_of_kind(",control-search,")) && rows_of_kind(",control-longer,") <= 10);
    let distances = lines(&dir.join("distances.csv"));
    assert_eq!(distances[0], DISTANCES);
    assert_eq!(distances.len(), 1 + 20);
    let summary = lines(&dir.join("summary.csv"));
    assert_eq!(without_controls(&summary), 1 + 2 + 2 + 2 + 5);
    let columns: Vec<&str> = summary[0].split(',').collect();
    let rates = [
        "clean_accuracy",
        "robust_accuracy",
        "flip_rate",
        "flip_rate_all",
        "flip_rate_u8",
        "target_rate",
        "distance_median",
    ];
    for rate in rates {
        for column in [rate.to_owned(), format!("{rate}_lo"), format!("{rate}_hi")] {
            assert!(columns.contains(&column.as_str()), "{column} is missing in {columns:?}");
        }
    }
    for column in ["n", "n_clean_correct", "forwards", "backwards", "seconds", "health"] {
        assert!(columns.contains(&column), "{column} is missing in {columns:?}");
    }

    let manifest = Manifest::load(&dir.join("manifest.json")).unwrap();
    assert_eq!((manifest.status, manifest.blocks_done, manifest.blocks_total), (RunStatus::Complete, 12, 12));
    assert_eq!((manifest.samples, manifest.seed, manifest.suite_source.contains("name = \"small\"")), (20, 5, true));
    for name in ["samples.csv", "distances.csv", "summary.csv"] {
        let hash = blake3::hash(&fs::read(dir.join(name)).unwrap()).to_hex().to_string();
        assert_eq!(manifest.outputs.get(name), Some(&hash), "{name}");
    }
    assert!(fs::read_to_string(dir.join("report.html")).unwrap().contains("</html>"));
}

/// Rows of a table that the suite asks for, without the controls that run beside every suite.
fn without_controls(rows: &[String]) -> usize {
    let controls = [",control-search,", ",control-longer,", ",control-noise,,,"];
    rows.iter().filter(|row| !controls.iter().any(|kind| row.contains(kind))).count()
}

#[test]
fn a_dry_run_tells_the_cost_and_writes_nothing() {
    let sandbox = Sandbox::small();
    let output = sandbox.run(&["--dry-run", "--save-adversarial"]).assert().success().get_output().stdout.clone();
    let text = without_hash(&sandbox.plain(&output));
    insta::assert_snapshot!(text);
    assert!(!sandbox.path("runs").exists());
}

/// The run's hash depends on the weights, which may be trained again.
fn without_hash(text: &str) -> String {
    let Some((before, after)) = text.split_once("small-") else { return text.to_owned() };
    format!("{before}small-HASH{}", &after[12..])
}

#[test]
fn limit_and_seed_select_other_runs() {
    let suite = SMALL.split("[[attack]]\nname = \"units\"").next().unwrap();
    let sandbox = Sandbox::new(suite);
    let run = |more: &[&str], out: &str| {
        let out = sandbox.path(out);
        sandbox.run(&[more, &["--out", out.to_str().unwrap()]].concat()).assert().success();
        let dir = files_of(&out).remove(0);
        let samples = fs::read(dir.join("samples.csv")).unwrap();
        (dir.file_name().unwrap().to_owned(), Manifest::load(&dir.join("manifest.json")).unwrap(), samples)
    };
    let (few, manifest, _) = run(&["--limit", "5"], "few");
    assert_eq!(manifest.samples, 5);
    let (again, _, first) = run(&["--limit", "5", "--seed", "5"], "again");
    assert_eq!(few, again, "5 is the suite's own seed");
    let (other, manifest, second) = run(&["--limit", "5", "--seed", "6"], "other");
    assert_eq!(manifest.seed, 6);
    assert_ne!(few, other);
    assert_ne!(first, second);
}

#[test]
fn report_makes_the_same_bytes_again() {
    let sandbox = Sandbox::small();
    sandbox.run(&[]).assert().success();
    let dir = sandbox.run_dir();
    let (page, summary) = (fs::read(dir.join("report.html")).unwrap(), fs::read(dir.join("summary.csv")).unwrap());
    for name in ["samples.csv", "summary.csv", "distances.csv", "report.html"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    fs::remove_dir_all(dir.join("charts")).unwrap();
    am_eval().arg("report").arg(&dir).assert().success().stdout(contains("model / attack"));
    assert_same(&Results::read(&dir), &UNDISTURBED);
    assert_eq!(fs::read(dir.join("summary.csv")).unwrap(), summary);
    assert!(fs::read(dir.join("report.html")).unwrap() == page, "the page differs");

    let blocks = files_of(&dir.join("blocks"));
    fs::remove_file(&blocks[7]).unwrap();
    am_eval().arg("report").arg(&dir).assert().code(5);
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("This run is incomplete: 11 of 12 blocks"));

    for block in files_of(&dir.join("blocks")) {
        fs::remove_file(block).unwrap();
    }
    am_eval().arg("report").arg(&dir).assert().code(4).stderr(contains("has no finished block"));
    am_eval().arg("report").arg(sandbox.path("gone")).assert().code(2).stderr(contains("there is no run"));

    sandbox.run(&[]).assert().success();
    assert_same(&Results::read(&dir), &UNDISTURBED);
}
