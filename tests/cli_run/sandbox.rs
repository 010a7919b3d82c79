//! A temporary folder with a suite, and the binary that runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use tempfile::TempDir;

/// Three tasks of four blocks each: class logits, units with both controls, boundary distances.
pub const SMALL: &str = r#"schema = 1
name = "small"
seed = 5

[run]
device = "cpu"
block = 5

[data]
kind = "synthetic"
size = 40
samples = 20

[[model]]
name = "cnn"
arch = "cifar/resnet8"
weights = "MODELS/synthetic-cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[[attack]]
name = "logit"
kind = "class-logit"
norm = "linf"
epsilons = ["1/255", "4/255"]
steps = 5

[[attack]]
name = "units"
kind = "unit"
layer = "layer2"
units = { top = 2 }
norm = "l2"
epsilons = [0.5]
steps = 5
controls = ["noise", "random-unit"]

[boundary]
norm = "linf"
steps = 5
bisections = 4
"#;

/// Blocks of [`SMALL`].
pub const BLOCKS: usize = 12;

/// A folder that holds `suite.toml` and takes its runs.
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// With this suite; `MODELS` in it stands for the folder of the shipped weights.
    pub fn new(suite: &str) -> Self {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        sandbox.write_suite(suite);
        sandbox
    }

    /// With [`SMALL`].
    pub fn small() -> Self {
        Sandbox::new(SMALL)
    }

    pub fn write_suite(&self, suite: &str) {
        std::fs::write(self.path("suite.toml"), suite.replace("MODELS", models().to_str().unwrap())).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `am-eval run suite.toml --out runs` with more arguments.
    pub fn run(&self, more: &[&str]) -> Command {
        let mut command = am_eval();
        command.args(self.arguments(more));
        command
    }

    /// The same as a child process that can be killed.
    pub fn start(&self) -> Child {
        self.start_with(&[], Stdio::piped())
    }

    /// The same with more arguments.
    pub fn start_with(&self, more: &[&str], errors: Stdio) -> Child {
        let mut process = Process::new(env!("CARGO_BIN_EXE_am-eval"));
        process.args(self.arguments(more)).env("OMP_NUM_THREADS", "1");
        process.stdout(Stdio::null()).stderr(errors).spawn().unwrap()
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut all = vec!["run".to_owned(), self.path("suite.toml").display().to_string()];
        if !more.contains(&"--out") {
            all.extend(["--out".to_owned(), self.path("runs").display().to_string()]);
        }
        all.extend(more.iter().map(|&word| word.to_owned()));
        all
    }

    /// The directory of the only run.
    pub fn run_dir(&self) -> PathBuf {
        let mut dirs: Vec<PathBuf> = files_of(&self.path("runs")).into_iter().filter(|path| path.is_dir()).collect();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        dirs.remove(0)
    }

    /// How many blocks of the only run are finished; 0 before it has begun.
    pub fn finished_blocks(&self) -> usize {
        let dirs = files_of(&self.path("runs"));
        let blocks = dirs.iter().flat_map(|dir| files_of(&dir.join("blocks")));
        blocks.filter(|path| path.extension().is_some_and(|extension| extension == "block")).count()
    }

    /// What `am-eval validate suite.toml` says on standard error of a suite that is wrong.
    pub fn refusal(&self) -> String {
        let output = am_eval().arg("validate").arg(self.path("suite.toml")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        self.plain(&output.stderr)
    }

    /// What the command says on standard error when it ends with `code`, with folders as `DIR` and `MODELS`.
    pub fn complaint(&self, more: &[&str], code: i32) -> String {
        let output = self.run(more).output().unwrap();
        let text = self.plain(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        text
    }

    /// `text` with the names of folders and libraries replaced by what they stand for.
    pub fn plain(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text).replace(self.folder.path().to_str().unwrap(), "DIR");
        text.replace(models().to_str().unwrap(), "MODELS")
    }
}

pub fn am_eval() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    command.env("OMP_NUM_THREADS", "1").env_remove("NO_COLOR");
    command
}

/// The shipped weights.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The entries of a folder, sorted; none if it is not there.
pub fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The files of a run by name, apart from blocks, locks, and what tells times: manifest, page, and the column `seconds`.
#[derive(Debug, PartialEq)]
pub struct Results(pub BTreeMap<String, Vec<u8>>);

impl Results {
    pub fn read(dir: &Path) -> Self {
        let mut results = BTreeMap::new();
        for name in ["samples.csv", "distances.csv"] {
            results.insert(name.to_owned(), std::fs::read(dir.join(name)).unwrap());
        }
        if let Ok(transfers) = std::fs::read(dir.join("transfer.csv")) {
            results.insert("transfer.csv".to_owned(), transfers);
        }
        results.insert("summary.csv".to_owned(), without_seconds(&dir.join("summary.csv")));
        for path in files_of(&dir.join("charts")) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            results.insert(name, std::fs::read(path).unwrap());
        }
        Results(results)
    }
}

/// Fails with the names of the files that differ, rather than with their bytes.
#[track_caller]
pub fn assert_same(results: &Results, expected: &Results) {
    let names = |results: &Results| results.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(results), names(expected));
    let differing: Vec<&String> = results.0.keys().filter(|&name| results.0[name] != expected.0[name]).collect();
    assert!(differing.is_empty(), "not the same bytes: {differing:?}");
}

fn without_seconds(path: &Path) -> Vec<u8> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let seconds = reader.headers().unwrap().iter().position(|name| name == "seconds").unwrap();
    let mut text = String::new();
    for row in reader.records() {
        let row = row.unwrap();
        let fields: Vec<&str> =
            row.iter().enumerate().filter(|(at, _)| *at != seconds).map(|(_, field)| field).collect();
        text += &(fields.join(",") + "\n");
    }
    text.into_bytes()
}

/// What [`SMALL`] gives when nothing disturbs it.
pub static UNDISTURBED: LazyLock<Results> = LazyLock::new(|| {
    let sandbox = Sandbox::small();
    sandbox.run(&[]).assert().success();
    Results::read(&sandbox.run_dir())
});

/// Waits until `condition` holds or the child has ended; whether the condition came first.
pub fn wait_for(child: &mut Child, condition: impl Fn() -> bool) -> bool {
    let limit = Instant::now() + Duration::from_secs(120);
    while Instant::now() < limit {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("nothing happened within two minutes");
}

/// Sends a signal by its name (`INT`, `TERM`).
pub fn signal(child: &Child, name: &str) {
    let status = Process::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Standard error and exit code of a child that ends by itself.
pub fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
