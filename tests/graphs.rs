//! Networks that bring their own graph, from `torch.export` and as ONNX: PyTorch's own answers (`tests/fixtures/graphs/make.py`), layers,
//! attacks on them, and damaged files.
#![cfg(feature = "torch")]

mod pytorch;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use am_eval::engine::Predictor;
use am_eval::model::{Compute, Flow, Model, ModelSource, Probe, Site, Taps};
use am_eval::suite::ModelConfig;
use am_eval::terms::LayerName;
use assert_cmd::Command;
use proptest::prelude::*;
use pytorch::{assert_close, compare, normalize, tensors, with_prefix};
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
    let text = format!(
        r#"schema = 1
name = "graph"
seed = 5
[run]
device = "cpu"
[data]
kind = "synthetic"
size = 20
samples = 10
[[model]]
name = "small"
arch = "exported"
weights = "{}"
normalize = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}
[[attack]]
name = "logit"
kind = "class-logit"
norm = "linf"
epsilons = ["8/255"]
steps = 5
[[attack]]
name = "hidden"
kind = "unit"
layer = "layer1.0.conv1"
units = {{ top = 2 }}
norm = "linf"
epsilons = ["8/255"]
steps = 5
"#,
        file.display()
    );
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

/// The entries of an archive whose entries are stored as they are.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number =
        |at: usize, size: usize| bytes[at..at + size].iter().rev().fold(0usize, |n, &byte| n << 8 | byte as usize);
    let mut found = Vec::new();
    let mut at = 0;
    while bytes[at..].starts_with(b"PK\x03\x04") {
        let (size, name, extra) = (number(at + 18, 4), number(at + 26, 2), number(at + 28, 2));
        let data = at + 30 + name + extra;
        found.push((
            String::from_utf8(bytes[at + 30..at + 30 + name].to_vec()).unwrap(),
            bytes[data..data + size].to_vec(),
        ));
        at = data + size;
    }
    found
}

/// An archive of these entries.
fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut checksum = flate2::Crc::new();
        checksum.update(data);
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(checksum.sum().to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(data);
    }
    let (start, size, count) = (bytes.len() as u32, directory.len() as u32, entries.len() as u16);
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// What is said of the network `name` whose graph `change` has changed.
fn said_of(name: &str, side: i64, change: impl Fn(&str) -> String) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    let mut parts = entries(&std::fs::read(fixtures().join(format!("{name}.pt2"))).unwrap());
    for (entry, data) in &mut parts {
        if entry.ends_with(".json") {
            *data = change(std::str::from_utf8(data).unwrap()).into_bytes();
        }
    }
    std::fs::write(&path, archive(&parts)).unwrap();
    open_file(&path, side).err().unwrap_or_else(|| "accepted".to_owned())
}

/// Words and numbers as pickles of protocol 2 have them.
fn word(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn small_integer(number: i64) -> Vec<u8> {
    [&b"J"[..], &(number as i32).to_le_bytes()[..]].concat()
}

fn tuple(members: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), members.concat(), b"t".to_vec()].concat()
}

/// What `torch.save` makes of the tensors that an archive's folder lists: parameters in a dictionary, and an object whose loading would
/// run a command.
fn saved(parts: &[(String, Vec<u8>)], folder: &str, command: &str) -> Vec<u8> {
    const ORDERED: &[u8] = b"ccollections\nOrderedDict\n)R";
    let entry =
        |name: &str| parts.iter().find(|(entry, _)| entry.ends_with(name)).map(|(_, data)| data.clone()).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&entry(&format!("{folder}/model_{folder}_config.json"))).unwrap();
    let mut pickle = [&b"\x80\x02"[..], ORDERED, b"("].concat();
    let mut entries = vec![("archive/byteorder".to_owned(), b"little".to_vec())];
    for (key, (name, payload)) in config["config"].as_object().unwrap().iter().enumerate() {
        let bytes = entry(&format!("{folder}/{}", payload["path_name"].as_str().unwrap()));
        let sizes = |field: &str| -> Vec<Vec<u8>> {
            let sizes = payload["tensor_meta"][field].as_array().unwrap().iter();
            sizes.map(|size| small_integer(size["as_int"].as_i64().unwrap())).collect()
        };
        let class = if payload["tensor_meta"]["dtype"] == 5 { "LongStorage" } else { "FloatStorage" };
        let storage = tuple(&[
            word("storage"),
            format!("ctorch\n{class}\n").into_bytes(),
            word(&key.to_string()),
            word("cpu"),
            small_integer(bytes.len() as i64 / 4),
        ]);
        let place =
            [[storage, b"Q".to_vec()].concat(), small_integer(0), tuple(&sizes("sizes")), tuple(&sizes("strides"))];
        let rest = [b"\x89".to_vec(), ORDERED.to_vec()];
        let tensor =
            [b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), tuple(&[&place[..], &rest[..]].concat()), b"R".to_vec()];
        let parameter = tuple(&[tensor.concat(), b"\x88".to_vec(), ORDERED.to_vec()]);
        pickle.extend([word(name), b"ctorch._utils\n_rebuild_parameter\n".to_vec(), parameter, b"R".to_vec()].concat());
        entries.push((format!("archive/data/{key}"), bytes));
    }
    pickle.extend([word("run"), b"cos\nsystem\n".to_vec(), tuple(&[word(command)]), b"Ru.".to_vec()].concat());
    entries.push(("archive/data.pkl".to_owned(), pickle));
    archive(&entries)
}

/// PyTorch 2.6 to 2.8 saved weights by `torch.save`; what loading them would run is not run.
#[test]
fn programs_in_the_older_layouts_are_read_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("marker");
    let command = format!("touch {}", marker.display());
    let parts = entries(&std::fs::read(fixtures().join("writes.pt2")).unwrap());
    let graph = parts.iter().find(|(name, _)| name.ends_with("model.json")).unwrap().1.clone();
    let [weights, constants] = ["weights", "constants"].map(|part| saved(&parts, part, &command));
    let layouts = [
        ["serialized_exported_program.json", "serialized_state_dict.pt", "serialized_constants.pt"],
        ["archive/models/model.json", "archive/data/weights/model.pt", "archive/data/constants/model.pt"],
    ];
    let answers = answers("writes");
    let pixels = pixels(&answers);
    for layout in layouts {
        let names = layout.map(str::to_owned);
        let parts: Vec<_> = names.into_iter().zip([graph.clone(), weights.clone(), constants.clone()]).collect();
        let path = folder.path().join("older.pt2");
        std::fs::write(&path, archive(&parts)).unwrap();
        let source = open_file(&path, 16).unwrap_or_else(|error| panic!("{layout:?}: {error}"));
        let model = source.build(Compute::f32(Device::Cpu)).unwrap();
        assert_close(&model.logits(&pixels), &answers["logits"], 1e-5, layout[0]);
    }
    assert!(!marker.exists(), "a pickle was loaded");
    // A weight that does not lie in its storage.
    let short: Vec<(String, Vec<u8>)> = entries(&weights)
        .into_iter()
        .map(|(name, data)| {
            let data = if name == "archive/data/0" { data[..4].to_vec() } else { data };
            (name, data)
        })
        .collect();
    let parts = [(layouts[0][0].to_owned(), graph), (layouts[0][1].to_owned(), archive(&short))];
    let path = folder.path().join("short.pt2");
    std::fs::write(&path, archive(&parts)).unwrap();
    let message = open_file(&path, 16).err().unwrap();
    assert!(message.contains("`serialized_state_dict.pt` holds a tensor `conv.bias` that has shape [8]"), "{message}");
}

/// What no attack can follow is named with its node.
#[test]
fn networks_without_a_gradient_are_refused_with_the_node() {
    let cut = said_of("parts", 12, |json| json.replace("aten.silu.default", "aten.detach.default"));
    assert!(cut.contains("gives no gradient with respect to its pixels") && cut.contains("`silu`"), "{cut}");
    let flat = said_of("parts", 12, |json| json.replace("aten.silu.default", "aten.round.default"));
    assert!(flat.contains("is zero") && flat.contains("operator `round.default` is flat"), "{flat}");
    let random = said_of("parts", 12, |json| json.replace("aten.silu.default", "aten.bernoulli.default"));
    assert!(random.contains("random numbers") && random.contains("`silu`, `silu_1`"), "{random}");
    let quantized = "quantized_decomposed.quantize_per_tensor.default";
    let message = said_of("parts", 12, |json| json.replace("aten.silu.default", quantized));
    assert!(message.contains("before quantization") && message.contains("`silu`"), "{message}");
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

#[test]
fn unusable_programs_are_refused_with_what_would_be_right() {
    let archive = std::fs::read(fixtures().join("parts.pt2")).unwrap();
    let bytes = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt2");
        std::fs::write(&path, bytes).unwrap();
        open_file(&path, 12).err().unwrap_or_else(|| "accepted".to_owned())
    };
    let replaced = |from: &'static str, to: &'static str| said_of("parts", 12, move |json| json.replace(from, to));
    let mut messages = vec![
        ("as it is", said_of("parts", 12, str::to_owned)),
        ("other size", said_of("parts", 16, str::to_owned)),
        ("cut off", bytes(&archive[..archive.len() / 2])),
        (
            "flipped byte",
            bytes(&archive.iter().enumerate().map(|(at, &byte)| byte ^ u8::from(at == 500)).collect::<Vec<_>>()),
        ),
        ("no archive", bytes(b"PK\x03\x04 and nothing more")),
        ("unknown operator", replaced("aten.silu.default", "aten.mystery.default")),
        ("own operator", replaced("aten.silu.default", "mylib.mystery.default")),
        ("control flow", replaced("higher_order.wrap_with_set_grad_enabled", "higher_order.cond")),
        ("pickled weight", replaced("\"use_pickle\": false", "\"use_pickle\": true")),
        ("batch baked in", replaced("{\"as_expr\":{\"expr_str\":", "{\"as_int\":2,\"x\":{\"expr_str\":")),
        ("missing tensor", replaced("\"parameter_name\":\"mix.weight\"", "\"parameter_name\":\"mix.wight\"")),
        ("huge tensor", replaced("{\"as_int\": 8}", "{\"as_int\": 99999999999}")),
        ("cycle", replaced("{\"name\":\"silu\"}}],\"metadata\"", "{\"name\":\"silux\"}}],\"metadata\"")),
        ("older schema", replaced("\"major\":8", "\"major\":7")),
    ];
    for (name, key) in [("resnet", "training"), ("mobilenet", "train")] {
        let set = |value: bool| format!("\"name\":\"{key}\",\"arg\":{{\"as_bool\":{value}}}");
        messages.push((key, said_of(name, 32, |json| json.replace(&set(false), &set(true)))));
    }
    let text: Vec<String> = messages.iter().map(|(name, message)| format!("{name}: {message}")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

/// Files as the exporters write them that no attack can use (`tests/fixtures/unusable_graphs/make.py`): what is wrong, at which node, and
/// what would be right.
#[test]
fn what_exporters_write_and_attacks_cannot_use_is_refused_in_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unusable_graphs");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "pt2" || ending == "onnx")).collect();
    files.sort();
    let refusal = |path: &PathBuf| {
        let message = open_file(path, 8).err().unwrap_or_else(|| "accepted".to_owned());
        format!("{}: {message}", path.file_name().unwrap().display())
    };
    insta::assert_snapshot!(files.iter().map(refusal).collect::<Vec<_>>().join("\n\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever stands in the graph: a clear error or a network, never a crash.
    #[test]
    fn changed_graphs_are_used_or_refused(place in 0.0..1.0f64, other in 0.0..1.0f64, change in 0..4) {
        said_of("parts", 12, |json| {
            let mut bytes = json.as_bytes().to_vec();
            let at = (bytes.len() as f64 * place) as usize;
            let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
            match change {
                0 => bytes[at] = b'0' + (other * 9.0) as u8,
                1 if !digits.is_empty() => bytes[digits[(digits.len() as f64 * place) as usize]] = b'0' + (other * 9.0) as u8,
                2 => drop(bytes.splice(at..(at + (other * 40.0) as usize).min(json.len()), [])),
                _ => {
                    let word = json[at.min(json.len() - 1)..].split('"').nth(1).unwrap_or_default();
                    let far = (bytes.len() as f64 * other) as usize;
                    bytes.splice(far..far, word.bytes());
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        });
    }

    #[test]
    fn changed_onnx_files_are_used_or_refused(place in 0.0..1.0f64, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = std::fs::read(fixtures().join("shufflenet.onnx")).unwrap();
        let at = (bytes.len() as f64 * place) as usize;
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, bytes).unwrap();
        let _ = open_file(&path, 64);
    }
}
