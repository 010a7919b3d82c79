//! Networks without a gradient (`tests/fixtures/quantized_graphs/make.py`): attacks by scores run on them, and nothing else does.

use std::path::{Path, PathBuf};

use am_eval::model::{Compute, ModelSource};
use am_eval::suite::ModelConfig;
use assert_cmd::Command;
use tch::Device;

use super::pytorch::{assert_close, normalize, tensors};
use super::{fixtures, open_file, pixels};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quantized_graphs")
}

#[test]
fn quantized_networks_answer_as_pytorch_and_onnx_runtime_do() {
    let answers = tensors(&folder().join("answers.safetensors"));
    for (arch, file) in [("exported", "quantized.pt2"), ("onnx", "quantized.onnx")] {
        let config = ModelConfig::of_file(arch, &folder().join(file), normalize());
        let source = ModelSource::open_for(&config, Some([12, 12]), false).unwrap();
        let notes = source.notes().join(" ");
        assert!(notes.contains("gives no gradient") && notes.contains("rounds activations"), "{notes}");
        let model = source.build(Compute::f32(Device::Cpu)).unwrap();
        // A step of the output is 256th of its range; a value that lies between two steps may round to either.
        assert_close(&model.logits(&pixels(&answers)), &answers[arch], if arch == "onnx" { 1e-2 } else { 1e-5 }, file);
        let refused = open_file(&folder().join(file), 12).err().unwrap();
        assert!(refused.contains("optimizer = \"square\"") && refused.to_lowercase().contains("node"), "{refused}");
    }
}

fn suite(arch: &str, file: &Path, more: &str) -> String {
    format!(
        "schema = 2\nname = \"scores\"\n[run]\ndevice = \"cpu\"\n[data]\nkind = \"image-folder\"\nroot = \"data\"\n\
         [[model]]\nname = \"net\"\narch = \"{arch}\"\nweights = {file:?}\nnormalize = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}\n\
         [[attack]]\nname = \"square\"\nkind = \"class-logit\"\noptimizer = \"square\"\nnorm = \"linf\"\nepsilons = [\"64/255\"]\nsteps = 8\n{more}"
    )
}

/// Two images of each of two classes, `side` pixels high and wide.
fn write_images(folder: &Path, side: u32) {
    for number in 0..4u32 {
        let class = folder.join(format!("data/{}", number % 2));
        std::fs::create_dir_all(&class).unwrap();
        let colour = |x: u32, y: u32, c: u32| ((x * (number + 3) + y * 5 + c * 70) * 11 % 256) as u8;
        let image = image::RgbImage::from_fn(side, side, |x, y| image::Rgb([0, 1, 2].map(|c| colour(x, y, c))));
        image.save(class.join(format!("{number}.png"))).unwrap();
    }
}

#[test]
fn attacks_by_scores_run_where_there_is_no_gradient_and_others_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("suite.toml");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torchscript");
    let files = [
        ("exported", folder().join("quantized.pt2"), 12, "rounds activations"),
        ("onnx", folder().join("quantized.onnx"), 12, "rounds activations"),
        ("torchscript", scripts.join("detached.pt"), 8, "gives no gradient"),
    ];
    let steps =
        "[[attack]]\nname = \"steps\"\nkind = \"class-logit\"\nnorm = \"linf\"\nepsilons = [\"8/255\"]\nsteps = 2\n";
    for (arch, file, side, reason) in files {
        write_images(scratch.path(), side);
        let am_eval = |arguments: &[&str]| {
            let mut command = Command::cargo_bin("am-eval").unwrap();
            command.env("OMP_NUM_THREADS", "1").current_dir(&scratch).args(arguments);
            let output = command.output().unwrap();
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" "),
            )
        };
        std::fs::write(&path, suite(arch, &file, "")).unwrap();
        let (code, words) = am_eval(&["validate", "suite.toml"]);
        assert_eq!(code, Some(0), "{arch}: {words}");
        // The network is opened once, and what is noted of it is said once.
        assert_eq!(words.matches("note: model").count(), usize::from(arch != "torchscript"), "{arch}: {words}");
        let (code, words) = am_eval(&["run", "--no-progress", "--out", arch, "suite.toml"]);
        assert_eq!(code, Some(0), "{arch}: {words}");
        let run = std::fs::read_dir(scratch.path().join(arch)).unwrap().next().unwrap().unwrap().path();
        let samples = std::fs::read_to_string(run.join("samples.csv")).unwrap();
        assert!(samples.lines().filter(|line| line.contains(",square,")).count() >= 2, "{arch}: {samples}");
        for more in [steps, "[boundary]\n"] {
            std::fs::write(&path, suite(arch, &file, more)).unwrap();
            for command in
                [&["validate", "suite.toml"][..], &["run", "--no-progress", "--out", "refused", "suite.toml"]]
            {
                let (code, words) = am_eval(command);
                assert_eq!(code, Some(2), "{arch}: {words}");
                assert!(words.contains(reason) && words.contains("square"), "{arch}: {words}");
            }
        }
    }
}

/// A depth is a module or a block, not a value in between.
#[test]
fn depths_are_modules_and_blocks() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |path: &Path, side: i64, depth: &str| {
        let model = open_file(path, side).unwrap().build(Compute::f32(Device::Cpu)).unwrap();
        model.chosen_layers([&depth.parse().unwrap()]).unwrap().remove(0)
    };
    for depth in ["25%", "50%", "75%"] {
        for file in ["vit.onnx", "vit.pt2"] {
            let layer = at(&fixtures().join(file), 16, depth);
            assert!(layer.landmark && layer.name.as_str().contains('.'), "{file} {depth}: {layer:?}");
        }
    }
    // The same file, of which no note tells the modules: the sum behind a block.
    let mut bytes = std::fs::read(fixtures().join("vit.onnx")).unwrap();
    let note = b"name_scopes";
    for at in 0..bytes.len() - note.len() {
        if bytes[at..].starts_with(note) {
            bytes[at] = b'g';
        }
    }
    let path = scratch.path().join("nameless.onnx");
    std::fs::write(&path, bytes).unwrap();
    let layer = at(&path, 16, "50%");
    assert!(layer.landmark && layer.kind == "Add" && layer.shape.len() == 2, "{layer:?}");
}
