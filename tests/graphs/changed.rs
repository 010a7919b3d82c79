//! Graph files in other layouts, changed, damaged, or of no use to attacks: read, or refused with what would be right.

use std::path::{Path, PathBuf};

use am_eval::model::Compute;
use proptest::prelude::*;
use tch::Device;

use super::pytorch::assert_close;
use super::{answers, fixtures, open_file, pixels};

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
    let quantized = "quantized_decomposed.quantize_per_token.default";
    let message = said_of("parts", 12, |json| json.replace("aten.silu.default", quantized));
    assert!(message.contains("before quantization") && message.contains("`silu`"), "{message}");
}

#[test]
fn unusable_programs_are_refused_with_what_would_be_right() {
    let written = std::fs::read(fixtures().join("parts.pt2")).unwrap();
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
        ("cut off", bytes(&written[..written.len() / 2])),
        (
            "flipped byte",
            bytes(&written.iter().enumerate().map(|(at, &byte)| byte ^ u8::from(at == 500)).collect::<Vec<_>>()),
        ),
        ("no archive", bytes(b"PK\x03\x04 and nothing more")),
        ("unknown operator", replaced("aten.silu.default", "aten.mystery.default")),
        ("own operator", replaced("aten.silu.default", "mylib.mystery.default")),
        (
            "own operator with its line",
            said_of("parts", 12, |json| {
                let changed = json.replace("aten.silu.default", "mylib.mystery.default");
                let trace = "\"stack_trace\":\"File \\\"/home/me/net.py\\\", line 70, in forward\\n  x = y\",\"nn_module_stack\":";
                changed.replace("\"nn_module_stack\":", trace)
            }),
        ),
        ("control flow", replaced("higher_order.wrap_with_set_grad_enabled", "higher_order.cond")),
        ("pickled weight", replaced("\"use_pickle\": false", "\"use_pickle\": true")),
        ("batch baked in", replaced("{\"as_expr\":{\"expr_str\":", "{\"as_int\":2,\"x\":{\"expr_str\":")),
        ("missing tensor", replaced("\"parameter_name\":\"mix.weight\"", "\"parameter_name\":\"mix.wight\"")),
        ("huge tensor", replaced("{\"as_int\": 8}", "{\"as_int\": 99999999999}")),
        ("cycle", replaced("{\"name\":\"silu\"}}],\"metadata\"", "{\"name\":\"silux\"}}],\"metadata\"")),
        (
            "compiled",
            bytes(&archive(&[
                ("model/data/aotinductor/a.so".to_owned(), b"ELF".to_vec()),
                ("model/version".to_owned(), b"3".to_vec()),
            ])),
        ),
        ("safetensors", bytes(&[&2u64.to_le_bytes()[..], b"{}"].concat())),
        ("onnx", bytes(b"\x08\x09\x12\x07pytorch\xff")),
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
