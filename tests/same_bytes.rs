//! Records stay as they are, to the byte, whatever the code that makes them is moved through.
//!
//! The hashes are those of the searching code before an attack was taken apart into objective, region and optimizer (843a68f): one
//! thread, and the arithmetic that every x86-64 processor has. A commit that changes a number on purpose changes its hash here, and says
//! why. Since then: the distances of the quick start, because whether two logits differ is asked relative to their spread; and both suites, because the
//! search folds batch normalization into the convolutions before it, convolutional networks are judged with their channels innermost, and
//! distances end at flips that hold; the passes of attacks that go on after a flip, which also verify the nearest that they passed; and ViTs
//! with a stem of convolutions, which have their channels innermost too.
#![cfg(all(feature = "torch", target_arch = "x86_64", target_os = "linux"))]

use std::path::Path;

use assert_cmd::Command;

/// Runs a suite on one thread; the blake3 hashes of its tables.
fn hashes(suite: &str, limit: &[&str]) -> Vec<(String, String)> {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(name, "1");
    }
    // Without these, kernels are chosen by the processor, and sums are taken in other orders.
    command.env("ATEN_CPU_CAPABILITY", "default").env("MKL_CBWR", "COMPATIBLE");
    command.env("DNNL_MAX_CPU_ISA", "SSE41").env("ONEDNN_MAX_CPU_ISA", "SSE41");
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join(suite);
    command.arg("run").arg(suite).args(limit).arg("--device").arg("cpu").arg("--no-progress");
    command.arg("--out").arg(out.path()).assert().success();
    let run = std::fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    ["samples.csv", "distances.csv", "transfer.csv"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::fs::read(run.join(name)).ok()?)))
        // The run's name holds the engine's version and may change.
        .map(|(name, bytes)| (name, blake3::hash(&without_run(&bytes)).to_hex()[..16].to_owned()))
        .collect()
}

/// A table without its first column, which names the run, and without the controls that run beside every suite (they have no layer),
/// which were not there at that commit.
fn without_run(bytes: &[u8]) -> Vec<u8> {
    let is_control = |row: &[u8]| {
        let text = String::from_utf8_lossy(row);
        text.contains(",control-search,") || text.contains(",control-longer,") || text.contains(",control-noise,,,")
    };
    let rows = bytes.split(|&byte| byte == b'\n').filter(|row| !is_control(row));
    let rest = rows.map(|row| row.iter().position(|&byte| byte == b',').map_or(row, |comma| &row[comma..]));
    // `samples.csv` has two more columns since then: the part of a composition, and the nearest flip on the way.
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let added = if header.ends_with(b",part,nearest_flip") { 2 } else { 0 };
    rest.map(|row| row.rsplitn(added + 1, |&byte| byte == b',').last().unwrap_or(row)).collect::<Vec<_>>().join(&b'\n')
}

fn expected(hashes: &[(&str, &str)]) -> Vec<(String, String)> {
    hashes.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect()
}

#[test]
fn the_quick_start_of_the_first_form_gives_the_same_bytes() {
    let found = hashes("tests/fixtures/suites/first_form.toml", &["--limit", "3"]);
    assert_eq!(found, expected(&[("samples.csv", "f643aba8b4c3cdbf"), ("distances.csv", "72cf7b7d6cea5d08")]));
}

#[test]
fn every_kind_of_attack_gives_the_same_bytes() {
    let found = hashes("tests/fixtures/suites/every_kind.toml", &[]);
    assert_eq!(
        found,
        expected(&[
            ("samples.csv", "e6efe4dce5978dbe"),
            ("distances.csv", "5085cb10766d199d"),
            ("transfer.csv", "858236c0c4b74115"),
        ])
    );
}
