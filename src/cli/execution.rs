//! What a whole run and a shard of one share.

use std::io::IsTerminal;

use super::args::RunArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::origin::origin;
use super::output::{say, warn};
use super::progress::Progress;
use crate::engine::{Prepared, RunError, device};
use crate::record::{PictureDir, RunDir, StoreError, StudyDir};

/// The names of all blocks, in order.
pub(super) fn keys(prepared: &Prepared) -> Vec<String> {
    prepared.plan.units().iter().map(|unit| unit.key.clone()).collect()
}

/// What every process of the run finds: its manifest, and the plan.
pub(super) fn write_beginning(prepared: &Prepared, dir: &RunDir) -> Result<(), StoreError> {
    let mut manifest = prepared.manifest(std::env::args().collect());
    manifest.origin = Some(origin(&prepared.suite.path));
    manifest.save(&dir.manifest_path())?;
    dir.save_plan(keys(prepared))
}

/// Forgets all that an earlier run of the suite computed.
pub(super) fn start_over(dir: &RunDir) -> Result<(), StoreError> {
    dir.remove_blocks()?;
    PictureDir::of_run(dir.path()).remove()?;
    StudyDir::ways(dir.path()).remove()?;
    StudyDir::universal(dir.path()).remove()
}

/// Says where the run computes, and begins to show how far it is.
pub(super) fn begin(prepared: &Prepared, args: &RunArgs) -> Progress {
    if let Some(warning) = device::missed(prepared.suite.run.device, prepared.device) {
        warn(&warning);
    }
    say(&format!("on {}", prepared.place()));
    Progress::new(&prepared.run, args.no_progress || !std::io::stderr().is_terminal())
}

/// The exit code of what stopped a run.
pub(super) fn failure(error: RunError) -> Failure {
    // A model's own error knows its causes.
    let error = match error {
        RunError::Opening { error, .. } | RunError::Asking { error, .. } => RunError::Model(error),
        other => other,
    };
    let exit = match &error {
        RunError::Interrupted { .. } => Exit::Incomplete,
        RunError::Store(_) => Exit::RunFailed,
        RunError::Libtorch { error, .. } if error.retry() => Exit::Device,
        RunError::Libtorch { .. } => Exit::RunFailed,
        RunError::Empty(_) => Exit::NothingSelected,
        RunError::Data(_)
        | RunError::Model(_)
        | RunError::Opening { .. }
        | RunError::Asking { .. }
        | RunError::Device(_)
        | RunError::Fit { .. }
        | RunError::Unfit { .. }
        | RunError::Untrusted { .. }
        | RunError::SelfTest { .. }
        | RunError::DifferentClasses { .. } => Exit::Usage,
    };
    Failure::new(exit, error)
}
