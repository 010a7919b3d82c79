//! `gate` and `baseline` of the real binary: verdicts, exit codes, what is written, and every kind of bad input.

mod support;

use std::path::Path;

use am_eval::record::{Block, RunDir, RunStatus, SamplesWriter, Status};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use support::{Runs, SUITE, am_eval, records};

fn gate(run: &Path, baseline: &Path) -> Command {
    let mut command = am_eval();
    command.arg("gate").arg(run).arg("--baseline").arg(baseline);
    command
}

#[test]
fn the_same_again_passes_and_a_regression_fails_with_a_message() {
    let runs = Runs::new();
    let baseline = runs.baseline();
    let same = runs.run("same", 0..30);
    gate(&same, &baseline).assert().success().stdout(contains("gate: passed"));
    let worse = runs.run("worse", 0..70);
    let expected = contains("gate: failed: the rule failed")
        .and(contains("cnn · linf 8/255: 76.7 % (71.6–81.1), was 90.0 %"))
        .and(contains("-13.3 points"))
        .and(contains("p < 0.0001, n = 300"))
        .and(contains("40 newly broken (test-030, test-031"))
        .and(contains("report.html"));
    gate(&worse, &baseline).assert().code(100).stdout(expected);
    for (file, text) in [
        ("gate.json", "\"conclusion\": \"failed\""),
        ("junit.xml", "<failure message=\"worst-case robust accuracy of cnn"),
        ("summary.md", "❌ **regressed**"),
    ] {
        let written = std::fs::read_to_string(worse.join(file)).unwrap();
        assert!(written.contains(text), "{file}: {written}");
    }
}

#[test]
fn each_format_is_printed_and_github_gets_its_summary() {
    let runs = Runs::new();
    let (baseline, worse, summary) = (runs.baseline(), runs.run("worse", 0..70), runs.path("step.md"));
    std::fs::write(&summary, "before\n").unwrap();
    for (format, expected) in [
        ("json", "\"verdict\": \"regressed\""),
        ("github", "::error title=am-eval gate%3A regressed::"),
        ("gitlab", "\"severity\": \"critical\""),
        ("markdown", "## gate: failed"),
    ] {
        gate(&worse, &baseline).args(["--format", format]).assert().code(100).stdout(contains(expected));
    }
    let mut in_a_job = gate(&worse, &baseline);
    in_a_job.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    in_a_job.assert().code(100).stdout(contains("\n::error title="));
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n## gate: failed"), "{text}");
    let output = gate(&worse, &baseline).args(["--format", "json"]).assert().get_output().stdout.clone();
    serde_json::from_slice::<serde_json::Value>(&output).unwrap();
}

#[test]
fn a_run_under_other_conditions_is_refused_unless_asked_for() {
    let runs = Runs::new();
    let baseline = runs.baseline();
    let other = runs.made("other", &SUITE.replace("steps = 20", "steps = 10"), 0..30, |_| {});
    let expected = contains("attack logit.steps: 20 in the baseline, 10 in the run").and(contains("--allow-mismatch"));
    gate(&other, &baseline).assert().code(3).stdout(expected);
    gate(&other, &baseline).arg("--allow-mismatch").assert().success();
    let data = runs.made("data", SUITE, 0..30, |manifest| manifest.data_hash = "e".repeat(64));
    gate(&data, &baseline).assert().code(3).stdout(contains("labels or images of the same sample ids"));
}

#[test]
fn rules_come_from_a_file_and_those_that_select_nothing_are_told() {
    let runs = Runs::new();
    let (run, rules) = (runs.run("run", 0..30), runs.path("rules.toml"));
    let with = |text: &str| {
        std::fs::write(&rules, format!("schema = 1\n{text}")).unwrap();
        let mut command = am_eval();
        command.arg("gate").arg(&run).arg("--rules").arg(&rules);
        command
    };
    let floor = "[[gate]]\nmetric = \"worst_case_accuracy\"\nmin = 0.95\n";
    with(floor).assert().code(100).stdout(contains("it is below the floor of 95.0 %"));
    with(&floor.replace("0.95", "0.5")).assert().success();
    with(&format!("{floor}select = {{ model = \"vit*\" }}\n")).assert().code(4).stdout(contains("selects nothing"));
    with(&format!("{floor}level = \"off\"\n")).assert().code(4).stderr(contains("no gate to apply"));
    with(&floor.replace("min", "mni")).assert().code(2).stderr(contains("did you mean `min`?"));
    with("gate = 3\n").assert().code(2);
    let drop = floor.replace("min = 0.95", "max_drop = 0.1");
    with(&drop).assert().code(2).stderr(contains("am-eval baseline save RUN FILE"));
    let bare = runs.made("bare", SUITE.split("[[gate]]").next().unwrap(), 0..1, |_| {});
    am_eval().arg("gate").arg(bare).assert().code(4).stderr(contains("no gate to apply"));
}

#[test]
fn an_expired_waiver_does_not_waive_and_is_told() {
    let runs = Runs::new();
    let baseline = runs.baseline();
    let waived = |name: &str, expires: &str| {
        let waiver = format!("[[waiver]]\nreason = \"on purpose\"\nowner = \"ana\"\nexpires = \"{expires}\"\n");
        runs.made(name, &format!("{SUITE}{waiver}"), 0..70, |_| {})
    };
    let live = contains("waived by ana until 9999-12-31: on purpose");
    gate(&waived("live", "9999-12-31"), &baseline).assert().success().stdout(live);
    let dead = contains("has expired and excuses nothing any more").and(contains("on purpose"));
    gate(&waived("dead", "2000-01-01"), &baseline).assert().code(100).stdout(dead);
}

#[test]
fn a_baseline_that_is_not_what_was_saved_is_refused() {
    let runs = Runs::new();
    let (baseline, run) = (runs.baseline(), runs.run("run", 0..30));
    let text = std::fs::read_to_string(&baseline).unwrap();
    let bad = runs.path("bad.json");
    for (content, expected) in [
        (text.replace("\"am-eval-baseline\": 2", "\"am-eval-baseline\": 3"), "use a newer am-eval"),
        (text[..text.len() / 2].to_owned(), "it is cut off"),
        (text.replace("\"seed\": 0", "\"seed\": 1"), "was changed after it was saved"),
        ("{}".to_owned(), "is not a baseline"),
    ] {
        std::fs::write(&bad, content).unwrap();
        gate(&run, &bad).assert().code(2).stderr(contains(expected).and(contains("bad.json")));
        am_eval().args(["baseline", "show"]).arg(&bad).assert().code(2);
    }
    gate(&run, &runs.path("none.json")).assert().code(2).stderr(contains("none.json"));
    gate(&run, runs.0.path()).assert().code(2).stderr(contains("it is a folder"));
    // Of another suite: readable, but nothing in it fits.
    let suite = SUITE.replace("guarded", "another").replace("\"cnn\"", "\"vit\"");
    let stranger = runs.made("stranger", &suite, 0..30, |manifest| manifest.data_hash = "f".repeat(64));
    am_eval().args(["baseline", "save"]).arg(stranger).arg(&bad).assert().success();
    gate(&run, &bad).assert().code(3).stdout(contains("drift: suite").or(contains("labels or images")));
}

#[test]
fn a_run_that_is_not_whole_is_refused() {
    let runs = Runs::new();
    let baseline = runs.baseline();
    let half = runs.made("half", SUITE, 0..30, |manifest| {
        (manifest.status, manifest.blocks_total) = (RunStatus::Incomplete, 4);
    });
    let expected = || contains("is incomplete: 1 of 4 blocks").and(contains("missing shards"));
    gate(&half, &baseline).assert().code(5).stderr(expected());
    am_eval().args(["baseline", "save"]).arg(&half).arg(runs.path("x.json")).assert().code(5).stderr(expected());
    assert!(!runs.path("x.json").exists());

    let changed = runs.run("changed", 0..70);
    let table = changed.join("samples.csv");
    let text = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, text.replacen("true,true,", "false,false,", 40)).unwrap();
    gate(&changed, &baseline).assert().code(101).stderr(contains("samples.csv").and(contains("am-eval report")));
    std::fs::remove_file(&table).unwrap();
    gate(&changed, &baseline).assert().code(101).stderr(contains("samples.csv"));
    gate(&runs.path("none"), &baseline).assert().code(2).stderr(contains("manifest.json"));
}

#[test]
fn a_cell_without_samples_is_nothing_selected() {
    let runs = Runs::new();
    let suite = SUITE.replace("worst_case_accuracy", "flip_rate").replace("max_drop = 0.02", "max = 0.5");
    let run = runs.made("blind", &suite, 0..0, |_| {});
    // Every clean prediction is wrong: nothing is left that could flip.
    let dir = RunDir::open(&run).unwrap();
    let (dir, mut manifest) = dir;
    let mut samples = SamplesWriter::create(&dir.samples_path(), dir.run()).unwrap();
    for mut record in records(0..0) {
        record.clean_pred = (record.label + 1) % 10;
        record.status = Status::SkippedMisclassified;
        samples.write(&record).unwrap();
    }
    manifest.outputs.insert("samples.csv".to_owned(), samples.finish().unwrap());
    manifest.save(&dir.manifest_path()).unwrap();
    am_eval().arg("gate").arg(&run).assert().code(4).stdout(contains("no sample is classified correctly"));
}

#[test]
fn a_baseline_is_shown_and_is_the_same_each_time() {
    let runs = Runs::new();
    let baseline = runs.baseline();
    let expected = contains("run       guarded-trusted (suite guarded, seed 0)")
        .and(contains("300 samples"))
        .and(contains("worst case cnn · linf 8/255: 90.0 %"));
    am_eval().args(["baseline", "show"]).arg(&baseline).assert().success().stdout(expected);
    let again = runs.path("again.json");
    am_eval().args(["baseline", "save"]).arg(runs.path("trusted")).arg(&again).assert().success();
    assert_eq!(std::fs::read(&baseline).unwrap(), std::fs::read(&again).unwrap());
    let unwritable = runs.path("no/such/folder.json");
    am_eval().args(["baseline", "save"]).arg(runs.path("trusted")).arg(unwritable).assert().code(101);
}

#[test]
fn the_page_shows_the_verdict_also_when_it_is_made_again() {
    let runs = Runs::new();
    let (baseline, run) = (runs.baseline(), runs.run("worse", 0..70));
    let (dir, _) = RunDir::open(&run).unwrap();
    let block = Block { key: "000-cnn--logit--00000".to_owned(), records: records(0..70), ..Block::default() };
    block.write(&dir).unwrap();
    am_eval().arg("report").arg(&run).assert().success();
    let page = || std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(!page().contains("id=\"gate\""));
    gate(&run, &baseline).assert().code(100);
    let with_verdict = page();
    assert!(with_verdict.contains("id=\"gate\"") && with_verdict.contains("<code>test-030</code>"));
    am_eval().arg("report").arg(&run).assert().success();
    assert!(page() == with_verdict, "the report is made again with the verdict");
}

#[test]
fn validate_warns_of_a_margin_that_the_data_cannot_show() {
    let runs = Runs::new();
    let path = runs.path("suite.toml");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/models/synthetic-cnn.safetensors");
    std::fs::copy(shipped, runs.path("cnn.safetensors")).unwrap();
    let suite = SUITE.replace("mean = [0.5], std = [0.25]", "mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25]");
    std::fs::write(&path, suite).unwrap();
    let expected = contains("300 samples show a drop of").and(contains("samples would do"));
    am_eval().arg("validate").arg(&path).assert().stderr(expected);
}
