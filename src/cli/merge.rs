//! `am-eval merge`: joins the shards of a run and writes its outputs.

use super::args::MergeArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::tell;
use crate::merge::{Inventory, MergeError, merge as join};
use crate::outputs::write_outputs;
use crate::record::{Manifest, RunDir, RunStatus};
use crate::report;

/// Missing blocks that are named.
const NAMED: usize = 10;

/// Brings the blocks of all directories into the first of them, or into a directory below `--out`, and writes the outputs if every
/// block is there.
pub fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let runs: Vec<(RunDir, Manifest)> =
        args.runs.iter().map(RunDir::open).collect::<Result<_, _>>().or_exit(Exit::Usage)?;
    let target = target(args, &runs)?;
    let _lock = target.lock(None).or_exit(Exit::RunFailed)?;
    join(&target, &runs, args.allow_mixed_devices).map_err(failure)?;
    conclude(&target)
}

/// Writes the outputs of a directory whose blocks are all there; names those that are not.
pub(super) fn conclude(dir: &RunDir) -> Result<Exit, Failure> {
    let inventory = Inventory::read(dir).or_exit(Exit::RunFailed)?;
    if !inventory.missing().is_empty() || inventory.finished.is_empty() {
        tell(&missing(dir, &inventory));
        return Ok(Exit::Incomplete);
    }
    let mut manifest = Manifest::load(&dir.manifest_path()).or_exit(Exit::RunFailed)?;
    let shards = dir.shard_manifests().or_exit(Exit::RunFailed)?;
    manifest.repeats &= shards.iter().all(|shard| shard.repeats);
    let adversarial =
        inventory.finished.iter().any(|key| dir.adversarial_block_path(key).is_ok_and(|path| path.is_file()));
    let summary = write_outputs(dir, &mut manifest, adversarial).or_exit(Exit::RunFailed)?;
    let page = dir.path().join("report.html");
    tell(&format!("{}\n{}\n", report::table(&summary), report::closing(&manifest, &page)));
    Ok(if manifest.status == RunStatus::Complete { Exit::Success } else { Exit::Incomplete })
}

/// What is missing, by name, with the way on.
pub(super) fn missing(dir: &RunDir, inventory: &Inventory) -> String {
    let missing = inventory.missing();
    let (total, path) = (inventory.planned.len(), dir.path().display());
    let mut text = match total {
        0 => format!("{path}: {} blocks; how many there should be is not known\n", inventory.finished.len()),
        _ => format!("{path}: {} of {total} blocks are finished\n", total - missing.len()),
    };
    for key in missing.iter().take(NAMED) {
        let damaged = inventory.damaged.get(*key).map(|reason| format!(": {reason}")).unwrap_or_default();
        text += &format!("  missing {key}{damaged}\n");
    }
    if missing.len() > NAMED {
        text += &format!("  and {} more\n", missing.len() - NAMED);
    }
    text + "run the missing shards, or the suite without --shard, to go on\n"
}

fn target(args: &MergeArgs, runs: &[(RunDir, Manifest)]) -> Result<RunDir, Failure> {
    let (first, manifest) = &runs[0];
    let Some(out) = &args.out else { return Ok(first.clone()) };
    let dir = RunDir::create(out.join(first.run()), first.run()).or_exit(Exit::RunFailed)?;
    if !dir.manifest_path().is_file() {
        let unfinished = Manifest { status: RunStatus::Incomplete, ..manifest.clone() };
        unfinished.save(&dir.manifest_path()).or_exit(Exit::RunFailed)?;
    }
    Ok(dir)
}

fn failure(error: MergeError) -> Failure {
    let exit = match &error {
        MergeError::Store(_) => Exit::RunFailed,
        MergeError::Different { .. } | MergeError::Contradiction { .. } => Exit::NotComparable,
    };
    Failure::new(exit, error)
}
