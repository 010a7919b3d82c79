//! Shards, in one directory or in several, end in the same bytes as a run that is whole.

use std::fs;
use std::path::{Path, PathBuf};

use am_eval::record::{Block, Manifest, RunDir};
use predicates::prelude::*;
use predicates::str::contains;

use crate::sandbox::{BLOCKS, Results, Sandbox, UNDISTURBED, am_eval, assert_same, files_of};

/// The directory of the run below `out`.
fn below(out: &Path) -> PathBuf {
    let dirs: Vec<PathBuf> = files_of(out).into_iter().filter(|path| path.is_dir()).collect();
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    dirs[0].clone()
}

#[test]
fn the_last_of_four_shards_writes_the_outputs() {
    let sandbox = Sandbox::small();
    for index in ["3/4", "1/4", "4/4"] {
        sandbox.run(&["--shard", index]).assert().success().stdout(contains(format!("shard {index} is finished")));
    }
    let dir = sandbox.run_dir();
    assert!(!dir.join("samples.csv").exists());
    let expected = || contains("9 of 12 blocks").and(contains("missing 000-cnn--logit--00001"));
    am_eval().arg("merge").arg(&dir).assert().code(5).stdout(expected());
    let shards = contains("shard 2/4").and(contains("not begun")).and(contains("shard 3/4"));
    am_eval().arg("status").arg(&dir).assert().code(5).stdout(expected().and(shards));

    // The scheduler says which one is left.
    let mut last = sandbox.run(&["--shard", "auto"]);
    let array = [("SLURM_ARRAY_TASK_ID", "11"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_COUNT", "4")];
    last.envs(array).assert().success().stdout(contains("report: "));
    assert_same(&Results::read(&dir), &UNDISTURBED);
    am_eval().arg("status").arg(&dir).assert().success().stdout(contains("all 12 blocks are finished"));

    // Once more, by merge, by a shard, and as a whole: nothing changes.
    let before = Manifest::load(&dir.join("manifest.json")).unwrap();
    am_eval().arg("merge").arg(&dir).assert().success();
    assert_eq!(Manifest::load(&dir.join("manifest.json")).unwrap(), before);
    sandbox.run(&["--shard", "2/4"]).assert().success();
    sandbox.run(&[]).assert().success().stdout(contains("nothing to do"));
    assert_same(&Results::read(&dir), &UNDISTURBED);
}

#[test]
fn shards_of_several_machines_are_merged_in_any_order() {
    let sandbox = Sandbox::small();
    let outs = ["a", "b", "c"].map(|name| sandbox.path(name));
    let dirs: Vec<PathBuf> = outs
        .iter()
        .enumerate()
        .map(|(index, out)| {
            let shard = format!("{}/3", index + 1);
            sandbox.run(&["--shard", &shard, "--out", out.to_str().unwrap()]).assert().success();
            below(out)
        })
        .collect();
    let merged = sandbox.path("merged");
    for order in [[2, 0, 1], [0, 1, 2]] {
        let mut merge = am_eval();
        merge.arg("merge").args(order.map(|index| &dirs[index])).arg("--out").arg(&merged);
        merge.assert().success().stdout(contains("report: "));
        assert_same(&Results::read(&below(&merged)), &UNDISTURBED);
    }

    // One of them alone lacks the others' blocks; all but one still do.
    am_eval().arg("merge").arg(&dirs[0]).assert().code(5).stdout(contains("4 of 12 blocks"));
    am_eval().arg("merge").args([&dirs[0], &dirs[2]]).assert().code(5).stdout(contains("8 of 12 blocks"));

    // A damaged block is a missing one.
    let block = files_of(&dirs[1].join("blocks")).remove(0);
    let bytes = fs::read(&block).unwrap();
    fs::write(&block, &bytes[..bytes.len() / 2]).unwrap();
    am_eval().arg("merge").args([&dirs[0], &dirs[1]]).assert().code(5).stdout(contains("11 of 12 blocks"));
    fs::write(&block, bytes).unwrap();
    am_eval().arg("merge").args([&dirs[0], &dirs[1]]).assert().success();
    assert_same(&Results::read(&dirs[0]), &UNDISTURBED);
}

#[test]
fn contradictions_are_refused_by_name() {
    let sandbox = Sandbox::small();
    sandbox.run(&["--shard", "1/2", "--out", sandbox.path("a").to_str().unwrap()]).assert().success();
    sandbox.run(&["--shard", "1/2", "--out", sandbox.path("b").to_str().unwrap()]).assert().success();
    let [first, second] = ["a", "b"].map(|name| below(&sandbox.path(name)));
    // Computed twice, a block took another time, which is no contradiction.
    am_eval().arg("merge").args([&first, &second]).assert().code(5);

    let (dir, _) = RunDir::open(&second).unwrap();
    let key = "000-cnn--logit--00000";
    let block = dir.block(key).unwrap().unwrap();
    Block { unconfirmed_hits: block.unconfirmed_hits + 1, ..block }.write(&dir).unwrap();
    let expected = contains(key).and(contains("different results"));
    am_eval().arg("merge").args([&first, &second]).assert().code(3).stderr(expected);

    sandbox.run(&["--shard", "1/2", "--seed", "6", "--out", sandbox.path("c").to_str().unwrap()]).assert().success();
    let other = below(&sandbox.path("c"));
    let expected = contains("are not of one run").and(contains("the seed"));
    am_eval().arg("merge").args([&first, &other]).assert().code(3).stderr(expected);
    am_eval().arg("merge").args([&first, &other]).arg("--allow-mixed-devices").assert().code(3);
}

#[test]
fn devices_are_mixed_only_when_asked() {
    let sandbox = Sandbox::small();
    sandbox.run(&["--shard", "1/2", "--out", sandbox.path("a").to_str().unwrap()]).assert().success();
    sandbox.run(&["--shard", "2/2", "--out", sandbox.path("b").to_str().unwrap()]).assert().success();
    let [first, second] = ["a", "b"].map(|name| below(&sandbox.path(name)));
    // What the run would have been called on a GPU.
    let (dir, mut manifest) = RunDir::open(&second).unwrap();
    manifest.run = "small-0123456789ab".to_owned();
    manifest.device = "NVIDIA H100 80GB HBM3".to_owned();
    let other = RunDir::create(sandbox.path("gpu"), &manifest.run).unwrap();
    manifest.save(&other.manifest_path()).unwrap();
    for key in dir.block_keys().unwrap() {
        dir.block(&key).unwrap().unwrap().write(&other).unwrap();
    }
    let expected = contains("NVIDIA H100").and(contains("--allow-mixed-devices"));
    am_eval().arg("merge").args([&first, other.path()]).assert().code(3).stderr(expected);
    am_eval().arg("merge").args([first.as_path(), other.path()]).arg("--allow-mixed-devices").assert().success();
    assert_same(&Results::read(&first), &UNDISTURBED);
}

#[test]
fn fresh_shards_forget_their_own_blocks_alone() {
    let sandbox = Sandbox::small();
    sandbox.run(&[]).assert().success();
    let expected = contains("finished before").not();
    sandbox.run(&["--shard", "2/3", "--fresh"]).assert().success().stderr(expected);
    assert_eq!(sandbox.finished_blocks(), BLOCKS);
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}

#[test]
fn shards_that_do_not_exist_are_explained() {
    let sandbox = Sandbox::small();
    assert!(sandbox.complaint(&["--shard", "5/4"], 2).contains("`5/4` is not a shard"));
    let mut lost = sandbox.run(&["--shard", "auto"]);
    for name in ["SLURM_ARRAY_TASK_ID", "SLURM_STEP_NUM_TASKS", "CI_NODE_INDEX", "JOB_COMPLETION_INDEX", "SGE_TASK_ID"]
    {
        lost.env_remove(name);
    }
    lost.assert().code(2).stderr(contains("finds no scheduler's variables"));
}
