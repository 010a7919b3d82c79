//! What libtorch and the machine may do to a run: nothing finished is lost, and the next command ends in the same bytes.

use predicates::prelude::*;
use predicates::str::contains;

use crate::sandbox::{BLOCKS, Results, Sandbox, UNDISTURBED, assert_same};

/// Runs the small suite with a fault in it, and then, if that ended with another code than 0, once more without.
fn disturbed(fault: &str, more: &[&str], code: i32, expected: impl Predicate<str>) {
    let sandbox = Sandbox::small();
    let asserted = sandbox.run(more).env("AM_EVAL_FAULT", fault).assert().stderr(expected);
    match code {
        0 => drop(asserted.success()),
        // A crash has no exit code.
        134 => assert!(asserted.get_output().status.code().is_none()),
        code => drop(asserted.code(code)),
    }
    if code != 0 {
        assert!((1..BLOCKS).contains(&sandbox.finished_blocks()), "{} blocks", sandbox.finished_blocks());
        sandbox.run(&[]).assert().success();
    }
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}

#[test]
fn memory_that_does_not_suffice_halves_the_batch() {
    disturbed("memory:3", &[], 0, contains("CUDA out of memory").and(contains("going on with batches of")));
}

#[test]
fn a_lost_device_ends_the_run_with_a_code_that_is_worth_a_retry() {
    disturbed("device:3", &[], 75, contains("unspecified launch failure"));
}

#[test]
fn a_crash_loses_the_block_at_hand_alone() {
    disturbed("crash:4", &[], 134, predicates::str::is_empty().not());
}

#[test]
fn processes_that_lose_their_device_twice_end_the_run_with_that_code() {
    let expected = contains("is started once more").and(contains("failed with exit code 75"));
    disturbed("device:2", &["--devices", "cpu:2"], 75, expected.and(contains("unspecified launch failure")));
}

#[test]
fn processes_that_crash_are_started_once_more() {
    // Of several processes none has a share of its own: one has all 12 blocks, crashes at the seventh and is done at the second attempt.
    disturbed("crash:7", &["--devices", "cpu:1"], 0, contains("was killed by signal 6; it is started once more"));
}
