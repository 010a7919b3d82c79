//! Which device runs the networks.

use tch::{Cuda, Device, Kind};

use super::memory;
use crate::cuda::{self, Backend};
use crate::model::{Compute, ModelSource};
use crate::suite::{DeviceChoice, SearchPrecision};

/// The device asked for cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(String);

/// The device for a choice; `auto` is the first CUDA device, else the CPU. Prepares the process for passes on it.
///
/// # Errors
/// If a CUDA device is asked for that libtorch does not see.
pub fn resolve(choice: DeviceChoice) -> Result<Device, DeviceError> {
    memory::keep_freed();
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

/// How the search computes: always the same for a suite, a model and a device, so that results repeat. TorchScript models compute
/// as they were written, in f32.
pub fn searches_with(precision: SearchPrecision, source: &ModelSource, device: Device) -> Compute {
    let Some(architecture) = source.architecture() else { return Compute::f32(device) };
    let kind = match precision {
        SearchPrecision::Bf16 => Kind::BFloat16,
        SearchPrecision::F32 | SearchPrecision::Auto => Kind::Float,
    };
    Compute { device, kind, channels_last: architecture.channels_last }
}

/// Rows in a batch of images with so many pixels: as many as keep the device busy.
pub fn rows(device: Device, pixels: i64) -> usize {
    match (device.is_cuda(), pixels <= 64 * 64) {
        (true, true) => 1024,
        (true, false) => 128,
        (false, true) => 64,
        (false, false) => 16,
    }
}

/// Steps between looks at which rows are done. A look waits for the device, which costs nothing on the CPU.
pub fn poll(device: Device) -> usize {
    if device.is_cuda() { 5 } else { 1 }
}

/// The device's name for people.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => {
            crate::cuda::gpus().get(index).map_or_else(|| format!("cuda:{index}"), |gpu| gpu.name.clone())
        }
        _ => "cpu".to_owned(),
    }
}

/// The version of the libtorch in use.
pub fn libtorch_version() -> String {
    let folder = crate::cuda::libtorch_folder();
    folder.and_then(|folder| crate::cuda::libtorch_version(&folder)).unwrap_or_else(|| "unknown".to_owned())
}
