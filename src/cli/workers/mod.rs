//! `am-eval run --devices`: one process for each device, side by side in one directory.
//!
//! The one that started them computes nothing while they are at work: it tells each which block comes next, shows how far they are, starts
//! a process that died once more, and, when all blocks are there, goes on as if it had computed them itself.

mod assignment;
mod placement;
mod process;

use std::collections::HashSet;
use std::time::Duration;

use assignment::Assignment;
pub use assignment::{assigned, listen};
pub use placement::{Placement, side_by_side};
use process::{Ended, Worker};

use super::args::RunArgs;
use super::execution;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::say;
use super::progress::Progress;
use crate::engine::{Observer, Prepared, RunError};
use crate::interrupt;
use crate::merge::Inventory;
use crate::record::{RunDir, StoreError};
use crate::suite::WorkUnit;

/// How often the processes are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// How often a process is started that dies of no fault of its input.
const ATTEMPTS: usize = 2;

/// Computes the blocks that are missing in `dir`, in one process for each of `placements`.
///
/// # Errors
/// What the first failing process failed with, after all have ended; what they finished stays.
pub fn compute(prepared: &Prepared, args: &RunArgs, dir: &RunDir, placements: &[Placement]) -> Result<(), Failure> {
    begin(prepared, args, dir).or_exit(Exit::RunFailed)?;
    let mut watch = Watch::new(prepared, args, dir)?;
    if watch.left() == 0 {
        return Ok(());
    }
    let titles: Vec<String> = placements.iter().map(Placement::to_string).collect();
    say(&format!("{} processes: {}", titles.len(), titles.join(", ")));
    let mut workers: Vec<Worker> = Vec::new();
    for (at, placement) in placements.iter().enumerate() {
        workers.push(Worker::start(args, prepared, placement, (at + 1, placements.len())).or_exit(Exit::RunFailed)?);
    }
    let mut assignment = Assignment::new(watch.missing.iter().map(|unit| unit.key.clone()));
    let mut failed: Option<Failed> = None;
    while !workers.is_empty() {
        std::thread::sleep(LOOK_EVERY);
        if interrupt::requested() {
            workers.iter_mut().for_each(Worker::stop);
        }
        watch.look().or_exit(Exit::RunFailed)?;
        let mut running = Vec::new();
        for mut worker in workers {
            assignment.give(&mut worker, |key| watch.missing.iter().any(|unit| unit.key == key));
            for warning in worker.warnings() {
                watch.warn(&warning);
            }
            match worker.ended().or_exit(Exit::RunFailed)? {
                None => running.push(worker),
                Some(Ended::Finished) => {}
                Some(end) if end.is_worth_a_retry() && worker.attempt < ATTEMPTS && !interrupt::requested() => {
                    watch.warn(&format!("{} {end}; it is started once more", worker.title));
                    assignment.take_back(&mut worker);
                    running.push(worker.again().or_exit(Exit::RunFailed)?);
                }
                Some(end) => {
                    failed.get_or_insert_with(|| Failed {
                        worker: worker.title.clone(),
                        end,
                        message: worker.last_words(),
                    });
                }
            }
        }
        workers = running;
    }
    watch.look().or_exit(Exit::RunFailed)?;
    watch.progress.end();
    match failed {
        _ if watch.left() == 0 => Ok(()),
        Some(failed) if !failed.end.is_interruption() => Err(Failure::new(failed.end.exit(), failed)),
        _ => {
            let total = prepared.plan.units().len();
            let (done, path) = (total - watch.left(), dir.path().to_owned());
            Err(execution::failure(RunError::Interrupted { done, total, path }))
        }
    }
}

/// What all processes find: the manifest, the plan, and nothing of an earlier run if that is not wanted.
fn begin(prepared: &Prepared, args: &RunArgs, dir: &RunDir) -> Result<(), StoreError> {
    let _lock = dir.lock(None)?;
    if args.fresh {
        execution::start_over(dir)?;
    }
    let complete = !args.fresh && Inventory::read(dir)?.missing().is_empty() && dir.plan()?.is_some();
    if complete { Ok(()) } else { execution::write_beginning(prepared, dir) }
}

/// A process that could not do its share.
#[derive(Debug, thiserror::Error)]
#[error("{worker} {end}{message}")]
struct Failed {
    worker: String,
    end: Ended,
    message: String,
}

/// Follows the blocks that appear in the directory.
struct Watch<'a> {
    prepared: &'a Prepared,
    dir: &'a RunDir,
    progress: Progress,
    missing: Vec<&'a WorkUnit>,
    warned: HashSet<String>,
}

impl<'a> Watch<'a> {
    fn new(prepared: &'a Prepared, args: &RunArgs, dir: &'a RunDir) -> Result<Self, Failure> {
        let finished = Inventory::read(dir).or_exit(Exit::RunFailed)?.finished;
        let units = prepared.plan.units();
        let missing: Vec<&WorkUnit> = units.iter().filter(|unit| !finished.contains(&unit.key)).collect();
        let mut progress = execution::begin(prepared, args);
        progress.begin(units.len() - missing.len(), units.len());
        Ok(Watch { prepared, dir, progress, missing, warned: HashSet::new() })
    }

    fn left(&self) -> usize {
        self.missing.len()
    }

    /// Shows the blocks that were finished since the last look.
    fn look(&mut self) -> Result<(), StoreError> {
        let keys: HashSet<String> = self.dir.block_keys()?.into_iter().collect();
        let (appeared, missing) = self.missing.iter().partition(|unit| keys.contains(&unit.key));
        self.missing = missing;
        let appeared: Vec<&WorkUnit> = appeared;
        for unit in appeared {
            match self.dir.block(&unit.key) {
                Ok(Some(block)) => {
                    self.progress.block_started(unit, self.prepared);
                    self.progress.block_finished(unit, &block);
                }
                Ok(None) => self.missing.push(unit),
                Err(error) if error.is_damaged_block() => self.missing.push(unit),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shows a warning, once however many processes give it.
    fn warn(&mut self, text: &str) {
        if self.warned.insert(text.to_owned()) {
            self.progress.warn(text);
        }
    }
}
