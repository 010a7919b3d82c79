//! Networks that bring their own graph, from `torch.export` and as ONNX: PyTorch's own answers (`tests/fixtures/graphs/make.py`), layers, and
//! attacks on them.
#![cfg(feature = "torch")]

mod changed;
#[path = "../pytorch/mod.rs"]
mod pytorch;
mod scores;
mod studies;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use am_eval::engine::Predictor;
use am_eval::model::{Compute, Flow, Model, ModelSource, Probe, Site, Taps};
use am_eval::suite::ModelConfig;
use am_eval::terms::LayerName;
use assert_cmd::Command;
use pytorch::{assert_close, compare, normalize, suite_of, tensors, with_prefix};
use tch::{Device, Kind, Tensor};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/graphs")
}

/// The fixtures with this ending, without it.
fn named(ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    names.sort();
    names
}

/// The network of which a file is one form: what stands before the form.
fn network(file: &str) -> &str {
    let known = ["swin_v2"];
    if known.contains(&file) { file } else { file.split('_').next().unwrap_or(file) }
}

fn open_file(path: &Path, side: i64) -> Result<ModelSource, String> {
    let arch = if path.extension().is_some_and(|extension| extension == "onnx") { "onnx" } else { "exported" };
    let folder = path.parent().unwrap().display().to_string();
    let config = ModelConfig::of_file(arch, path, normalize());
    ModelSource::open(&config, Some([side, side])).map_err(|error| error.to_string().replace(&folder, "FOLDER"))
}

fn open(file: &str, side: i64) -> Model {
    let source = open_file(&fixtures().join(file), side).unwrap_or_else(|error| panic!("{error}"));
    source.build(Compute::f32(Device::Cpu)).unwrap()
}

/// PyTorch's tensors.
fn answers(network: &str) -> BTreeMap<String, Tensor> {
    tensors(&fixtures().join(format!("{network}.safetensors")))
}

fn pixels(answers: &BTreeMap<String, Tensor>) -> Tensor {
    answers["pixels_u8"].to_kind(Kind::Float) / 255.0
}

/// Logits, activations and gradients of the file against PyTorch's for its network. Kernels that ONNX names otherwise round otherwise.
fn compare_file(file: &str, network: &str, tolerance: f64, activations: bool) {
    let answers = answers(network);
    let pixels = pixels(&answers);
    let model = open(file, pixels.size()[3]);
    let layers = if activations { with_prefix(&answers, "activation.") } else { Vec::new() };
    let mut objectives = with_prefix(&answers, "gradient.");
    objectives.retain(|(objective, _)| activations || objective.starts_with("class"));
    compare(&model, &pixels, &answers["logits"], &layers, &objectives, [tolerance, 10.0 * tolerance], file);
}

#[test]
fn exported_programs_answer_as_pytorch_does() {
    let names = named(".pt2");
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        // Decomposed programs have no module for an operator that was taken apart.
        let network = network(&name);
        compare_file(&format!("{name}.pt2"), network, 1e-5, network == name);
    }
}

#[test]
fn onnx_models_answer_as_pytorch_does() {
    let names = named(".onnx");
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        compare_file(&format!("{name}.onnx"), network(&name), 1e-5, false);
    }
}

#[test]
fn a_pass_that_ends_at_a_layer_gives_the_activation_of_the_whole_pass() {
    for name in ["resnet", "swin", "parts"] {
        let pixels = pixels(&answers(name));
        let model = open(&format!("{name}.pt2"), pixels.size()[3]);
        let layers: Vec<LayerName> = model.layers().into_iter().map(|layer| layer.name).collect();
        let mut taps = Taps::new(&layers);
        let ControlFlow::Continue(logits) = model.forward(&pixels, &mut taps) else { panic!("the pass ended early") };
        assert_eq!(logits.size()[0], 3);
        for (layer, tensor) in layers.iter().zip(taps.into_activations()) {
            assert!(model.tap(&pixels, layer).unwrap().equal(&tensor.unwrap()), "{name}: {layer}");
        }
    }
}

/// In-place operators must not change what a probe has seen, and every row is a pass of its own.
#[test]
fn rows_alone_equal_rows_in_a_batch() {
    for name in named(".pt2") {
        let pixels = pixels(&answers(network(&name)));
        let model = open(&format!("{name}.pt2"), pixels.size()[3]);
        let together = model.logits(&pixels);
        let alone = model.logits(&pixels.narrow(0, 1, 1));
        assert_close(&alone, &together.narrow(0, 1, 1), 1e-5, &name);
    }
}

#[test]
fn a_search_in_bf16_with_channels_innermost_is_near_f32() {
    for name in ["resnet", "convnext", "vit", "swin", "mixed"] {
        let answers = answers(name);
        let pixels = pixels(&answers);
        let source = open_file(&fixtures().join(format!("{name}.pt2")), pixels.size()[3]).unwrap();
        let plain = source.build(Compute { channels_last: true, ..Compute::f32(Device::Cpu) }).unwrap();
        assert_close(&plain.logits(&pixels), &answers["logits"], 1e-5, &format!("{name}, channels last"));
        let narrow =
            source.build(Compute { kind: Kind::BFloat16, channels_last: true, ..Compute::f32(Device::Cpu) }).unwrap();
        assert_close(&narrow.logits(&pixels), &answers["logits"], 0.1, &format!("{name}, bf16"));
    }
}

/// Notes which sites a pass shows, and wants one of them.
struct Notes {
    wanted: &'static str,
    visited: Vec<String>,
}

impl Probe for Notes {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        self.visited.push(site.name.to_string());
        ControlFlow::Continue(activation)
    }

    fn wants(&self, site: &Site) -> bool {
        site.name.as_str() == self.wanted
    }
}

#[test]
fn normalization_is_folded_into_convolutions_that_no_probe_wants() {
    for (name, channels_last) in [("resnet", false), ("resnet", true), ("resnet_core", true), ("mobilenet", false)] {
        let answers = answers(network(name));
        let pixels = pixels(&answers);
        let source = open_file(&fixtures().join(format!("{name}.pt2")), pixels.size()[3]).unwrap();
        assert!(source.folds(), "{name}");
        let folded = Compute { folded: true, channels_last, ..Compute::f32(Device::Cpu) };
        let model = source.build(folded).unwrap();
        assert_close(&model.logits(&pixels), &answers["logits"], 1e-5, name);
        let plain = source.build(Compute { folded: false, ..folded }).unwrap();
        for layer in model.layers() {
            let activation = |model: &Model| model.tap(&pixels, &layer.name).unwrap();
            assert_close(&activation(&model), &activation(&plain), 1e-4, &format!("{name}: {}", layer.name));
        }
        for objective in ["class:1", "unit:layer1.0.conv1:2"].iter().filter(|_| name == "resnet") {
            let gradient = |model| {
                Predictor::new(model, Vec::new(), Some(objective.parse().unwrap())).unwrap().predict(&pixels).gradient
            };
            assert_close(&gradient(&model).unwrap(), &gradient(&plain).unwrap(), 1e-4, objective);
        }
    }
    let answers = answers("resnet");
    let source = open_file(&fixtures().join("resnet.pt2"), 32).unwrap();
    let model = source.build(Compute { folded: true, ..Compute::f32(Device::Cpu) }).unwrap();
    let visits = |wanted: &'static str| {
        let mut notes = Notes { wanted, visited: Vec::new() };
        assert!(model.forward(&pixels(&answers), &mut notes).is_continue());
        ["conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1"].map(|layer| notes.visited.iter().any(|name| name == layer))
    };
    assert_eq!(visits("nothing"), [false, true, false, true]);
    assert_eq!(visits("conv1"), [true, true, false, true]);
    assert!(!open_file(&fixtures().join("vit.pt2"), 16).unwrap().folds());
}

/// Keeps an activation as it was shown, and says whether it wants it.
struct Keeps {
    wants: bool,
    activation: Option<Tensor>,
}

impl Probe for Keeps {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        if site.name.as_str() == "bn1" {
            self.activation = Some(activation.shallow_clone());
        }
        ControlFlow::Continue(activation)
    }

    fn wants(&self, site: &Site) -> bool {
        self.wants && site.name.as_str() == "bn1"
    }
}

#[test]
fn rectifiers_overwrite_what_no_probe_wants_and_nothing_else() {
    let answers = answers("resnet");
    let pixels = pixels(&answers);
    for file in ["resnet.pt2", "resnet.onnx"] {
        let source = open_file(&fixtures().join(file), 32).unwrap();
        let model = source.build(Compute::f32(Device::Cpu)).unwrap();
        let pass = |wants| {
            let mut probe = Keeps { wants, activation: None };
            let ControlFlow::Continue(logits) = model.forward(&pixels, &mut probe) else { panic!("{file}") };
            (logits, probe.activation.map(|activation| activation.min().double_value(&[])))
        };
        let (spared, wanted) = (pass(false), pass(true));
        assert_eq!(spared.0, wanted.0, "{file}");
        if file == "resnet.pt2" {
            assert_eq!(spared.1, Some(0.0), "overwritten");
            assert!(wanted.1.unwrap() < 0.0, "{:?}", wanted.1);
        }
    }
}

/// Files tell the size of their images, so that nobody has to.
#[test]
fn layers_and_pictures_of_a_file_need_no_size() {
    let folder = tempfile::tempdir().unwrap();
    for (file, arch) in [("mixed.pt2", "exported"), ("mixed.onnx", "onnx")] {
        let path = fixtures().join(file);
        let listed = Command::cargo_bin("am-eval").unwrap().arg("layers").arg(&path).assert().success();
        assert!(String::from_utf8_lossy(&listed.get_output().stdout).starts_with("layer"), "{file}");
        let layer = open(file, pixels(&answers("mixed")).size()[3]).layers()[0].name.to_string();
        let out = folder.path().join(file);
        let mut pictures = Command::cargo_bin("am-eval").unwrap();
        pictures.args([
            "visualize",
            "--device",
            "cpu",
            "--arch",
            arch,
            "--mean",
            "0.5,0.5,0.5",
            "--std",
            "0.25,0.25,0.25",
        ]);
        pictures
            .args(["--units", "0", "--steps", "2", "--layer", &layer])
            .arg("--weights")
            .arg(&path)
            .arg("--out")
            .arg(&out);
        pictures.assert().success();
        assert!(out.join("visualize.csv").is_file(), "{file}");
    }
}

#[test]
fn exported_programs_are_listed_and_validated() {
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("suite.toml");
    let file = fixtures().join("resnet.pt2");
    let text = suite_of("exported", &file, "layer1.0.conv1");
    let am_eval = || Command::cargo_bin("am-eval").unwrap();
    let listed = am_eval().args(["layers", "--size", "32"]).arg(&file).assert().success();
    let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    let line = listed.lines().find(|line| line.starts_with("layer1.0.conv1 ")).expect(&listed);
    assert!(line.contains("Conv2d") && line.contains("8x8x8"), "{line}");

    std::fs::write(&suite, &text).unwrap();
    am_eval().arg("validate").arg(&suite).assert().success();
    std::fs::write(&suite, text.replace("conv1", "conv7")).unwrap();
    let refused = am_eval().arg("validate").arg(&suite).assert().code(2);
    let stderr = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("no layer") && stderr.contains("layer1.0.conv1"), "{stderr}");

    std::fs::write(&suite, text.replace("resnet.pt2", "vit.pt2")).unwrap();
    let refused = am_eval().arg("validate").arg(&suite).assert().code(2);
    let stderr = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("exported for images"), "{words}");
}

/// Every value of a graph is listed once, and answers to each of its names.
#[test]
fn layers_are_listed_once_under_all_their_names() {
    let model = open("resnet.pt2", 32);
    let layers = model.layers();
    let block = layers.iter().find(|layer| layer.names().any(|name| name.as_str() == "layer1.0")).unwrap();
    assert!(block.also.len() >= 2, "{block:?}");
    let mut names: Vec<&str> = layers.iter().flat_map(|layer| layer.names()).map(LayerName::as_str).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(model.layer(&"layer1.0".into()).unwrap().name.as_str(), "layer1.0");
    let pixels = pixels(&answers("resnet"));
    let activation = |name: &LayerName| model.tap(&pixels, name).unwrap();
    assert!(block.also.iter().all(|name| activation(name).equal(&activation(&block.name))));
}
