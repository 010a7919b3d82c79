//! `run --devices`: processes side by side end in the bytes of one, also if some of them die.

use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use predicates::prelude::*;
use predicates::str::contains;

use crate::sandbox::{BLOCKS, Results, Sandbox, UNDISTURBED, assert_same, end, signal, wait_for};

/// The processes that `parent` has started.
fn children(parent: &Child) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id())).unwrap_or_default();
    list.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

fn kill(id: u32) {
    assert!(Process::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success());
}

#[test]
fn two_processes_end_in_the_same_bytes() {
    let sandbox = Sandbox::small();
    let expected = contains("2 processes: cpu with 1 thread, cpu with 1 thread");
    sandbox.run(&["--devices", "cpu:2"]).assert().success().stdout(contains("report: ")).stderr(expected);
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
    // One process, or others, find it finished.
    sandbox.run(&[]).assert().success().stdout(contains("nothing to do"));
    sandbox.run(&["--devices", "cpu:3"]).assert().success().stdout(contains("nothing to do"));
    let fresh = contains("12/12 blocks");
    sandbox.run(&["--devices", "cpu:3", "--fresh"]).assert().success().stderr(fresh);
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}

#[test]
fn a_process_that_dies_is_started_once_more() {
    let sandbox = Sandbox::small();
    let mut parent = sandbox.start_with(&["--devices", "cpu:2"], Stdio::piped());
    assert!(wait_for(&mut parent, || sandbox.finished_blocks() >= 1));
    let workers = children(&parent);
    assert_eq!(workers.len(), 2);
    kill(workers[0]);
    let (code, message) = end(parent);
    assert_eq!(code, Some(0), "{message}");
    assert!(message.contains("process 1 (cpu with 1 thread) was killed (signal 9;"), "{message}");
    assert!(message.contains("it is started once more"), "{message}");
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}

#[test]
fn processes_stop_when_the_one_that_started_them_is_interrupted_or_gone() {
    let sandbox = Sandbox::small();
    let mut parent = sandbox.start_with(&["--devices", "cpu:2"], Stdio::piped());
    assert!(wait_for(&mut parent, || sandbox.finished_blocks() >= 1));
    signal(&parent, "INT");
    let (code, message) = end(parent);
    assert_eq!(code, Some(5), "{message}");
    let after_interrupt = sandbox.finished_blocks();
    assert!(after_interrupt < BLOCKS, "{after_interrupt} blocks");

    let mut parent = sandbox.start_with(&["--devices", "cpu:2"], Stdio::null());
    assert!(wait_for(&mut parent, || sandbox.finished_blocks() > after_interrupt));
    let workers = children(&parent);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while workers.iter().any(|id| runs(*id)) {
        assert!(Instant::now() < limit, "processes outlive the one that started them");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sandbox.finished_blocks() < BLOCKS);
    sandbox.run(&["--devices", "cpu:2"]).assert().success();
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}

/// Whether a process with this number is there and not merely waiting to be reaped.
fn runs(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

#[test]
fn devices_that_are_not_there_are_named() {
    let sandbox = Sandbox::small();
    let expected = contains("device cuda:63 cannot be used");
    sandbox.run(&["--devices", "cuda:63"]).assert().code(2).stderr(expected);
    let expected = contains("unknown device `gpu`").and(contains("cpu:N"));
    sandbox.run(&["--devices", "gpu"]).assert().code(2).stderr(expected);
    sandbox.run(&["--devices", "all", "--device", "cpu"]).assert().code(2).stderr(contains("cannot be used with"));
}
