//! What a run is named by and judged by: its own files, the content of its images, and the ids of its samples.

use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;

use crate::sandbox::{SMALL, Sandbox, am_eval, files_of, models};

/// One attack on a handful of images in files.
const FILES: &str = r#"schema = 1
name = "files"
[run]
device = "cpu"
[data]
kind = "csv"
file = "table.csv"
root = "."
[[model]]
name = "cnn"
arch = "cifar/resnet8"
weights = "MODELS/synthetic-cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
[[attack]]
name = "logit"
kind = "class-logit"
target = "untargeted"
norm = "linf"
epsilons = ["4/255"]
steps = 2
[[gate]]
metric = "robust_accuracy"
max_drop = 0.0
"#;

fn picture(path: &Path, seed: u8) {
    let image = image::RgbImage::from_fn(32, 32, |x, y| {
        image::Rgb([0u8, 1, 2].map(|c| (x as u8 * 7).wrapping_add(y as u8 * 5).wrapping_mul(c + 1).wrapping_add(seed)))
    });
    image.save_with_format(path, image::ImageFormat::Bmp).unwrap();
}

fn with_pictures() -> Sandbox {
    let sandbox = Sandbox::new(FILES);
    for index in 0..6 {
        picture(&sandbox.path(&format!("{index}.bmp")), index * 40);
    }
    fs::write(sandbox.path("table.csv"), table(&[0, 1, 2, 3, 4, 5])).unwrap();
    sandbox
}

fn table(order: &[u8]) -> String {
    let rows: Vec<String> = order.iter().map(|index| format!("{index}.bmp,{index}\n")).collect();
    format!("path,label\n{}", rows.concat())
}

#[test]
fn a_gate_needs_nothing_but_the_run() {
    let suite = SMALL
        .replace("MODELS/synthetic-cnn.safetensors", "net")
        .replace("normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }\n", "")
        + "\n[[gate]]\nmetric = \"clean_accuracy\"\nmin = 0.0\n";
    let sandbox = Sandbox::new(&suite);
    fs::create_dir(sandbox.path("net")).unwrap();
    fs::copy(models().join("synthetic-cnn.safetensors"), sandbox.path("net/model.safetensors")).unwrap();
    let config = r#"{"architecture": "other", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}"#;
    fs::write(sandbox.path("net/config.json"), config).unwrap();
    let findings = sandbox.path("findings.sarif");
    sandbox.run(&["--sarif", findings.to_str().unwrap()]).assert().success();
    let run = sandbox.run_dir();
    assert_eq!(fs::read(&findings).unwrap(), fs::read(run.join("gate.sarif")).unwrap());
    fs::remove_dir_all(sandbox.path("net")).unwrap();
    fs::remove_file(sandbox.path("suite.toml")).unwrap();
    am_eval().arg("gate").arg(&run).assert().success().stdout(contains("gate: passed"));
}

#[test]
fn other_images_of_the_same_length_are_another_run() {
    let sandbox = with_pictures();
    sandbox.run(&[]).assert().success();
    sandbox.run(&[]).assert().success().stdout(contains("nothing to do"));
    picture(&sandbox.path("3.bmp"), 77);
    sandbox.run(&[]).assert().success().stdout(contains("nothing to do").not());
    assert_eq!(files_of(&sandbox.path("runs")).len(), 2);
}

#[test]
fn the_number_of_threads_is_part_of_a_runs_name() {
    let sandbox = with_pictures();
    for threads in ["1", "2"] {
        sandbox.run(&[]).env("OMP_NUM_THREADS", threads).assert().success();
    }
    assert_eq!(files_of(&sandbox.path("runs")).len(), 2);
}

#[test]
fn the_same_samples_in_another_order_are_compared_by_id() {
    let sandbox = with_pictures();
    sandbox.run(&[]).assert().success();
    let first = sandbox.run_dir();
    let baseline = sandbox.path("baseline.json");
    am_eval().args(["baseline", "save"]).arg(&first).arg(&baseline).assert().success();
    fs::write(sandbox.path("table.csv"), table(&[5, 3, 1, 0, 2, 4])).unwrap();
    let text = fs::read_to_string(sandbox.path("suite.toml")).unwrap();
    fs::write(sandbox.path("suite.toml"), text.replace("name = \"files\"", "name = \"files\"\nseed = 9")).unwrap();
    let named = baseline.display().to_string();
    sandbox.run(&["--baseline", &named]).assert().success().stdout(contains("seed: 0 in the baseline, 9 in the run"));
    let second = files_of(&sandbox.path("runs")).into_iter().find(|path| *path != first).unwrap();
    let out = sandbox.path("compared");
    am_eval().arg("compare").arg(&first).arg(&second).arg("--out").arg(out).assert().success();
}

#[test]
fn depths_classes_and_starts_that_are_not_there_are_told_at_validation() {
    let picture = "\n[[visualize]]\nname = \"p\"\nlayers = [\"layer2\"]\nunits = [0]\nstart = \"no.png\"\n";
    for (suite, expected, place) in [
        (SMALL.replace("layer = \"layer2\"", "layer = \"150%\""), "`150%` is no depth", "layer = \"150%\""),
        (
            SMALL.replace("units = { top = 2 }", "units = [\"direction:3-11\"]"),
            "there is no class 11; classes are 0 to 9",
            "units = [\"direction:3-11\"]",
        ),
        (format!("{SMALL}{picture}"), "no image to start at", "start = \"no.png\""),
    ] {
        let text = Sandbox::new(&suite).refusal();
        assert!(text.contains(expected) && text.contains(place), "{text}");
    }
}

/// Neither is wrong, and both are told before anything runs: by `validate` and by `run`.
#[test]
fn layers_that_are_narrower_than_the_suite_asks_are_named_with_their_width() {
    let more = "[[visualize]]\nname = \"p\"\nlayers = [\"layer1\", \"layer2\"]\nunits = { random = 40 }\n";
    let suite = SMALL.replace("units = { top = 2 }", "units = { top = 20 }");
    assert_ne!(suite, SMALL);
    let sandbox = Sandbox::new(&format!("{suite}{more}"));
    let validated = am_eval().arg("validate").arg(sandbox.path("suite.toml")).assert().success().get_output().clone();
    let planned = sandbox.run(&["--dry-run"]).assert().success().get_output().clone();
    for text in [sandbox.plain(&validated.stderr), sandbox.plain(&planned.stderr)] {
        let units = "attack `units` drives so many units of `cnn` that fewer are left for its control `random-unit`: 12 in `layer2`;";
        let pictures = "visualize `p` asks for 40 units of each layer; in `cnn` `layer1` has 16, `layer2` has 32, and all of them are taken";
        assert!(text.contains(units) && text.contains(pictures), "{text}");
        assert_eq!(text.matches("asks for").count(), 1, "32 channels are enough for 20: {text}");
    }
}

/// Two attacks on one layer: the second is at fault, and is shown, by `validate` too.
#[test]
fn an_unknown_unit_is_shown_at_its_own_attack() {
    let second = "\n[[attack]]\nname = \"more\"\nkind = \"unit\"\nlayer = \"layer2\"\nunits = [9999]\nnorm = \"l2\"\n\
                  epsilons = [0.5]\nsteps = 5\n";
    let sandbox = Sandbox::new(&(SMALL.replace("{ top = 2 }", "[3]") + second));
    let ran = sandbox.complaint(&[], 2);
    let validated = am_eval().arg("validate").arg(sandbox.path("suite.toml")).output().unwrap();
    for text in [ran, sandbox.plain(&validated.stderr)] {
        assert!(text.contains("has no unit 9999") && text.contains("units = [9999]"), "{text}");
        assert!(!text.contains("units = [3]"), "{text}");
    }
    assert_eq!(validated.status.code(), Some(2));
}
