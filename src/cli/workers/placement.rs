//! Which processes share a run, and on what each of them computes.

use std::fmt;

use super::super::devices::{DevicesChoice, Place};
use crate::engine::device;
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
