//! TorchScript models: PyTorch's own answers, the layers that they bring, attacks on them, and what is refused
//! (`tests/fixtures/torchscript/make.py`).
#![cfg(feature = "torch")]

mod pytorch;

use std::path::{Path, PathBuf};

use am_eval::model::{Compute, Model, ModelSource};
use am_eval::suite::ModelConfig;
use assert_cmd::Command;
use pytorch::{compare, normalize, suite_of, tensors, with_prefix};
use tch::{Device, Kind};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torchscript")
}

fn open(file: &str, size: [i64; 2]) -> Result<Model, String> {
    let config = ModelConfig::of_file("torchscript", &fixtures().join(file), normalize());
    let source = ModelSource::open(&config, Some(size)).and_then(|source| source.build(Compute::f32(Device::Cpu)));
    source.map_err(|error| error.to_string().replace(&fixtures().display().to_string(), "FOLDER"))
}

#[test]
fn logits_layers_and_gradients_are_pytorchs() {
    let model = open("features.pt", [32, 32]).unwrap();
    let answers = tensors(&fixtures().join("features.safetensors"));
    let pixels = answers["images"].to_kind(Kind::Float) / 255.0;
    let (layers, objectives) = (with_prefix(&answers, "activation."), with_prefix(&answers, "gradient."));
    assert_eq!([layers.len(), objectives.len()], [2, 3]);
    compare(&model, &pixels, &answers["logits"], &layers, &objectives, [1e-5; 2], "features.pt");
}

#[test]
fn other_files_are_refused_with_what_would_be_right() {
    let message = |file: &str, size| open(file, size).err().unwrap_or_else(|| "accepted".to_owned());
    let mut messages: Vec<String> =
        ["logits.pt", "tuple.pt", "nameless.pt", "one-row.pt", "state.pt", "make.py", "absent.pt"]
            .iter()
            .map(|file| format!("{file}: {}", message(file, [32, 32])))
            .collect();
    messages.push(format!("too small: {}", message("features.pt", [3, 3])));
    insta::assert_snapshot!(messages.join("\n"));
}

/// Those of `make_refused.py`.
#[test]
fn scripts_that_cannot_be_attacked_say_why() {
    let message = |file: &str| open(file, [8, 8]).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error);
    for file in ["detached.pt", "no-grad.pt", "constant.pt", "quantized.pt"] {
        assert!(message(file).contains("it gives no gradient with respect to its input"), "{}", message(file));
    }
    for (file, operator) in [("saves.pt", "`torch.save`"), ("from-file.pt", "`torch.from_file`")] {
        let refusal = message(file);
        assert!(refusal.contains(operator) && refusal.contains("so it is not run"), "{refusal}");
    }
    for file in ["column.pt", "vector.pt"] {
        assert!(
            message(file).contains("return torch.stack([-z, z], 1), with z before the sigmoid"),
            "{}",
            message(file)
        );
    }
    assert!(message("spatial.pt").contains("return logits.flatten(1)"), "{}", message("spatial.pt"));
    let device = message("cuda.pt");
    assert!(device.contains("cuda:1") && !device.contains("frame #"), "{device}");
    assert!(!Path::new("written").exists() && !Path::new("mapped").exists());
}

#[test]
fn validate_reads_scripts_and_runs_none() {
    let folder = tempfile::tempdir().unwrap();
    let validate = |file: &str| {
        let suite = folder.path().join("suite.toml");
        let text = format!(
            "schema = 1\nname = \"s\"\n[data]\nkind = \"synthetic\"\nsamples = 4\n[[model]]\nname = \"net\"\narch = \"torchscript\"\n\
             weights = {:?}\nnormalize = {{ mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }}\n[boundary]\n",
            fixtures().join(file)
        );
        std::fs::write(&suite, text).unwrap();
        let started = std::time::Instant::now();
        let out =
            Command::cargo_bin("am-eval").unwrap().current_dir(&folder).arg("validate").arg(&suite).output().unwrap();
        assert!(started.elapsed().as_secs() < 30, "{file}");
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    for file in ["detached.pt", "no-grad.pt", "constant.pt", "quantized.pt", "saves.pt", "from-file.pt", "state.pt"] {
        assert_eq!(validate(file).0, Some(2), "{file}");
    }
    let (code, message) = validate("endless.pt");
    assert_eq!(code, Some(0), "{message}");
    assert!(message.contains("TorchScript files are programs"), "{message}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn scripts_are_listed_validated_and_attacked() {
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("suite.toml");
    let script = fixtures().join("features.pt");
    let text = suite_of("torchscript", &script, "hidden");
    std::fs::write(&suite, &text).unwrap();
    let am_eval = || Command::cargo_bin("am-eval").unwrap();
    let listed = am_eval().args(["layers", "--size", "32"]).arg(&script).assert().success();
    let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert!(listed.contains("norm") && listed.contains("6x14x14") && listed.contains("hidden"), "{listed}");
    am_eval().arg("validate").arg(&suite).assert().success();
    let out = folder.path().join("out");
    am_eval().args(["run", "--no-progress", "--out"]).arg(&out).arg(&suite).assert().success();
    let run = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let samples = std::fs::read_to_string(run.join("samples.csv")).unwrap();
    assert!(samples.lines().count() > 10 && samples.contains(",hidden,"), "{samples}");

    std::fs::write(&suite, text.replace("layer = \"hidden\"", "layer = \"hiden\"")).unwrap();
    let refused = am_eval().arg("validate").arg(&suite).assert().code(2);
    let stderr = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("no layer `hiden`") && stderr.contains("`hidden`"), "{stderr}");
}
