//! Checkpoints as PyTorch's users save them (`tests/fixtures/checkpoints/make.py`): what the refusal says of each, and that its lines
//! of Python do what they say, where Python has torch.

use std::path::{Path, PathBuf};
use std::process::Command;

use am_eval::files::instead;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints")
}

/// The checkpoints, without the script that made them, in alphabetical order.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_none_or(|extension| extension != "py")).collect();
    files.sort();
    files
}

#[test]
fn each_kind_is_told_and_gets_its_own_lines() {
    let folder = fixtures().display().to_string();
    let lines = files().into_iter().map(|path| {
        let description = instead(&path).unwrap_or_else(|| "nothing is known of it".to_owned());
        format!("{}: {}", path.file_name().unwrap().to_string_lossy(), description.replace(&folder, "FOLDER"))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_lines_convert_what_is_there() {
    let python = |code: &str, folder: &Path| {
        Command::new("python3").arg("-c").arg(code).current_dir(folder).output().expect("python3 starts")
    };
    if !Command::new("python3")
        .args(["-c", "import torch, safetensors.torch"])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        eprintln!("skipped: python3 has no torch with safetensors");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // A list has nothing to convert, and the classes of whole modules are not there to be imported.
        if name == "no_tensors.pt" || name.contains("module") {
            continue;
        }
        let copy = folder.path().join(&name);
        std::fs::copy(&path, &copy).unwrap();
        let advice = instead(&copy).unwrap();
        let (_, code) = advice.split_once("in Python:\n").unwrap_or_else(|| panic!("{name}: {advice}"));
        let code: Vec<&str> = code.lines().map(str::trim).collect();
        let out = python(&code.join("\n"), folder.path());
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        let converted = am_eval::data::TensorFile::open(&copy.with_extension("safetensors")).unwrap();
        assert_eq!(converted.names(), ["conv1.bias", "conv1.weight", "fc.bias", "fc.weight"], "{name}");
    }
}
