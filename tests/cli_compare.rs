//! `compare` of the real binary: what it prints and writes, exit codes, and every kind of bad input.

mod support;

use std::path::Path;

use am_eval::data::{Dataset, Synthetic};
use am_eval::record::{
    DistancesWriter, Manifest, ManifestFormat, RunDir, RunStatus, SamplesWriter, Thumbnail, Thumbnails,
};
use am_eval::suite::Split;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use support::{Runs, SUITE, am_eval, records};

/// `compare` with a folder for its files.
fn compare(runs: &[&Path], out: &Path) -> Command {
    let mut command = am_eval();
    command.arg("compare").args(runs).arg("--out").arg(out);
    command
}

/// Gives a run thumbnails of the procedural images.
fn with_thumbnails(run: &Path) {
    let (dir, _) = RunDir::open(run).unwrap();
    let data = Synthetic::new(Split::Test, 300);
    let mut thumbnails = Thumbnails::default();
    for sample in 0..300 {
        let id = format!("test-{sample:03}").as_str().into();
        thumbnails.add(&Thumbnail { sample_id: id, png: data.image(sample).unwrap().to_png() });
    }
    thumbnails.save(&dir.thumbnails_path()).unwrap();
}

/// A run of a suite whose models are called `models`, with the same records for each of the flips.
fn of_models(runs: &Runs, name: &str, models: &[(&str, std::ops::Range<u32>)]) -> std::path::PathBuf {
    let path = runs.made(name, SUITE, 0..0, |manifest| {
        let entry = manifest.models.remove(0);
        for (model, _) in models {
            let mut entry = entry.clone();
            entry.name = (*model).to_owned();
            entry.weights_hash = blake3::hash(model.as_bytes()).to_hex().to_string();
            manifest.models.push(entry);
        }
    });
    rewritten(&path, |samples| {
        for (model, flipped) in models {
            for mut record in records(flipped.clone()) {
                let cell = am_eval::record::Cell { model: (*model).to_owned(), ..(*record.cell).clone() };
                record.cell = std::sync::Arc::new(cell);
                samples.write(&record).unwrap();
            }
        }
    });
    path
}

/// Writes a run's table again, and its hash.
fn rewritten(run: &Path, write: impl FnOnce(&mut SamplesWriter)) {
    let (dir, mut manifest) = RunDir::open(run).unwrap();
    let mut samples = SamplesWriter::create(&dir.samples_path(), dir.run()).unwrap();
    write(&mut samples);
    manifest.outputs.insert("samples.csv".to_owned(), samples.finish().unwrap());
    manifest.save(&dir.manifest_path()).unwrap();
}

#[test]
fn two_runs_give_a_table_two_csv_files_and_a_page_with_pictures() {
    let runs = Runs::new();
    let (before, after, out) = (runs.run("before", 0..30), runs.run("after", 20..70), runs.path("out"));
    with_thumbnails(&after);
    let expected = contains("reference guarded-before (300 samples of procedural images)")
        .and(contains("cnn in guarded-after: less robust"))
        .and(contains("worst case · ℓ∞ ε 8/255"))
        .and(contains("-6.7 points"))
        .and(contains("40 newly broken (test-030, test-031"))
        .and(contains("20 newly fixed (test-000"))
        .and(contains("the only cell differs significantly"))
        .and(contains("compare.html"));
    compare(&[&before, &after], &out).assert().success().stdout(expected);

    let table = std::fs::read_to_string(out.join("compare.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "clean, worst case, the cell: {table}");
    assert!(lines[2].starts_with("guarded-after,cnn,cnn,worst_case_accuracy,,,,,linf,0.0313725"), "{table}");
    assert!(lines[2].contains(",300,0.9,") && lines[2].contains(",40,20,"), "{table}");
    let changed = std::fs::read_to_string(out.join("changed.csv")).unwrap();
    assert_eq!(changed.matches(",broken,flipped").count(), 80, "in the worst case and in the cell");
    assert_eq!(changed.matches(",fixed,flipped").count(), 40);
    let page = std::fs::read_to_string(out.join("compare.html")).unwrap();
    assert_eq!(page.matches("data:image/png").count(), 60);
    assert!(page.contains("<svg class=\"chart\"") && page.contains("am-eval compare"));
}

#[test]
fn the_numbers_are_those_of_the_gate() {
    let runs = Runs::new();
    let (before, after) = (runs.baseline(), runs.run("worse", 0..70));
    let json = compare(&[&before, &after], &runs.path("out")).args(["--format", "json"]).assert().success();
    let compared: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    am_eval().arg("gate").arg(&after).arg("--baseline").arg(&before).assert().code(100);
    let gate: serde_json::Value = serde_json::from_slice(&std::fs::read(after.join("gate.json")).unwrap()).unwrap();
    let difference = &gate["differences"][1];
    let row = &compared["contrasts"][0]["rows"][1];
    assert_eq!(row["metric"], "worst_case_accuracy");
    for field in ["estimate", "n", "broken", "fixed", "broken_ids"] {
        assert_eq!(row["change"][field], difference["change"][field], "{field}");
    }
    assert_eq!((&row["reference"], &row["run"]), (&difference["before"], &difference["now"]));
}

#[test]
fn formats_and_the_default_folder() {
    let runs = Runs::new();
    let (a, b, c) = (runs.run("a", 0..30), runs.run("b", 0..31), runs.run("c", 0..90));
    let three = || compare(&[&a, &b, &c], &runs.path("out"));
    let expected =
        contains("cnn in guarded-b: no significant difference").and(contains("cnn in guarded-c: less robust"));
    three().assert().success().stdout(expected);
    let expected = contains("## Comparison with `guarded-a`").and(contains("| worst case"));
    three().args(["--format", "markdown"]).assert().success().stdout(expected);
    let json = three().args(["--format", "json"]).assert().success().get_output().stdout.clone();
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value["contrasts"].as_array().unwrap().len(), 2);
    assert_eq!(value["format"], 1);

    let mut command = am_eval();
    command.current_dir(runs.0.path()).args(["compare", "a", "b"]);
    command.assert().success().stdout(contains("reports/compare-"));
    let folders: Vec<_> = std::fs::read_dir(runs.path("reports")).unwrap().collect();
    command.assert().success();
    assert_eq!(std::fs::read_dir(runs.path("reports")).unwrap().count(), folders.len(), "the same folder again");
}

#[test]
fn models_of_other_names_are_paired_on_request_or_when_they_are_the_only_ones() {
    let runs = Runs::new();
    let cnn = runs.run("cnn", 0..30);
    let vit = of_models(&runs, "vit", &[("vit", 0..60)]);
    let both = of_models(&runs, "both", &[("small", 0..30), ("large", 0..20)]);
    let out = runs.path("out");
    compare(&[&cnn, &vit], &out).assert().success().stdout(contains("cnn → vit in guarded-vit: less robust"));
    let expected = contains("small → large in guarded-both").and(contains("10 newly fixed (test-020"));
    compare(&[&both], &out).args(["--model", "small=large"]).assert().success().stdout(expected);
    compare(&[&cnn, &both], &out).assert().code(4).stderr(contains("--model cnn=small"));
    compare(&[&cnn, &both], &out).args(["--model", "cnn=large"]).assert().success();
    let near = contains("run guarded-both has no model `larg`").and(contains("did you mean `large`"));
    compare(&[&cnn, &both], &out).args(["--model", "cnn=larg"]).assert().code(2).stderr(near);
    compare(&[&cnn, &both], &out).args(["--model", "a=b=c"]).assert().code(2).stderr(contains("must be A=B"));
    compare(&[&both], &out).assert().code(2).stderr(contains("--model A=B"));
    am_eval().arg("compare").assert().code(2);
}

#[test]
fn runs_under_other_conditions_are_refused_unless_asked_for() {
    let runs = Runs::new();
    let (run, out) = (runs.run("run", 0..30), runs.path("out"));
    let other = runs.made("other", &SUITE.replace("steps = 20", "steps = 10"), 0..30, |_| {});
    let expected = contains("attack logit.steps: 20 in the reference, 10 in the run").and(contains("--allow-mismatch"));
    compare(&[&run, &other], &out).assert().code(3).stderr(expected);
    assert!(!out.exists(), "nothing is written");
    let expected = contains("differs: attack logit.steps");
    compare(&[&run, &other], &out).arg("--allow-mismatch").assert().success().stdout(expected);
    let page = std::fs::read_to_string(out.join("compare.html")).unwrap();
    assert!(page.contains("made under different conditions; they were compared all the same"));
    let changes: [fn(&mut Manifest); 2] = [
        |manifest| manifest.data_hash = "e".repeat(64),
        |manifest| drop(manifest.versions.insert("engine".to_owned(), "2".to_owned())),
    ];
    for change in changes {
        let other = runs.made("changed", SUITE, 0..30, change);
        compare(&[&run, &other], &out).assert().code(3).stderr(contains("in the reference"));
    }
}

#[test]
fn a_run_that_is_not_whole_or_was_changed_is_refused() {
    let runs = Runs::new();
    let (run, out) = (runs.run("run", 0..30), runs.path("out"));
    let half = runs.made("half", SUITE, 0..30, |manifest| {
        (manifest.status, manifest.blocks_total) = (RunStatus::Incomplete, 4);
    });
    let expected = || contains("is incomplete: 1 of 4 blocks").and(contains("missing shards"));
    compare(&[&run, &half], &out).assert().code(5).stderr(expected());
    compare(&[&half, &run], &out).assert().code(5).stderr(expected());

    let changed = runs.run("tampered", 0..70);
    let table = changed.join("samples.csv");
    let text = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, text.replacen("true,true,", "false,false,", 40)).unwrap();
    let expected = contains("samples.csv").and(contains("am-eval report"));
    compare(&[&run, &changed], &out).assert().code(101).stderr(expected);
    // Changed together with its hash: the table itself is read with care.
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    for (broken, expected) in [
        (text.replacen(",linf,0.0313", ",l7,0.0313", 1), "samples.csv:2"),
        (text[..text.len() / 2].to_owned(), "samples.csv:"),
        (text.replacen("sample_id", "sample", 1), "missing columns: sample_id"),
    ] {
        std::fs::write(&table, &broken).unwrap();
        let (dir, mut manifest) = RunDir::open(&changed).unwrap();
        manifest.outputs.insert("samples.csv".to_owned(), hash(broken.as_bytes()));
        manifest.save(&dir.manifest_path()).unwrap();
        compare(&[&run, &changed], &out).assert().code(101).stderr(contains(expected));
    }

    let newer = runs.made("newer", SUITE, 0..30, |manifest| manifest.format = ManifestFormat::new(99));
    compare(&[&run, &newer], &out).assert().code(2).stderr(contains("use a newer am-eval"));
    let none = runs.path("none");
    compare(&[&run, &none], &out).assert().code(2).stderr(contains("manifest.json"));
    let file = runs.path("text.txt");
    std::fs::write(&file, "no baseline").unwrap();
    compare(&[&run, &file], &out).assert().code(2).stderr(contains("is not a baseline"));
    assert!(!out.exists(), "nothing is written");
    compare(&[&run, &run], &file.join("below")).assert().code(101).stderr(contains("text.txt"));
}

#[test]
fn runs_that_share_no_sample_or_attack_say_so() {
    let runs = Runs::new();
    let (run, out) = (runs.run("run", 0..30), runs.path("out"));
    let stranger = runs.run("stranger", 0..30);
    rewritten(&stranger, |samples| {
        for mut record in records(0..30) {
            record.sample_id = format!("other-{}", record.sample_id).as_str().into();
            samples.write(&record).unwrap();
        }
    });
    compare(&[&run, &stranger], &out).arg("--allow-mismatch").assert().code(4).stderr(contains("no sample of"));
    let suite = SUITE.replace("name = \"logit\"", "name = \"margin\"");
    let other = runs.made("other", &suite, 0..30, |_| {});
    rewritten(&other, |samples| {
        for mut record in records(0..30) {
            let cell = am_eval::record::Cell { attack: "margin".to_owned(), ..(*record.cell).clone() };
            record.cell = std::sync::Arc::new(cell);
            samples.write(&record).unwrap();
        }
    });
    let expected = contains("clean accuracy")
        .and(contains("only the reference has 1 cell of logit"))
        .and(contains("the worst case of cnn · linf 8/255 is left out"));
    compare(&[&run, &other], &out).assert().success().stdout(expected);
}

#[test]
fn damaged_thumbnails_cost_the_pictures_and_no_more() {
    let runs = Runs::new();
    let (before, after, out) = (runs.run("before", 0..30), runs.run("after", 0..70), runs.path("out"));
    std::fs::write(after.join("thumbnails.safetensors"), "no pictures").unwrap();
    compare(&[&before, &after], &out).assert().success().stderr(contains("its pictures are left out"));
    assert!(std::fs::read_to_string(out.join("compare.html")).unwrap().contains("No run kept thumbnails"));
}

#[test]
fn distances_are_compared_with_their_own_unit() {
    let runs = Runs::new();
    let suite = format!("{SUITE}[boundary]\nnorm = \"l2\"\nmethods = [\"path\"]\n");
    let made = |name: &str, shift: f64| {
        let run = runs.made(name, &suite, 0..30, |_| {});
        let (dir, mut manifest) = RunDir::open(&run).unwrap();
        let mut table = DistancesWriter::create(&dir.distances_path(), dir.run()).unwrap();
        for record in records(0..0) {
            let sample: f64 = record.sample_id.as_str()[5..].parse().unwrap();
            table.write(&support::distance(&record, 0.2 + 0.001 * sample + shift)).unwrap();
        }
        manifest.outputs.insert("distances.csv".to_owned(), table.finish().unwrap());
        manifest.save(&dir.manifest_path()).unwrap();
        run
    };
    let (before, after) = (made("near", 0.0), made("far", 0.05));
    let expected = contains("cnn in guarded-far: more robust").and(contains("median distance (path) · ℓ2  0.34"));
    compare(&[&before, &after], &runs.path("out")).assert().success().stdout(expected.and(contains("+0.0500")));
}
