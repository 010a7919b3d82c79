//! Which processes share a run, and on what each of them computes.

use std::fmt;

use super::super::devices::{DevicesChoice, Place};
use crate::engine::{Prepared, device};
use crate::model::ModelError;
use crate::suite::DeviceChoice;

/// Where one process computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The GPU of this index among those that this process sees.
    Gpu(usize),
    /// The CPU, with as many threads.
    Cpu {
        /// Threads of one operation.
        threads: usize,
    },
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placement::Gpu(index) => write!(f, "cuda:{index}"),
            Placement::Cpu { threads: 1 } => f.write_str("cpu with 1 thread"),
            Placement::Cpu { threads } => write!(f, "cpu with {threads} threads"),
        }
    }
}

impl DevicesChoice {
    /// One placement for each process. This process is set to compute as they do, so that it is of the same run.
    pub fn place(&self) -> Vec<Placement> {
        let threads = || usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let places = match self {
            DevicesChoice::Listed(places) => places.clone(),
            DevicesChoice::All => match device::count() {
                0 => vec![Place::Cpu(threads())],
                count => (0..count).map(Place::Gpu).collect(),
            },
        };
        let placements = places.iter().flat_map(|place| match *place {
            Place::Gpu(index) => vec![Placement::Gpu(index)],
            Place::Cpu(count) => vec![Placement::Cpu { threads: (threads() / count).max(1) }; count],
        });
        let placements: Vec<Placement> = placements.collect();
        if let Some(Placement::Cpu { threads }) = placements.first() {
            tch::set_num_threads(i32::try_from(*threads).unwrap_or(1));
        }
        placements
    }
}

/// Images of so many pixels are small: operations on them are too short to be divided among threads.
const SMALL: i64 = 64 * 64;

/// Forward passes of a run that is worth the start of more processes: some minutes of one core.
const WORTH: u64 = 200_000;

/// Memory that a process takes at most on small networks, in bytes.
const MEMORY: u64 = 3 << 29;

/// One process of one thread for each of `threads` cores, where that is faster than many threads of one: on the CPU, for small networks, if
/// the work is long and has blocks enough. The suite alone decides, not how much of it is there; what comes out has the bytes of one thread.
pub fn side_by_side(prepared: &Prepared, threads: i32) -> Result<Vec<Placement>, ModelError> {
    let small = prepared.sources.iter().all(|source| source.geometry.height * source.geometry.width <= SMALL);
    let blocks = prepared.plan.units().len();
    let cores = usize::try_from(threads).unwrap_or(1);
    if prepared.device.is_cuda() || !small || cores < 2 || blocks < 2 * cores {
        return Ok(Vec::new());
    }
    if prepared.plan.estimate(&prepared.suite, &prepared.known()?).total().forwards < WORTH {
        return Ok(Vec::new());
    }
    let fit = free_memory().map_or(cores, |free| usize::try_from(free / MEMORY).unwrap_or(cores).max(1));
    Ok(vec![Placement::Cpu { threads: 1 }; cores.min(fit)])
}

/// Bytes of memory that are free, where the system tells.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

impl Placement {
    /// The device by which this process looks at models.
    pub fn device(&self) -> DeviceChoice {
        match self {
            Placement::Gpu(index) => DeviceChoice::Cuda(*index),
            Placement::Cpu { .. } => DeviceChoice::Cpu,
        }
    }

    /// The device by its name in the process that is placed there.
    pub fn device_there(&self) -> DeviceChoice {
        match self {
            Placement::Gpu(_) => DeviceChoice::Cuda(0),
            Placement::Cpu { .. } => DeviceChoice::Cpu,
        }
    }

    /// What the environment of that process says. `visible`: this process's `CUDA_VISIBLE_DEVICES`.
    pub fn environment(&self, visible: Option<&str>) -> (&'static str, String) {
        match self {
            Placement::Gpu(index) => {
                let named = visible.and_then(|list| list.split(',').nth(*index)).map(str::trim);
                ("CUDA_VISIBLE_DEVICES", named.map_or_else(|| index.to_string(), str::to_owned))
            }
            Placement::Cpu { threads } => ("OMP_NUM_THREADS", threads.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_its_own_gpu_alone() {
        let second = Placement::Gpu(1);
        assert_eq!(second.environment(None), ("CUDA_VISIBLE_DEVICES", "1".to_owned()));
        assert_eq!(second.environment(Some("GPU-a, GPU-b")).1, "GPU-b");
        assert_eq!(second.device_there(), DeviceChoice::Cuda(0));
        assert_eq!(Placement::Cpu { threads: 3 }.environment(None), ("OMP_NUM_THREADS", "3".to_owned()));
    }
}
