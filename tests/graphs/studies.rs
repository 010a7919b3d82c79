//! Every table of a suite on graph files, beside each other: what is attacked, looked into, drawn and transferred.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

use super::fixtures;

const STUDIES: &str = r#"schema = 2
name = "studies"
seed = 5
[run]
device = "cpu"
[data]
kind = "image-folder"
root = "data"
[[model]]
name = "program"
arch = "exported"
weights = "FIXTURES/resnet.pt2"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
[[model]]
name = "onnx"
arch = "onnx"
weights = "FIXTURES/resnet.onnx"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
[[attack]]
name = "logit"
kind = "class-logit"
target = "untargeted"
norm = "linf"
epsilons = ["32/255"]
steps = 3
[[attack]]
name = "unit"
kind = "unit"
layer = "50%"
units = { top = 1 }
norm = "linf"
epsilons = ["32/255"]
steps = 2
[damage]
layers = ["25%", "75%"]
patch = ["50%"]
[trajectories]
samples = 1
frames = 2
slice = 3
[transfer]
[[universal]]
name = "same"
source = "range"
units = [1]
norm = "linf"
epsilons = ["32/255"]
steps = 2
[[visualize]]
name = "pictures"
layers = ["50%"]
units = [0]
steps = 2
"#;

/// Writes the suite and images of five classes beside it, whose colours go by class and place.
fn written(folder: &Path, suite: &str) -> PathBuf {
    for class in 0..5u32 {
        let within = folder.join(format!("data/{class}"));
        std::fs::create_dir_all(&within).unwrap();
        for number in 0..3u32 {
            let colour = |x: u32, y: u32, c: u32| ((x * (class + 1) + y * (number + 2) + c * 85) * 7 % 256) as u8;
            let image = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([0, 1, 2].map(|c| colour(x, y, c))));
            image.save(within.join(format!("{number}.png"))).unwrap();
        }
    }
    let path = folder.join("suite.toml");
    std::fs::write(&path, suite.replace("FIXTURES", fixtures().to_str().unwrap())).unwrap();
    path
}

fn am_eval() -> Command {
    Command::cargo_bin("am-eval").unwrap()
}

#[test]
fn every_study_runs_on_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let suite = written(folder.path(), STUDIES);
    let out = folder.path().join("out");
    let run =
        am_eval().env("OMP_NUM_THREADS", "1").args(["run", "--no-progress", "--out"]).arg(&out).arg(&suite).assert();
    let run = run.success();
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    let run = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    for table in ["summary", "damage", "patching", "trajectories", "universal", "visualize", "transfer"] {
        let text = std::fs::read_to_string(run.join(table).with_extension("csv")).expect(table);
        for model in ["program", "onnx"] {
            let rows = text.lines().filter(|line| line.split(',').any(|cell| cell == model));
            // Patching needs flips.
            assert!(rows.count() > 0 || table == "patching", "{table} of {model}: {text}\n{stderr}");
        }
    }
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    for section in ["inside", "ways", "universal", "pictures", "transfer"] {
        assert!(report.contains(&format!("id=\"{section}\"")), "{section}");
    }
}

/// The images of a folder tell their size when they are looked at, and so does their model.
#[test]
fn layers_of_studies_are_found_where_the_images_alone_tell_the_size() {
    let folder = tempfile::tempdir().unwrap();
    let suite = written(folder.path(), &STUDIES.replace("patch = [\"50%\"]", "patch = [\"layer1.0.conv9\"]"));
    let refused = am_eval().arg("validate").arg(&suite).assert().code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for model in ["program", "onnx"] {
        assert!(words.contains(&format!("model `{model}` has no layer `layer1.0.conv9`")), "{words}");
    }
    assert!(words.contains("did you mean `layer1.0.conv"), "{words}");
}
