//! The readers of files, as functions of bytes: what `fuzz/` (coverage-guided) and `tests/readers.rs` (a short run) call. None may
//! panic, hang or take more memory than the largest file that it reads.

use std::path::{Path, PathBuf};

use crate::data::{self, TensorFile};
use crate::files::{Archive, Pickle, ScriptCode, foreign, instead};
use crate::gate::baseline;
use crate::record::{self, Manifest, SamplesReader, Thumbnails};
use crate::suite::{Channels, ClassNames, DataConfig, DataSource, Interpolation, OnDataError, Preprocess, Suite};

/// A reader.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads bytes.
    pub read: fn(&[u8]),
    /// What it can read, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every reader.
pub const TARGETS: [Target; 6] = [
    Target { name: "suite", read: suite, seeds: suites },
    Target { name: "weights", read: weights, seeds: checkpoints },
    Target { name: "image", read: image, seeds: images },
    Target { name: "data", read: data, seeds: lists },
    Target { name: "baseline", read: baseline, seeds: baselines },
    Target { name: "record", read: record, seeds: records },
];

/// Writes what the reader `name` can read into the folder that `AM_EVAL_FUZZ_CORPUS` names, so that a search for other inputs begins
/// there. Without the variable it does nothing.
///
/// # Panics
/// If a file cannot be written.
pub fn sow(name: &str) {
    let Some(folder) = std::env::var_os("AM_EVAL_FUZZ_CORPUS").map(PathBuf::from) else { return };
    for seed in TARGETS.iter().filter(|target| target.name == name).flat_map(|target| (target.seeds)()) {
        let file = folder.join(format!("seed-{}", &blake3::hash(&seed).to_hex()[..16]));
        std::fs::write(&file, seed).unwrap_or_else(|error| panic!("failed to write {}: {error}", file.display()));
    }
}

/// Suites and rules.
pub fn suite(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    if let Ok(suite) = Suite::parse("suite.toml", text) {
        let _ = (suite.gate_warnings(), serde_json::to_value(&suite));
    }
}

/// Weights, checkpoints, scripts, and whatever came instead.
pub fn weights(bytes: &[u8]) {
    let _ = foreign(bytes, bytes.len() as u64);
    if let Some((pickle, _)) = Pickle::parse(bytes) {
        let _ = (pickle.state_dicts(), pickle.keys(), pickle.tensors());
    }
    in_file("weights.pt", bytes, |path| {
        let _ = TensorFile::open(path);
        let _ = instead(path);
        if let Ok(code) = ScriptCode::open(path) {
            let _ = (code.reaches_out(), code.layers(), code.no_gradient());
        }
        if let Ok(archive) = Archive::open(path) {
            archive.members().iter().take(20).for_each(|member| drop(archive.read(member, 1 << 20)));
        }
    });
}

/// Images, and what is done to them.
pub fn image(bytes: &[u8]) {
    let Ok(image) = data::decode_bytes(bytes) else { return };
    assert_eq!(image.pixels.len(), image.channels * image.height * image.width);
}

/// Lists of labels and classes, IDX files, shards and tensors: the first byte chooses.
pub fn data(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    in_file("data", bytes, |path| {
        let root = path.parent().map(PathBuf::from).unwrap_or_default();
        let file = path.to_path_buf();
        let source = match kind % 6 {
            0 => DataSource::Csv { file, root },
            1 => DataSource::Idx { images: file.clone(), labels: file },
            2 => DataSource::ImagenetVal { root, labels: file, synsets: None },
            3 => DataSource::ImagenetVal { root, labels: file.clone(), synsets: Some(file) },
            4 => DataSource::Webdataset { root, shards: vec!["data".to_owned()], label_field: "label".to_owned() },
            _ => return drop(TensorFile::open(path)),
        };
        let mut config = DataConfig::plain(source);
        config.class_names = (kind & 0x80 != 0).then(|| ClassNames::File(path.to_path_buf()));
        config.on_error = OnDataError::Fail;
        config.preprocess = Preprocess {
            channels: Some(Channels::Rgb),
            resize: Some(8),
            crop: Some(8),
            interpolation: Interpolation::Bilinear,
        };
        if let Ok(dataset) = data::open(&config) {
            for index in 0..dataset.len().min(4) {
                let _ = (dataset.id(index), dataset.label(index), dataset.image(index));
            }
            let _ = data::misfit(dataset.as_ref(), 10);
        }
    });
}

/// Baselines.
pub fn baseline(bytes: &[u8]) {
    let _ = baseline::parse(bytes, Path::new("baseline"));
    let _ = baseline::parse_rehashed(bytes, Path::new("baseline"));
}

/// Blocks, tables, manifests and thumbnails: the first byte chooses.
pub fn record(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => drop(record::decode_rehashed(bytes)),
        1 => in_file("samples.csv", bytes, |path| {
            let _ = SamplesReader::open(path, Default::default()).map(|rows| rows.take(1000).for_each(drop));
        }),
        2 => in_file("manifest.json", bytes, |path| drop(Manifest::load(path))),
        _ => in_file("thumbnails.safetensors", bytes, |path| drop(Thumbnails::load(path))),
    }
}

/// Calls `read` on a file with these bytes.
fn in_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let Ok(folder) = folder else { return };
    let path = folder.path().join(name);
    if std::fs::write(&path, bytes).is_ok() {
        read(&path);
    }
}

/// Files of the repository below `folder` that end so.
fn found(folder: &str, ends: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let fits = |path: &&PathBuf| ends.iter().any(|end| path.to_string_lossy().ends_with(end));
    paths.iter().filter(fits).filter_map(|path| std::fs::read(path).ok()).filter(|bytes| bytes.len() < 20_000).collect()
}

fn suites() -> Vec<Vec<u8>> {
    found("suites", &[".toml"])
}

fn checkpoints() -> Vec<Vec<u8>> {
    [found("tests/fixtures/checkpoints", &[".pth", ".pt", ".ckpt"]), found("tests/fixtures/torchscript", &[".pt"])]
        .concat()
}

fn images() -> Vec<Vec<u8>> {
    found("tests/fixtures/preprocess", &[".png", ".jpg", ".webp", ".bmp", ".ppm", ".pgm"])
}

fn lists() -> Vec<Vec<u8>> {
    let idx = [&[0, 0, 8, 1, 0, 0, 0, 2][..], &[3, 4]].concat();
    let texts: [(u8, &[u8]); 6] = [
        (0, b"path,label\na.png,0\nb.png,7.0\n"),
        (0x80, b"path,label\na.png,n01440764\n"),
        (1, &idx),
        (2, b"490\n361\n171\n"),
        (0x82, b"n01440764 tench\nn01443537 goldfish\n"),
        (5, b"\x08\0\0\0\0\0\0\0{}      "),
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|(kind, text)| [&[*kind][..], text].concat()).collect();
    let more = [
        (3, found("tests/fixtures/imagenet", &[".mat", ".txt", ".csv"])),
        (4, found("tests/fixtures/webdataset", &[".tar"])),
    ];
    seeds.extend(
        more.into_iter().flat_map(|(kind, files)| files.into_iter().map(move |file| [&[kind][..], &file].concat())),
    );
    seeds
}

fn baselines() -> Vec<Vec<u8>> {
    vec![br#"{"am-eval-baseline": 1, "hash": "", "content": {"models": [], "cells": [], "distances": []}}"#.to_vec()]
}

fn records() -> Vec<Vec<u8>> {
    let example = "reports/example";
    let files = [(1, found(example, &["samples.csv"])), (2, found(example, &["manifest.json"]))];
    let mut seeds: Vec<Vec<u8>> = files
        .into_iter()
        .flat_map(|(kind, files)| files.into_iter().map(move |file| [&[kind][..], &file].concat()))
        .collect();
    seeds.push([&[1][..], record::SAMPLES_COLUMNS.join(",").as_bytes(), b"\n"].concat());
    seeds.push(b"\0{\"format\":1,\"key\":\"k\",\"run\":\"r\",\"records\":0,\"distances\":0,\"examples\":0,\"forwards\":0,\"backwards\":0,\"seconds\":0,\"unconfirmed_hits\":0,\"bytes\":[2,0,0,2,0],\"blake3\":\"\"}\n[][]".to_vec());
    seeds.push(b"\x03\x02\0\0\0\0\0\0\0{}".to_vec());
    seeds
}
