//! The example run in `reports/example`: whole, and readable by this version. `make example` makes it again.

use std::path::{Path, PathBuf};

use am_eval::record::{RunDir, RunStatus};
use assert_cmd::Command;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/example")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_example_is_a_finished_run_of_modest_size_that_names_no_machine() {
    let (_, manifest) = RunDir::open(example()).unwrap();
    assert_eq!((manifest.status, manifest.suite_name.as_str()), (RunStatus::Complete, "quickstart"));
    assert_eq!(manifest.command, ["am-eval", "run", "suites/quickstart.toml"]);
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/quickstart.toml");
    assert_eq!(manifest.suite_source, std::fs::read_to_string(suite).unwrap(), "run `make example`");
    let size: u64 = files(&example()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(size < 5 << 20, "{size} bytes");
}

#[test]
fn this_version_reports_the_example_with_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    for file in files(&example()) {
        let to = folder.path().join(file.strip_prefix(example()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    let mut report = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    report.arg("report").arg(folder.path()).assert().success();
    for table in ["samples.csv", "distances.csv", "summary.csv"] {
        let read = |run: &Path| std::fs::read_to_string(run.join(table)).unwrap();
        assert!(read(folder.path()) == read(&example()), "{table} differs; run `make example`");
    }
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("synthetic-cnn") && page.contains("synthetic-vit"));
}
