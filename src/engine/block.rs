//! How many samples a block has, where the suite leaves it open.

use tch::Device;

use super::device::{self, usual_rows};
use crate::model::ModelSource;
use crate::suite::{DEFAULT_BLOCK, Plan, Suite, UnitSelection};

/// Batches of a block: rows that end early are replaced from them until the block's tail.
const BATCHES: usize = 4;

/// Blocks that a run on a CPU has at least, if it has the samples: processes and shards divide them among themselves.
const BLOCKS: usize = 32;

/// Parameters of a network that is done with its batches soon enough for a block of several to be lost with a process.
const LIGHT: u64 = 2_000_000;

/// Units of a layer of which all are driven, before it is known how many there are.
const UNITS: u64 = 1024;

/// Samples in a block of a suite that says nothing. A batch that the suite names does not count: a smaller one keeps the blocks
/// that are finished.
pub(super) fn usual_block(suite: &Suite, sources: &[ModelSource], samples: usize, device: Device) -> usize {
    let rows = usual_rows(&sources[0], device);
    let values: i64 = sources[0].geometry.image().iter().product();
    let room = Room { memory: device::memory_bytes(device), cells: most_cells(suite), values: values as usize };
    if device.is_cuda() {
        return room.fitting(BATCHES * rows);
    }
    let light = sources.iter().all(|source| source.parameters() <= LIGHT);
    let tasks = Plan::new(suite, 1).units().len();
    if light { room.fitting((BATCHES * rows).min(samples * tasks / BLOCKS)) } else { DEFAULT_BLOCK }
}

/// Radii, units and restarts of one sample in the attack that has the most.
fn most_cells(suite: &Suite) -> usize {
    let cells = suite.attacks.iter().map(|attack| {
        // Each unit may have a random one beside it.
        let units = match attack.goal.units() {
            Some(UnitSelection::All) => 2 * UNITS,
            Some(units) => 2 * units.count(None),
            None => 1,
        };
        usize::try_from(units).unwrap_or(usize::MAX).saturating_mul(attack.epsilons.len() * attack.restarts.max(1))
    });
    cells.max().unwrap_or(1)
}

/// What limits a block.
struct Room {
    /// Bytes of the device.
    memory: usize,
    /// Images of one sample.
    cells: usize,
    /// Numbers of one image.
    values: usize,
}

impl Room {
    /// So many samples or fewer, whose images stay within a part of the memory, but the usual number at least.
    fn fitting(&self, samples: usize) -> usize {
        let images = self.memory / 16 / (4 * self.values).max(1);
        samples.min(images / self.cells.max(1)).max(DEFAULT_BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_some_batches_and_fewer_with_many_cells() {
        let room = |cells: usize| Room { memory: 8 << 30, cells, values: 150_528 };
        assert_eq!(room(1).fitting(256), 256);
        assert_eq!(room(8).fitting(256), 111);
        assert_eq!(room(4096).fitting(256), DEFAULT_BLOCK);
        assert_eq!(room(1).fitting(12), DEFAULT_BLOCK);
    }
}
