//! The lines of `docs/analysis.md` and the notebook, on a made-up run: they run, and count what the run counts.
//! `AM_EVAL_TEST_PYTHON` names a Python with pandas, pyarrow, polars and matplotlib; without them the tests say that they are skipped.

#[path = "browser/runs.rs"]
mod runs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use am_eval::record::{ColumnType, Manifest, column_type};
use am_eval::suite::TableForm;
use serde_json::Value;

const PAGE: &str = include_str!("../docs/analysis.md");
const NOTEBOOK: &str = include_str!("../examples/analyse.ipynb");

fn python() -> String {
    std::env::var("AM_EVAL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether Python has the modules; says so if not.
fn has(modules: &str) -> bool {
    let tried = Command::new(python()).args(["-c", &format!("import {modules}")]).output();
    let there = tried.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: {} has not all of {modules}; set AM_EVAL_TEST_PYTHON to one that has", python());
    }
    there
}

/// A made-up run with its tables in both forms.
fn run(folder: &Path) -> PathBuf {
    let models = [("resnet20", 0.9, 0.02), ("vit", 0.8, 0.01)];
    let run = runs::Recipe { models: &models, samples: 20, ..Default::default() }.write(&folder.join("run"));
    let path = run.join("manifest.json");
    let mut manifest = Manifest::load(&path).unwrap();
    manifest.suite.run.tables = vec![TableForm::Csv, TableForm::Parquet];
    manifest.save(&path).unwrap();
    let report = assert_cmd::Command::new(env!("CARGO_BIN_EXE_am-eval")).arg("report").arg(&run).assert().success();
    drop(report);
    run
}

fn execute(program: &str, folder: &Path) -> Output {
    let mut command = Command::new(python());
    let output = command.args(["-c", program]).env("MPLBACKEND", "Agg").current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The block of Python below a heading of the page.
fn block(heading: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("## {heading}\n")).unwrap();
    let (_, rest) = rest.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn tables_in_both_forms_hold_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    let manifest = Manifest::load(&run.join("manifest.json")).unwrap();
    for table in ["samples", "distances", "summary"] {
        let name = format!("{table}.parquet");
        assert!(manifest.outputs.contains_key(&name), "{name} is sealed");
        let mut reader = csv::Reader::from_path(run.join(format!("{table}.csv"))).unwrap();
        let columns = reader.headers().unwrap().len();
        let file = std::fs::File::open(run.join(&name)).unwrap();
        let parquet = parquet::file::reader::SerializedFileReader::new(file).unwrap();
        let metadata = parquet::file::reader::FileReader::metadata(&parquet).file_metadata();
        assert_eq!(metadata.num_rows(), reader.records().count() as i64, "{table}");
        assert_eq!(metadata.schema_descr().num_columns(), columns, "{table}");
    }
    // Asked for no more, they are gone.
    let path = run.join("manifest.json");
    let mut manifest = Manifest::load(&path).unwrap();
    manifest.suite.run.tables = vec![TableForm::Csv];
    manifest.save(&path).unwrap();
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_am-eval")).arg("report").arg(&run).assert().success();
    assert!(!run.join("samples.parquet").exists());
    assert_eq!(column_type("samples.csv", "target"), ColumnType::Whole);
}

#[test]
fn the_lines_of_pandas_and_polars_run() {
    for (heading, modules) in [("pandas", "pandas, pyarrow"), ("polars", "polars")] {
        if !has(modules) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let lines = block(heading);
        assert_eq!(lines.lines().count(), 3, "three lines of {heading}");
        let output = execute(&lines.replace("RUN", run.to_str().unwrap()), folder.path());
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("resnet20") && stdout.contains("vit"), "{stdout}");
    }
}

#[test]
fn the_notebook_runs_and_agrees_with_the_summary() {
    if !has("pandas, pyarrow, matplotlib") {
        return;
    }
    let notebook: Value = serde_json::from_str(NOTEBOOK).unwrap();
    let cells = notebook["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code");
    let sources = cells
        .map(|cell| cell["source"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<String>());
    let program = sources.collect::<Vec<_>>().join("\n\n");
    assert!(!program.contains("outputs"), "cells are committed without outputs");
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    for parquet in [true, false] {
        if !parquet {
            for table in ["samples", "distances", "summary"] {
                std::fs::remove_file(run.join(format!("{table}.parquet"))).unwrap();
            }
        }
        let output = execute(&program.replace("../reports/example", run.to_str().unwrap()), folder.path());
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("cells agree"), "{stdout}");
    }
}
