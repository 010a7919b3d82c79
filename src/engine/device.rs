//! Which device runs the networks.

use tch::{Cuda, Device};

use crate::cuda::{self, Backend};
use crate::suite::DeviceChoice;

/// The device asked for cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(String);

/// The device for a choice; `auto` is the first CUDA device, else the CPU.
///
/// # Errors
/// If a CUDA device is asked for that libtorch does not see.
pub fn resolve(choice: DeviceChoice) -> Result<Device, DeviceError> {
    if choice == DeviceChoice::Cpu {
        return Ok(Device::Cpu);
    }
    let backend = cuda::register();
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto if Cuda::is_available() => Ok(Device::Cuda(0)),
        DeviceChoice::Auto => Ok(Device::Cpu),
        DeviceChoice::Cuda(index) => {
            let count = if Cuda::is_available() { Cuda::device_count() } else { 0 };
            if (index as i64) < count {
                return Ok(Device::Cuda(index));
            }
            let seen = match (count, backend) {
                (0, Backend::Loaded(_)) => "libtorch sees no CUDA device; check CUDA_VISIBLE_DEVICES".into(),
                (0, Backend::NoDriver(_)) => "this machine has no NVIDIA driver; use `--device cpu`".into(),
                (0, _) => {
                    "this libtorch has no CUDA; install it with `make libtorch CUDA=1`, or use `--device cpu`".into()
                }
                _ => format!("libtorch sees {count} CUDA devices, from cuda:0 on"),
            };
            Err(DeviceError(format!("device cuda:{index} cannot be used: {seen}")))
        }
    }
}
