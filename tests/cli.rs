//! The real binary: exit codes, messages, and what happens when the reader goes away.

use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn am_eval() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    // An rpath must do without it.
    command.env_remove("LD_LIBRARY_PATH").env_remove("NO_COLOR");
    command
}

#[test]
fn help_is_answered_at_once() {
    am_eval().arg("--help").assert().success(); // the first start reads libtorch from the disk
    // The best of five, since other tests share the machine.
    let best = (0..5).map(|_| {
        let start = Instant::now();
        am_eval().arg("--help").assert().success().stdout(predicate::str::contains("Exit codes:"));
        start.elapsed()
    });
    let best = best.min().unwrap_or(Duration::MAX);
    assert!(best < Duration::from_millis(600), "--help took {best:?}");
}

#[test]
fn wrong_usage_ends_with_2_and_names_what_is_near() {
    am_eval().assert().code(2);
    am_eval().arg("validat").assert().code(2).stderr(predicate::str::contains("'validate'"));
    am_eval()
        .args(["run", "suite.toml", "--device", "gpu"])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("cuda:N"));
}

#[test]
fn a_missing_suite_is_a_configuration_error_without_escapes_in_a_pipe() {
    let assert = am_eval().args(["validate", "no/such/suite.toml"]).assert().code(2);
    let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(text.contains("no/such/suite.toml") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn files_and_folders_that_are_not_there_are_answered_with_near_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("quickstart.toml"), "").unwrap();
    std::fs::create_dir_all(path("reports/quickstart-0123")).unwrap();
    std::fs::write(path("reports/quickstart-0123/manifest.json"), "{}").unwrap();
    let refused = |command: &str, name: &str, near: &str| {
        am_eval().arg(command).arg(path(name)).assert().code(2).stderr(contains(near.to_owned()));
    };
    refused("validate", "quickstrat.toml", "did you mean `quickstart.toml`");
    refused("report", "reports/quickstart-0124", "did you mean `quickstart-0123`");
    refused("report", "reports", "such as");
    refused("report", "quickstart.toml", "it is a file");
    refused("report", "elsewhere", "there is no run");
    let device = am_eval().args(["run", "s.toml", "--device", "gpu"]).assert().code(2);
    device.stderr(contains("did you mean `cuda`?"));
}

#[test]
fn one_wrong_suite_does_not_hide_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.toml", "second.toml"].map(|name| folder.path().join(name));
    std::fs::write(&first, "schema = 1\nname = \"a\"\nsede = 3\n").unwrap();
    std::fs::write(&second, "schema = 1\nname = 7\n").unwrap();
    let near = predicate::str::contains("sede").and(predicate::str::contains("seed"));
    let both = predicate::str::contains("first.toml").and(predicate::str::contains("second.toml"));
    am_eval().arg("validate").args([first, second]).assert().code(2).stderr(near.and(both));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Process::new(env!("CARGO_BIN_EXE_am-eval"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn doctor_says_whether_this_build_has_libtorch() {
    let found = if cfg!(feature = "torch") { "2.11.0" } else { "not in this build" };
    am_eval().arg("doctor").assert().success().stdout(predicate::str::contains(found));
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_build_without_libtorch_says_so_and_how_to_get_it() {
    for command in
        [vec!["run", "suite.toml"], vec!["layers", "cifar/resnet20"], vec!["models"], vec!["train", "r.toml"]]
    {
        let remedy = predicate::str::contains("has no libtorch").and(predicate::str::contains("make build"));
        am_eval().args(command).assert().code(2).stderr(remedy);
    }
}

#[test]
fn shells_get_completions_and_manual_pages() {
    for (shell, text) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef am-eval"),
        ("fish", "complete -c am-eval"),
        ("powershell", "am-eval"),
    ] {
        am_eval().args(["completions", shell]).assert().success().stdout(contains(text).and(contains("baseline")));
    }
    am_eval().args(["completions", "cmd"]).assert().code(2);
    am_eval().arg("man").assert().success().stdout(contains(".TH am-eval 1").and(contains("Exit codes")));
    let folder = tempfile::tempdir().unwrap();
    am_eval().args(["man", "--out"]).arg(folder.path()).assert().success();
    let page = std::fs::read_to_string(folder.path().join("am-eval-baseline-save.1")).unwrap();
    assert!(page.contains("am\\-eval\\-baseline\\-save") || page.contains("baseline"), "{page}");
}
