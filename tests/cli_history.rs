//! `history` of the real binary: order, drift, groups, and runs that cannot be used.

mod support;

use std::ops::Range;

use am_eval::record::{Origin, RunStatus};
use predicates::prelude::*;
use predicates::str::contains;
use support::{Runs, SUITE, am_eval};

/// A run that was started on this day.
fn on_day(runs: &Runs, name: &str, day: u64, flipped: Range<u32>) {
    runs.made(name, SUITE, flipped, |manifest| {
        let started = 1_700_000_000 + day * 86_400;
        manifest.origin = Some(Origin { started, commit: Some("c".repeat(40)), committed: Some(started - 3600) });
    });
}

/// Names do not tell the order.
fn drifting() -> Runs {
    let runs = Runs::new();
    for (name, day, flips) in [("f", 0, 20), ("a", 1, 25), ("e", 2, 30), ("b", 3, 36), ("d", 4, 41), ("c", 5, 46)] {
        on_day(&runs, name, day, 0..flips);
    }
    runs
}

fn history(runs: &Runs) -> assert_cmd::Command {
    let mut command = am_eval();
    command.arg("history").arg(runs.0.path()).arg("--out").arg(runs.path("out"));
    command
}

#[test]
fn runs_are_put_in_order_and_a_drift_is_told() {
    let runs = drifting();
    let expected = || {
        contains("guarded (300 samples of procedural images, seed 0), 6 runs")
            .and(contains("from 2023-11-14 ccccccc to 2023-11-19 ccccccc"))
            .and(contains("drifts down, though no single step is significant"))
            .and(contains("over the last 6 states of the model"))
    };
    history(&runs).assert().success().stdout(expected());
    history(&runs).args(["--order", "commit"]).assert().success().stdout(expected());
    history(&runs).arg("--fail-on-drift").assert().code(100);
    let table = std::fs::read_to_string(runs.path("out/history.csv")).unwrap();
    let order: Vec<&str> = table
        .lines()
        .filter(|line| line.contains(",clean_accuracy,"))
        .map(|line| line.split(',').nth(4).unwrap())
        .collect();
    assert_eq!(order, ["f", "a", "e", "b", "d", "c"].map(|name| format!("guarded-{name}")));
    let page = std::fs::read_to_string(runs.path("out/history.html")).unwrap();
    assert!(page.contains("drifts down") && page.contains("<svg"));
    assert_eq!(std::fs::read_dir(runs.path("out/charts")).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_used_is_named_and_other_conditions_stand_apart() {
    let runs = drifting();
    let with_origin = |manifest: &mut am_eval::record::Manifest| {
        manifest.origin = Some(Origin { started: 1_800_000_000, commit: None, committed: None });
    };
    runs.made("half", SUITE, 0..3, |manifest| {
        (manifest.status, manifest.blocks_total) = (RunStatus::Incomplete, 4);
    });
    let damaged = runs.made("damaged", SUITE, 0..4, |_| {});
    let table = damaged.join("samples.csv");
    std::fs::write(&table, std::fs::read_to_string(&table).unwrap() + "\n").unwrap();
    std::fs::create_dir(runs.path("no-run")).unwrap();
    std::fs::write(runs.path("no-run/manifest.json"), "{").unwrap();
    runs.made("longer", &SUITE.replace("steps = 20", "steps = 40"), 0..3, with_origin);
    let left_out = contains("half is left out: run guarded-half is incomplete: 1 of 4 blocks")
        .and(contains("samples.csv is not the file that the run wrote"))
        .and(contains("no-run is left out: "));
    let apart = contains("group 2: guarded").and(contains("attack logit.steps: 20 in the group before, 40 in the run"));
    history(&runs).assert().success().stderr(left_out).stdout(apart);
    let page = std::fs::read_to_string(runs.path("out/history.html")).unwrap();
    assert!(page.contains("Left out") && page.contains("is incomplete"));
    // Without a commit's time it has no place among commits.
    let why = contains("longer is left out: it does not say when its commit was made");
    history(&runs).args(["--order", "commit"]).assert().success().stderr(why);
}

#[test]
fn without_runs_there_is_no_history() {
    let runs = Runs::new();
    history(&runs).assert().code(2).stderr(contains("there is no run in"));
    let mut none = am_eval();
    none.args(["history", "no/such/folder"]).assert().code(2).stderr(contains("no/such/folder does not exist"));
    runs.made("half", SUITE, 0..3, |manifest| (manifest.status, manifest.blocks_total) = (RunStatus::Incomplete, 4));
    history(&runs).assert().code(4).stderr(contains("none of the runs can be used"));
    on_day(&runs, "one", 0, 0..3);
    history(&runs).assert().success().stdout(contains("1 run"));
    history(&runs).args(["--last", "3"]).assert().code(2).stderr(contains("at least 4"));
}
