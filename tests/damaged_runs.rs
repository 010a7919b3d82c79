//! Damaged runs, baselines and rules: the real binary never panics, and its exit code tells the kind of failure.

#[path = "browser/runs.rs"]
mod runs;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use am_eval::cli::Exit;
use am_eval::outputs::damages;
use am_eval::record::RunDir;
use assert_cmd::Command;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

const RULES: &str = r#"schema = 1
[[gate]]
metric = "worst_case_accuracy"
select = { model = "resnet*" }
max_drop = 0.02
[[gate]]
metric = "distance_median"
max_drop = 0.001
level = "warn"
[[waiver]]
reason = "known"
owner = "ana"
expires = "9999-12-31"
"#;

fn am_eval() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    for name in ["LD_LIBRARY_PATH", "NO_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"] {
        command.env_remove(name);
    }
    command
}

/// A run with its outputs, its baseline and rules, all in order.
static WHOLE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let models = [("resnet20", 0.9, 0.02)];
    let run = runs::Recipe { models: &models, samples: 20, ..Default::default() }.write(&folder.path().join("run"));
    am_eval().arg("report").arg(&run).assert().success();
    am_eval().args(["baseline", "save"]).arg(&run).arg(folder.path().join("baseline.json")).assert().success();
    std::fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    folder
});

fn undamaged(file: &str) -> Vec<u8> {
    std::fs::read(WHOLE.path().join(file)).unwrap()
}

/// A copy in which one file has other bytes.
struct Damaged(tempfile::TempDir);

impl Damaged {
    fn new(file: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(WHOLE.path(), folder.path());
        std::fs::write(folder.path().join(file), bytes).unwrap();
        Damaged(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn gate(&self) -> Command {
        let mut gate = am_eval();
        gate.arg("gate").arg(self.path("run")).arg("--rules").arg(self.path("rules.toml"));
        gate.arg("--baseline").arg(self.path("baseline.json"));
        gate
    }

    fn report(&self) -> Command {
        let mut report = am_eval();
        report.arg("report").arg(self.path("run"));
        report
    }

    fn save(&self) -> Command {
        let mut save = am_eval();
        save.args(["baseline", "save"]).arg(self.path("run")).arg(self.path("other.json"));
        save
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to.to_owned());
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The exit code, after a look at the message.
fn exit(mut command: Command) -> Exit {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked at"), "{stderr}");
    let code = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", output.status));
    let exit = Exit::ALL.into_iter().find(|exit| i32::from(exit.code()) == code);
    let exit = exit.unwrap_or_else(|| panic!("exit code {code} is in no table: {stderr}"));
    assert!(matches!(exit, Exit::Success | Exit::GateFailed) || !(stderr.is_empty() && output.stdout.is_empty()));
    exit
}

/// Cut, with changed bytes, or with other bytes in the middle.
fn damaged(original: &[u8], cut: Option<Index>, changes: &[(Index, u8)], splice: &(Index, Vec<u8>)) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    let at = splice.0.index(bytes.len());
    bytes.splice(at..at, splice.1.iter().copied());
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

type Damage = (Option<Index>, Vec<(Index, u8)>, (Index, Vec<u8>));

fn damage() -> impl Strategy<Value = Damage> {
    let splice = (any::<Index>(), prop::collection::vec(any::<u8>(), 0..12));
    (prop::option::weighted(0.3, any::<Index>()), prop::collection::vec(any::<(Index, u8)>(), 0..4), splice)
}

/// `document` with another value at a place.
fn edited(document: &[u8], path: &[Index], with: &Value) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(document).unwrap();
    let mut at = &mut document;
    for step in path {
        let size = at.as_object().map_or_else(|| at.as_array().map_or(0, Vec::len), serde_json::Map::len);
        if size == 0 {
            break;
        }
        at = match at {
            Value::Object(fields) => fields.values_mut().nth(step.index(size)).unwrap(),
            Value::Array(items) => &mut items[step.index(size)],
            _ => unreachable!("it has a size"),
        };
    }
    *at = with.clone();
    document.to_string().into_bytes()
}

fn other_value() -> impl Strategy<Value = Value> {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("incomplete"),
        json!("../../x\u{0}<b>"),
        json!([]),
        json!({}),
        json!([[{ "name": 3 }]]),
    ];
    prop::sample::select(values.to_vec())
}

#[test]
fn what_is_whole_passes() {
    let same = Damaged::new("rules.toml", RULES.as_bytes());
    assert_eq!([exit(same.gate()), exit(same.report()), exit(same.save())], [Exit::Success; 3]);
}

/// Damages of each kind: one, since each is several processes, some of which draw charts; `AM_EVAL_DAMAGES=24` tries more.
fn cases() -> u32 {
    std::env::var("AM_EVAL_DAMAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_table_is_never_judged((cut, changes, splice) in damage(), distances in any::<bool>()) {
        let file = if distances { "run/distances.csv" } else { "run/samples.csv" };
        let bytes = damaged(&undamaged(file), cut, &changes, &splice);
        let expected = if bytes == undamaged(file) { Exit::Success } else { Exit::RunFailed };
        let run = Damaged::new(file, &bytes);
        prop_assert_eq!((exit(run.gate()), exit(run.save())), (expected, expected));
        // The blocks are whole: the tables can be made again.
        prop_assert_eq!((exit(run.report()), exit(run.gate())), (Exit::Success, Exit::Success));
    }

    #[test]
    fn a_changed_block_is_never_reported((cut, changes, splice) in damage()) {
        let file = "run/blocks/000--00000.block";
        let bytes = damaged(&undamaged(file), cut, &changes, &splice);
        let expected = if bytes == undamaged(file) { Exit::Success } else { Exit::RunFailed };
        prop_assert_eq!(exit(Damaged::new(file, &bytes).report()), expected);
    }

    #[test]
    fn a_changed_baseline_is_refused((cut, changes, splice) in damage()) {
        let file = "baseline.json";
        let bytes = damaged(&undamaged(file), cut, &changes, &splice);
        let run = Damaged::new(file, &bytes);
        let mut show = am_eval();
        show.args(["baseline", "show"]).arg(run.path(file));
        let found = [exit(run.gate()), exit(show)];
        // White space may differ.
        let same = bytes == undamaged(file) || found == [Exit::Success; 2];
        prop_assert!(same || found == [Exit::Usage; 2], "{found:?}");
    }

    #[test]
    fn any_manifest_is_read_or_refused((cut, changes, splice) in damage()) {
        let file = "run/manifest.json";
        let bytes = damaged(&undamaged(file), cut, &changes, &splice);
        let readable = serde_json::from_slice::<Value>(&bytes).is_ok();
        let run = Damaged::new(file, &bytes);
        for command in [run.gate(), run.save(), run.report()] {
            let exit = exit(command);
            prop_assert!(readable || exit == Exit::Usage, "{exit:?}");
        }
    }

    #[test]
    fn any_edited_manifest_is_read_or_refused(path in prop::collection::vec(any::<Index>(), 1..5), with in other_value()) {
        let file = "run/manifest.json";
        let run = Damaged::new(file, &edited(&undamaged(file), &path, &with));
        exit(run.gate());
        exit(run.save());
        exit(run.report());
    }

    #[test]
    fn any_edited_outcome_is_shown_or_left_out(path in prop::collection::vec(any::<Index>(), 1..5), with in other_value()) {
        let run = Damaged::new("rules.toml", RULES.as_bytes());
        exit(run.gate());
        let file = run.path("run/gate.json");
        std::fs::write(&file, edited(&std::fs::read(&file).unwrap(), &path, &with)).unwrap();
        prop_assert_eq!(exit(run.report()), Exit::Success);
    }

    #[test]
    fn any_rules_are_applied_or_refused((cut, changes, splice) in damage()) {
        let bytes = damaged(RULES.as_bytes(), cut, &changes, &splice);
        let exit = exit(Damaged::new("rules.toml", &bytes).gate());
        let known = [Exit::Success, Exit::Usage, Exit::NotComparable, Exit::NothingSelected, Exit::GateFailed];
        prop_assert!(known.contains(&exit), "{exit:?}");
    }
}

/// A pipe in a file's place would wait for a writer that never comes.
#[cfg(unix)]
#[test]
fn pipes_in_the_place_of_files_are_refused_at_once() {
    for file in ["samples.csv", "manifest.json", "blocks/000--00000.block", "gate.json", "report.html"] {
        let run = Damaged::new("rules.toml", RULES.as_bytes());
        let path = run.path("run").join(file);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut compare = am_eval();
        compare.arg("compare").arg(run.path("run")).arg(WHOLE.path().join("run")).arg("--out").arg(run.path("out"));
        for mut command in [run.gate(), run.save(), compare, run.report()] {
            let output = command.timeout(std::time::Duration::from_secs(60)).output().unwrap();
            assert!(output.status.code().is_some(), "{file}: waits: {command:?}");
        }
    }
}

/// Every file of the run but its lock, by name.
fn files(folder: &Path, below: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => names.extend(files(folder, &name)),
            false => names.push(name),
        }
    }
    names.retain(|name| !name.contains("/."));
    names.sort();
    names
}

/// Numbers in the order of a linear congruential generator, so that a failure shows again.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}

/// A judged run, the names of its files, and a hundred changes of one bit: of which file, at which byte, which bit.
fn changes() -> (Damaged, Vec<(String, usize, u8)>) {
    let judged = Damaged::new("rules.toml", RULES.as_bytes());
    assert_eq!(exit(judged.gate()), Exit::Success);
    let names = files(judged.0.path(), "run");
    assert!(names.len() > 8, "{names:?}");
    let mut draws = Draws(7);
    let change = |turn: usize| {
        // Every file has its turn, the small ones too.
        let name = &names[if turn < names.len() { turn } else { draws.below(names.len()) }];
        let size = std::fs::metadata(judged.path(name)).unwrap().len() as usize;
        (name.clone(), draws.below(size), 1 << draws.below(7))
    };
    let changes = (0..100).map(change).collect();
    (judged, changes)
}

/// A hundred changes of one bit anywhere in a finished and judged run: what every command asks of its files finds each.
#[test]
fn no_changed_byte_goes_unnoticed() {
    let (judged, changes) = changes();
    let found = || match RunDir::open(judged.path("run")) {
        Ok((dir, manifest)) => damages(&dir, &manifest).len(),
        Err(_) => 1,
    };
    assert_eq!(found(), 0);
    for (name, at, bit) in changes {
        let original = std::fs::read(judged.path(&name)).unwrap();
        let mut bytes = original.clone();
        bytes[at] ^= bit;
        std::fs::write(judged.path(&name), &bytes).unwrap();
        assert_ne!(found(), 0, "byte {at} of {name}");
        std::fs::write(judged.path(&name), &original).unwrap();
    }
    assert_eq!(found(), 0, "each change was taken back");
}

/// The same with the real binary: each change is told by each of the commands that look at runs.
fn every_command_tells(count: usize) {
    let (judged, changes) = changes();
    for (turn, (name, at, bit)) in changes.into_iter().enumerate().take(count) {
        let mut bytes = std::fs::read(judged.path(&name)).unwrap();
        bytes[at] ^= bit;
        let commands: &[usize] = if count == 100 { &[0, 1, 2, 3] } else { &[turn % 4] };
        for command in commands {
            let run = Damaged::new("rules.toml", RULES.as_bytes());
            std::fs::remove_dir_all(run.path("run")).unwrap();
            std::fs::create_dir(run.path("run")).unwrap();
            copy(&judged.path("run"), &run.path("run"));
            std::fs::write(run.path(&name), &bytes).unwrap();
            let mut compare = am_eval();
            compare.arg("compare").arg(run.path("run")).arg(WHOLE.path().join("run")).arg("--out").arg(run.path("out"));
            let mut command = [run.save(), run.gate(), run.report(), compare].into_iter().nth(*command).unwrap();
            let output = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                !stderr.is_empty() && !stderr.contains("panicked at"),
                "byte {at} of {name}, {command:?}: {stderr}"
            );
        }
    }
}

#[test]
fn commands_tell_of_changed_bytes() {
    every_command_tells(4);
}

#[test]
#[ignore = "400 processes: AM_EVAL_DAMAGES=24 cargo test --release --no-default-features --test damaged_runs -- --include-ignored"]
fn each_of_a_hundred_changes_is_told_by_every_command() {
    every_command_tells(100);
}
