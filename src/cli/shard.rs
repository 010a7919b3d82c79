//! `am-eval run --shard`: one share of a run's blocks, beside other processes that compute the others.

use super::args::RunArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::tell;
use super::progress::Progress;
use super::visualize;
use super::{execution, gate, merge, workers};
use crate::engine::{Observer, Prepared, Run};
use crate::gate::Snapshot;
use crate::merge::Inventory;
use crate::record::{Block, Manifest, RunDir, ShardManifest, StoreError};
use crate::suite::{Shard, ShardChoice, WorkUnit};

/// Computes the share. The process that finds the run complete when it ends writes the outputs and applies the gate.
pub fn run(
    prepared: &Prepared,
    args: &RunArgs,
    dir: &RunDir,
    choice: ShardChoice,
    baseline: Option<&Snapshot>,
) -> Result<Exit, Failure> {
    let shard = choice.resolve(|name| std::env::var(name).ok()).or_exit(Exit::Usage)?;
    let lock = dir.lock(Some((shard.index(), shard.count()))).or_exit(Exit::RunFailed)?;
    let share = prepared.plan.shard(shard);
    if args.fresh && !args.worker {
        dir.remove(share.units().iter().map(|unit| &unit.key)).or_exit(Exit::RunFailed)?;
    }
    begin(prepared, dir).or_exit(Exit::RunFailed)?;
    // Before the blocks: whoever finds these complete writes the outputs of all shards.
    visualize::studies_of_run(prepared, dir.path(), (shard.index() - 1, shard.count()))?;
    let mut manifest = prepared.manifest(std::env::args().collect());
    let mut observer = Shown {
        progress: execution::begin(prepared, args),
        dir,
        manifest: shard_manifest(&manifest, shard, if args.worker { 0 } else { share.units().len() }),
        assigned: args.worker,
        failed: None,
    };
    let mut run = Run::new(prepared, dir, args.save_adversarial);
    let executed = match args.worker {
        true => run.execute_assigned(&mut workers::assigned, &mut manifest, &mut observer),
        false => run.execute(shard, &mut manifest, &mut observer),
    };
    observer.progress.end();
    observer.manifest.repeats = manifest.repeats;
    observer.manifest.save(dir).or_exit(Exit::RunFailed)?;
    executed.map_err(execution::failure)?;
    drop(lock);
    if let Some(error) = observer.failed {
        return Err(Failure::new(Exit::RunFailed, error));
    }
    if args.worker {
        return Ok(Exit::Success);
    }
    finish(prepared, args, dir, shard, baseline)
}

/// What every shard of the run would write alike.
fn begin(prepared: &Prepared, dir: &RunDir) -> Result<(), StoreError> {
    match dir.manifest_path().is_file() {
        true => dir.save_plan(execution::keys(prepared)),
        false => execution::write_beginning(prepared, dir),
    }
}

fn shard_manifest(manifest: &Manifest, shard: Shard, blocks: usize) -> ShardManifest {
    ShardManifest {
        format: ShardManifest::FORMAT,
        run: manifest.run.clone(),
        shard: shard.index(),
        count: shard.count(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        device: manifest.device.clone(),
        repeats: true,
        versions: manifest.versions.clone(),
        command: manifest.command.clone(),
        blocks_total: blocks as u64,
        blocks_done: 0,
        seconds: 0.0,
    }
}

/// Writes the outputs if no block is missing and no other shard is at work; else says what is missing.
fn finish(
    prepared: &Prepared,
    args: &RunArgs,
    dir: &RunDir,
    shard: Shard,
    baseline: Option<&Snapshot>,
) -> Result<Exit, Failure> {
    let inventory = Inventory::read(dir).or_exit(Exit::RunFailed)?;
    let (missing, total) = (inventory.missing().len(), inventory.planned.len());
    if missing > 0 {
        let done = total - missing;
        let path = dir.path().display();
        tell(&format!(
            "shard {shard} is finished; {done} of {total} blocks of the run are there. The last shard writes the outputs, or `am-eval \
             merge {path}`\n"
        ));
        return Ok(Exit::Success);
    }
    let _whole = match dir.lock(None) {
        Ok(lock) => lock,
        // Another shard has just finished too, and does the rest.
        Err(StoreError::Locked { .. }) => {
            tell(&format!("shard {shard} is finished; another shard writes the outputs\n"));
            return Ok(Exit::Success);
        }
        Err(error) => return Err(Failure::new(Exit::RunFailed, error)),
    };
    let exit = merge::conclude(dir)?;
    let manifest = Manifest::load(&dir.manifest_path()).or_exit(Exit::RunFailed)?;
    if exit != Exit::Success {
        return Ok(exit);
    }
    gate::after_run(dir, &manifest, &prepared.suite, baseline, args.sarif.as_deref())
}

/// Shows the progress, and keeps the shard's manifest up to date.
struct Shown<'d> {
    progress: Progress,
    dir: &'d RunDir,
    manifest: ShardManifest,
    /// Whether its blocks are assigned one by one: it then is always done with all that it has.
    assigned: bool,
    failed: Option<StoreError>,
}

impl Shown<'_> {
    fn save(&mut self) {
        self.failed = self.manifest.save(self.dir).err();
    }
}

impl Observer for Shown<'_> {
    fn begin(&mut self, done: usize, total: usize) {
        self.progress.begin(done, total);
        self.manifest.blocks_done = done as u64;
        self.save();
    }

    fn block_started(&mut self, unit: &WorkUnit, prepared: &Prepared) {
        self.progress.block_started(unit, prepared);
    }

    fn block_finished(&mut self, unit: &WorkUnit, block: &Block) {
        self.progress.block_finished(unit, block);
        self.manifest.blocks_done += 1;
        if self.assigned {
            self.manifest.blocks_total = self.manifest.blocks_done;
        }
        self.manifest.seconds += block.seconds;
        self.save();
    }

    fn warn(&mut self, text: &str) {
        self.progress.warn(text);
    }
}
