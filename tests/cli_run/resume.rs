//! Runs that are interrupted, killed or damaged end in the same bytes as one that is not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use am_eval::record::{Manifest, RunStatus};
use predicates::prelude::*;
use predicates::str::contains;

use crate::sandbox::{BLOCKS, Results, Sandbox, UNDISTURBED, assert_same, end, files_of, signal, wait_for};

fn partial_files(dir: &Path) -> Vec<String> {
    let folders = [dir.to_path_buf(), dir.join("blocks"), dir.join("charts")];
    let names = folders.iter().flat_map(|folder| files_of(folder));
    names.map(|path| path.display().to_string()).filter(|name| name.contains(".partial-")).collect()
}

/// Law 1.
#[test]
fn killed_at_any_moment_a_run_ends_in_the_same_bytes() {
    let sandbox = Sandbox::small();
    let written = |name: &str| files_of(&sandbox.path("runs")).iter().any(|dir| dir.join(name).exists());
    let started = Instant::now();
    let mut begun = sandbox.start();
    assert!(wait_for(&mut begun, || sandbox.finished_blocks() >= 1));
    begun.kill().unwrap();
    begun.wait().unwrap();
    let first_block = started.elapsed();

    // Before the first new block, within and between blocks, and while each kind of output is being written.
    let moments: [&dyn Fn() -> bool; 7] = [
        &|| started.elapsed() > first_block * 2,
        &|| sandbox.finished_blocks() >= 3,
        &|| sandbox.finished_blocks() >= 8,
        &|| sandbox.finished_blocks() >= BLOCKS,
        &|| written("samples.csv"),
        &|| written("charts") && files_of(&sandbox.run_dir().join("charts")).len() > 1,
        &|| written("report.html"),
    ];
    let mut killed = 0;
    for moment in moments {
        let mut child = sandbox.start();
        if wait_for(&mut child, moment) {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
    }
    assert!(killed >= 5, "{killed} of 7 runs were there to be killed");
    sandbox.run(&[]).assert().success();
    let dir = sandbox.run_dir();
    assert_same(&Results::read(&dir), &UNDISTURBED);
    assert_eq!(Manifest::load(&dir.join("manifest.json")).unwrap().status, RunStatus::Complete);
    assert_eq!(partial_files(&dir), Vec::<String>::new());
}

#[test]
fn random_kills_in_a_row_change_nothing() {
    let sandbox = Sandbox::small();
    let mut state = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    for _ in 0..6 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let delay = Duration::from_millis(u64::from(state >> 16) % 1500);
        let mut child = sandbox.start();
        let started = Instant::now();
        wait_for(&mut child, || started.elapsed() >= delay);
        let _ = child.kill();
        child.wait().unwrap();
    }
    sandbox.run(&[]).assert().success();
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}

#[test]
fn signals_stop_cleanly_and_the_same_command_goes_on() {
    for name in ["INT", "TERM"] {
        let sandbox = Sandbox::small();
        let mut child = sandbox.start();
        assert!(wait_for(&mut child, || sandbox.finished_blocks() >= 2));
        signal(&child, name);
        let (code, stderr) = end(child);
        assert_eq!(code, Some(5), "{stderr}");
        let done = sandbox.finished_blocks();
        assert!((2..BLOCKS).contains(&done), "{done}");
        let message = format!("interrupted: {done} of {BLOCKS} blocks are finished and kept in ");
        assert!(stderr.contains(&message) && stderr.contains("the same command goes on from there"), "{stderr}");
        assert_eq!(partial_files(&sandbox.run_dir()), Vec::<String>::new());

        sandbox.run(&[]).assert().success().stderr(contains(format!("{done} of {BLOCKS} blocks were finished before")));
        assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
    }
}

#[test]
fn damaged_blocks_are_computed_again_and_half_written_files_removed() {
    let sandbox = Sandbox::small();
    sandbox.run(&[]).assert().success();
    let dir = sandbox.run_dir();
    let blocks = files_of(&dir.join("blocks"));
    let bytes = fs::read(&blocks[1]).unwrap();
    fs::write(&blocks[1], &bytes[..bytes.len() / 2]).unwrap();
    let mut flipped = fs::read(&blocks[6]).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&blocks[6], flipped).unwrap();
    fs::write(&blocks[9], b"").unwrap();
    for stray in ["blocks/.partial-a", "charts/.partial-b", ".partial-c"] {
        fs::write(dir.join(stray), b"half").unwrap();
    }
    let output = sandbox.run(&[]).assert().success();
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    for damaged in [1, 6, 9] {
        let name = blocks[damaged].display().to_string();
        let warned = stderr.lines().any(|line| {
            line.starts_with("warning: ") && line.contains(&format!("{name} is damaged")) && line.contains("again now")
        });
        assert!(warned, "{name}: {stderr}");
    }
    assert!(stderr.contains("9 of 12 blocks were finished before"), "{stderr}");
    assert_same(&Results::read(&dir), &UNDISTURBED);
    assert_eq!(partial_files(&dir), Vec::<String>::new());
}

#[test]
fn a_finished_run_is_left_alone_and_shown_again() {
    let sandbox = Sandbox::small();
    let first = sandbox.run(&[]).assert().success().get_output().stdout.clone();
    let dir = sandbox.run_dir();
    assert_same(&Results::read(&dir), &UNDISTURBED);
    let stamps = || {
        let files = ["samples.csv", "summary.csv", "distances.csv", "manifest.json"].map(|name| dir.join(name));
        let files = files.into_iter().chain(files_of(&dir.join("charts"))).chain(files_of(&dir.join("blocks")));
        files.map(|path| (fs::metadata(&path).unwrap().modified().unwrap(), path)).collect::<Vec<_>>()
    };
    let page = || fs::read(dir.join("report.html")).unwrap();
    let before = (stamps(), page());
    let nothing = contains("nothing to do");
    let second = sandbox.run(&[]).assert().success().stdout(nothing.clone()).get_output().stdout.clone();
    assert_eq!(stamps(), before.0);
    assert!(page() == before.1, "the page differs");
    let table = |text: &[u8]| String::from_utf8_lossy(text).split_once("report: ").unwrap().0.to_owned();
    assert_eq!(table(&first), table(&second));

    // What is missing or was changed is made again.
    fs::remove_file(files_of(&dir.join("charts")).remove(0)).unwrap();
    fs::write(dir.join("samples.csv"), "run,model\n").unwrap();
    sandbox.run(&[]).assert().success().stdout(nothing.clone().not());
    assert_same(&Results::read(&dir), &UNDISTURBED);
    fs::remove_file(dir.join("report.html")).unwrap();
    sandbox.run(&[]).assert().success().stdout(nothing.clone().not());
    assert!(dir.join("report.html").exists());

    // Law 1.
    sandbox.run(&["--fresh"]).assert().success().stdout(nothing.not()).stderr(contains("finished before").not());
    assert_same(&Results::read(&dir), &UNDISTURBED);
}

#[test]
fn a_second_process_in_the_same_run_is_turned_away() {
    let sandbox = Sandbox::small();
    let mut child = sandbox.start();
    assert!(wait_for(&mut child, || sandbox.finished_blocks() >= 1));
    sandbox.run(&[]).assert().code(101).stderr(contains("is in use by another am-eval process"));
    let (code, message) = end(child);
    assert_eq!(code, Some(0), "{message}");
    assert_same(&Results::read(&sandbox.run_dir()), &UNDISTURBED);
}
