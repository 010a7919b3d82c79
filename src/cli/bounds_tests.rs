//! What a plan says that a suite of everything costs at most, held against the passes that its run takes.

use std::path::Path;

use super::visualize::studies_of_run;
use crate::engine::{Prepared, Run};
use crate::model::passes_seen;
use crate::record::{Block, CellKind, RunDir};
use crate::suite::{Estimate, Shard, Suite, WorkUnit};

struct Silent;

impl crate::engine::Observer for Silent {
    fn begin(&mut self, _: usize, _: usize) {}
    fn block_started(&mut self, _: &WorkUnit, _: &Prepared) {}
    fn block_finished(&mut self, _: &WorkUnit, _: &Block) {}
    fn warn(&mut self, text: &str) {
        panic!("{text}");
    }
}

/// The bounds of all lines for which `wanted` holds of their task: forward and backward passes.
fn bound(estimate: &Estimate, wanted: impl Fn(&str) -> bool) -> [u64; 2] {
    let lines = estimate.lines.iter().filter(|line| wanted(&line.task));
    lines.fold([0, 0], |[forwards, backwards], line| [forwards + line.forwards, backwards + line.backwards])
}

fn suite(name: &str) -> Suite {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/suites/{name}.toml"));
    Suite::load(path).unwrap_or_else(|errors| panic!("{errors:#}"))
}

#[test]
fn a_run_of_everything_stays_within_its_plan() {
    let ([in_blocks, in_studies], [blocks, studies]) = passes_and_bounds(suite("everything"));
    // Bounds that say something: a good part of them is used.
    assert!(4 * in_blocks > blocks && 4 * in_studies > studies, "{in_blocks} {blocks}, {in_studies} {studies}");
}

#[test]
fn a_composition_l0_distances_and_averaged_answers_stay_within_their_plan() {
    let mut suite = suite("averaged");
    // AutoAttack's budgets are thousands of queries; two percent of them have the same closed form.
    suite.attacks[0].steps = 2;
    let ([in_blocks, _], [blocks, _]) = passes_and_bounds(suite);
    assert!(4 * in_blocks > blocks, "{in_blocks} {blocks}");
}

/// Passes of a run's blocks and of its studies, and what its plan says of them at most; each task of the plan stays within its own.
fn passes_and_bounds(suite: Suite) -> ([u64; 2], [u64; 2]) {
    let _ = crate::interrupt::requested();
    tch::set_num_threads(1);
    let prepared = Prepared::new(suite, None).unwrap();
    let estimate = prepared.plan.estimate(&prepared.suite, &prepared.known().unwrap());
    assert!(!estimate.total().partial, "{estimate}");
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path().join("run"), "run").unwrap();
    let mut manifest = prepared.manifest(Vec::new());
    let mut passes = passes_seen();
    let mut since = || {
        let before = std::mem::replace(&mut passes, passes_seen());
        passes - before
    };
    Run::new(&prepared, &dir, true).execute(Shard::WHOLE, &mut manifest, &mut Silent).unwrap();
    let in_blocks = since();
    studies_of_run(&prepared, dir.path(), (0, 1)).unwrap();
    let in_studies = since();

    // What records count, task by task.
    let is_beside = |kind: CellKind| matches!(kind, CellKind::ControlSearch | CellKind::ControlLonger);
    for line in &estimate.lines {
        let mut spent = [0u64; 2];
        for unit in prepared.plan.units() {
            let block = dir.block(&unit.key).unwrap().unwrap();
            for record in block.records.iter().filter(|record| record.cell.model == line.model) {
                let is_control = is_beside(record.cell.kind)
                    || record.cell.kind == CellKind::ControlNoise
                        && !prepared
                            .suite
                            .attacks
                            .iter()
                            .any(|attack| attack.name == record.cell.attack && attack.has_noise_control());
                if if is_control { line.task == "controls" } else { line.task == record.cell.attack } {
                    spent[0] += u64::from(record.forwards);
                    spent[1] += u64::from(record.backwards);
                }
            }
            let transfers = block
                .transfers
                .iter()
                .filter(|transfer| transfer.cell.model == line.model && transfer.cell.attack == line.task);
            spent[0] += transfers.map(|transfer| u64::from(transfer.forwards)).sum::<u64>();
            let distances = block.distances.iter().filter(|distance| *distance.model == *line.model);
            for distance in distances.filter(|_| line.task == "boundary") {
                spent[0] += u64::from(distance.forwards);
                spent[1] += u64::from(distance.backwards);
            }
        }
        assert!(spent[0] <= line.forwards && spent[1] <= line.backwards, "{line:?} {spent:?}");
    }
    // Every pass that a network really did.
    let is_study = |task: &str| ["trajectories", "from-images", "from-pictures", "channels"].contains(&task);
    let [blocks, _] = bound(&estimate, |task| !is_study(task));
    let [studies, _] = bound(&estimate, is_study);
    assert!(in_blocks <= blocks, "{in_blocks} of {blocks}\n{estimate}");
    assert!(in_studies <= studies, "{in_studies} of {studies}\n{estimate}");
    ([in_blocks, in_studies], [blocks, studies])
}
