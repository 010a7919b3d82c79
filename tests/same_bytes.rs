//! Records stay as they are, to the byte, whatever the code that makes them is moved through.
//!
//! The hashes began as those of the searching code before an attack was taken apart into objective, region and optimizer (843a68f): one
//! thread, and the arithmetic that every x86-64 processor has. Matrix products are still cut by the sizes of a processor's caches, so that
//! there is a set of hashes for each of the processors that were at hand; on others the tables are compared with the stored ones, number by
//! number. `AM_EVAL_SAME_BYTES=1` asks for the bytes on any. A commit that changes a number on purpose changes hashes here, makes the
//! stored tables again (`AM_EVAL_WRITE_TABLES=1`), and says why. Since then: the distances of the quick start, because whether two logits differ is asked relative to their spread; and both suites, because the
//! search folds batch normalization into the convolutions before it, convolutional networks are judged with their channels innermost, and
//! distances end at flips that hold; the passes of attacks that go on after a flip, which also verify the nearest that they passed; and ViTs
//! with a stem of convolutions, which have their channels innermost too.
#![cfg(all(feature = "torch", target_arch = "x86_64", target_os = "linux"))]

use std::path::Path;

use assert_cmd::Command;

/// Runs a suite on one thread; its tables by name.
fn tables(suite: &str, limit: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
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
        .filter_map(|name| Some((name, std::fs::read(run.join(name)).ok()?)))
        // The run's name holds the engine's version and may change.
        .map(|(name, bytes)| (name, without_run(&bytes)))
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

/// Whether the tables have the bytes of one of the processors `known`, else whether they are those stored in `folder` but for rounding.
fn assert_same(folder: &str, tables: &[(&str, Vec<u8>)], known: &[&[&str]]) {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/same_bytes").join(folder);
    if std::env::var_os("AM_EVAL_WRITE_TABLES").is_some() {
        std::fs::create_dir_all(&stored).unwrap();
        tables.iter().for_each(|(name, table)| std::fs::write(stored.join(name), table).unwrap());
    }
    let hashes: Vec<String> = tables.iter().map(|(_, table)| blake3::hash(table).to_hex()[..16].to_owned()).collect();
    if known.iter().any(|known| hashes == *known) {
        return;
    }
    assert!(std::env::var_os("AM_EVAL_SAME_BYTES").is_none(), "{folder}: {hashes:?} are the hashes of no processor");
    for (name, table) in tables {
        let before = std::fs::read_to_string(stored.join(name)).unwrap();
        let now = std::str::from_utf8(table).unwrap();
        assert_eq!(before.lines().count(), now.lines().count(), "{folder}/{name}");
        let moved: Vec<_> = before.lines().zip(now.lines()).filter(|(before, now)| !is_near(before, now)).collect();
        assert!(moved.len() * MOST_MOVED <= before.lines().count(), "{folder}/{name}: {moved:#?}");
    }
}

/// One row of so many may be another where arithmetic rounds otherwise: an ascent that passed a kink of the network on its other side.
const MOST_MOVED: usize = 20;

/// Whether two rows say the same but for rounding.
fn is_near(before: &str, now: &str) -> bool {
    let same = |(before, now): (&str, &str)| match (before.parse::<f64>(), now.parse::<f64>()) {
        (Ok(before), Ok(now)) => (before - now).abs() <= 1e-4 + 2e-3 * before.abs(),
        _ => before == now,
    };
    before.split(',').count() == now.split(',').count() && before.split(',').zip(now.split(',')).all(same)
}

#[test]
fn the_quick_start_of_the_first_form_gives_the_same_bytes() {
    let found = tables("tests/fixtures/suites/first_form.toml", &["--limit", "3"]);
    let xeon = ["f643aba8b4c3cdbf", "72cf7b7d6cea5d08"];
    let zen5 = ["20bfde2cd6d77542", "72cf7b7d6cea5d08"];
    assert_same("first_form", &found, &[&xeon, &zen5]);
}

#[test]
fn every_kind_of_attack_gives_the_same_bytes() {
    let found = tables("tests/fixtures/suites/every_kind.toml", &[]);
    let xeon = ["e6efe4dce5978dbe", "5085cb10766d199d", "858236c0c4b74115"];
    let zen5 = ["1056f426638068cb", "18ef20ffeb7b4384", "858236c0c4b74115"];
    assert_same("every_kind", &found, &[&xeon, &zen5]);
}

#[test]
fn rows_that_tell_something_else_are_not_near() {
    let row = ",a,1,true,0.5000";
    assert!(is_near(row, ",a,1,true,0.5004"));
    for other in [",a,1,false,0.5000", ",a,1,true,0.5100", ",a,2,true,0.5000", ",a,1,true,", ",a,1,true"] {
        assert!(!is_near(row, other), "{other}");
    }
}
