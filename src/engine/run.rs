//! Runs a plan block by block: what is finished stays, what is missing is computed.

use std::time::Instant;

use super::error::RunError;
use super::guard::{Cause, guarded};
use super::prepare::Prepared;
use super::workshop::Workshop;
use crate::cuda;
use crate::interrupt;
use crate::record::{AdversarialImages, Block, Manifest, RunDir, StoreError};
use crate::suite::{Shard, Task, WorkUnit};

/// Watches a run.
pub trait Observer {
    /// `done` of `total` blocks were there already.
    fn begin(&mut self, done: usize, total: usize);
    /// A block is about to be computed.
    fn block_started(&mut self, unit: &WorkUnit, prepared: &Prepared);
    /// A block is finished.
    fn block_finished(&mut self, unit: &WorkUnit, block: &Block);
    /// Something that the user should know.
    fn warn(&mut self, text: &str);
}

/// A run in its directory.
pub struct Run<'a> {
    prepared: &'a Prepared,
    dir: &'a RunDir,
    save_adversarial: bool,
    workshop: Workshop<'a>,
}

impl<'a> Run<'a> {
    /// A run of `prepared` in `dir`.
    pub fn new(prepared: &'a Prepared, dir: &'a RunDir, save_adversarial: bool) -> Self {
        let workshop = Workshop::new(prepared, save_adversarial.then_some(dir));
        Run { prepared, dir, save_adversarial, workshop }
    }

    /// Computes the blocks of `shard` that are missing.
    ///
    /// # Errors
    /// See [`RunError`]; finished blocks are kept.
    pub fn execute(
        &mut self,
        shard: Shard,
        manifest: &mut Manifest,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let plan = self.prepared.plan.shard(shard);
        let mut missing: Vec<WorkUnit> = Vec::new();
        for unit in plan.units() {
            if !self.is_finished(unit, observer)? {
                missing.push(unit.clone());
            }
        }
        let total = plan.units().len();
        observer.begin(total - missing.len(), total);
        for (at, unit) in missing.iter().enumerate() {
            self.finish(unit, &missing[at + 1..], manifest, observer)?;
            let done = total - missing.len() + at + 1;
            manifest.blocks_done = done as u64;
            if interrupt::requested() && done < total {
                return Err(RunError::Interrupted { done, total, path: self.dir.path().to_owned() });
            }
        }
        Ok(())
    }

    /// Computes the blocks that `next` names, one after the other, until it names none.
    ///
    /// # Errors
    /// See [`RunError`]; finished blocks are kept.
    pub fn execute_assigned(
        &mut self,
        next: &mut dyn FnMut() -> Option<String>,
        manifest: &mut Manifest,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let units = self.prepared.plan.units();
        observer.begin(0, units.len());
        let mut done = 0;
        while let Some(key) = next() {
            if interrupt::requested() {
                return Err(RunError::Interrupted { done, total: units.len(), path: self.dir.path().to_owned() });
            }
            let Some(at) = units.iter().position(|unit| unit.key == key) else { continue };
            if !self.is_finished(&units[at], observer)? {
                self.finish(&units[at], &units[at + 1..], manifest, observer)?;
                done += 1;
            }
        }
        Ok(())
    }

    /// Computes a block and keeps it.
    fn finish(
        &mut self,
        unit: &WorkUnit,
        later: &[WorkUnit],
        manifest: &mut Manifest,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let started = Instant::now();
        observer.block_started(unit, self.prepared);
        let block = self.persistent(unit, later, manifest, observer)?;
        block.write(self.dir)?;
        manifest.seconds += started.elapsed().as_secs_f64();
        observer.block_finished(unit, &block);
        Ok(())
    }

    /// Whether the block is there and whole; a damaged one is computed again.
    fn is_finished(&self, unit: &WorkUnit, observer: &mut dyn Observer) -> Result<bool, RunError> {
        let images = self.save_adversarial && matches!(unit.task, Task::Attack(_));
        let found = self.dir.block(&unit.key).and_then(|block| match block {
            Some(_) if images => Ok(AdversarialImages::read(self.dir, &unit.key)?.is_some()),
            block => Ok(block.is_some()),
        });
        match found {
            Ok(finished) => Ok(finished),
            Err(error @ StoreError::DamagedBlock { .. }) => {
                observer.warn(&format!("{error} (computing it again now)"));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Computes a block, and again where libtorch gave up for a reason that this process can mend: with fewer rows at once where memory
    /// was too small, and with any kernel where none repeats its results.
    fn persistent(
        &mut self,
        unit: &WorkUnit,
        later: &[WorkUnit],
        manifest: &mut Manifest,
        observer: &mut dyn Observer,
    ) -> Result<Block, RunError> {
        loop {
            let error = match guarded(|| self.workshop.compute(unit, later)) {
                Ok(computed) => return computed,
                Err(error) => error,
            };
            match error.cause {
                Cause::Memory if self.workshop.capacity() > 1 => {
                    let rows = self.workshop.halve();
                    observer.warn(&format!(
                        "{error}; going on with batches of {rows} rows (`batch` in [run] sets them from the start)"
                    ));
                }
                Cause::Repeatability if manifest.repeats => {
                    manifest.repeats = false;
                    cuda::repeat(cuda::Repeatability::Preferred);
                    observer.warn(&format!("{error}; going on without: the same run may give other results next time"));
                }
                _ => return Err(RunError::Libtorch { work: format!("block `{}`", unit.key), error }),
            }
        }
    }
}
