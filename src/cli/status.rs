//! `am-eval status`: what of a run is done, running, missing or broken.

use super::args::StatusArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::merge::missing;
use super::output::tell;
use crate::merge::Inventory;
use crate::record::{RunDir, ShardManifest};
use crate::wording::columns::{Align, columns};

/// Looks at each directory; the exit code tells whether all are complete.
pub fn status(args: &StatusArgs) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for path in &args.runs {
        let (dir, manifest) = RunDir::open(path).or_exit(Exit::Usage)?;
        let inventory = Inventory::read(&dir).or_exit(Exit::RunFailed)?;
        let shards = dir.shard_manifests().or_exit(Exit::RunFailed)?;
        let complete = inventory.missing().is_empty() && inventory.finished.len() as u64 >= manifest.blocks_total;
        let mut text = match complete {
            true => format!("{}: all {} blocks are finished\n", path.display(), inventory.finished.len()),
            false => missing(&dir, &inventory),
        };
        text += &shard_table(&dir, &inventory, &shards)?;
        if complete && !dir.path().join("report.html").is_file() {
            text += &format!("`am-eval merge {}` writes tables and report\n", path.display());
        }
        tell(&text);
        if !complete {
            exit = Exit::Incomplete;
        }
    }
    Ok(exit)
}

fn shard_table(dir: &RunDir, inventory: &Inventory, shards: &[ShardManifest]) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for shard in shards {
        let (done, total) = inventory.share(shard.shard, shard.count);
        let state = match dir.is_running(shard.shard, shard.count).or_exit(Exit::RunFailed)? {
            true => "running",
            false if done == total => "finished",
            false => "stopped",
        };
        rows.push([
            format!("  shard {}/{}", shard.shard, shard.count),
            format!("{done} of {total}"),
            state.to_owned(),
            format!("{:.0} s", shard.seconds),
            format!("{} on {}", shard.device, shard.host),
        ]);
    }
    if let Some(count) = shards.iter().map(|shard| shard.count).max() {
        let begun = |index: usize| shards.iter().any(|shard| (shard.shard, shard.count) == (index, count));
        for index in (1..=count).filter(|&index| !begun(index)) {
            let (done, total) = inventory.share(index, count);
            let row = [format!("  shard {index}/{count}"), format!("{done} of {total}"), "not begun".to_owned()];
            let [name, share, state] = row;
            rows.push([name, share, state, String::new(), String::new()]);
        }
    }
    let table = columns(&rows, [Align::Left, Align::Right, Align::Left, Align::Right, Align::Left]);
    Ok(if table.is_empty() { table } else { table + "\n" })
}
