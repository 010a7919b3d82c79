//! Which device runs the networks, and how.

use tch::{Cuda, Device, Kind};

use super::memory;
use crate::cuda::{self, Backend, DriverError, Gpu};
use crate::model::{Compute, ModelSource};
use crate::suite::{DeviceChoice, SearchPrecision};

/// The device asked for cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(String);

/// Prepares the process for passes on the devices that it will be asked for. libtorch learns of CUDA before its first computation
/// or never, so this comes before any: a model that is merely looked at is a computation.
pub fn prepare(choices: impl IntoIterator<Item = DeviceChoice>) {
    memory::keep_freed();
    if choices.into_iter().any(|choice| choice != DeviceChoice::Cpu) {
        cuda::register();
    }
}

/// The device for a choice; `auto` is the first CUDA device, else the CPU.
///
/// # Errors
/// If a CUDA device is asked for that libtorch does not see.
pub fn resolve(choice: DeviceChoice) -> Result<Device, DeviceError> {
    prepare([choice]);
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto if Cuda::is_available() => Ok(Device::Cuda(0)),
        DeviceChoice::Auto => Ok(Device::Cpu),
        DeviceChoice::Cuda(index) => {
            let count = if Cuda::is_available() { Cuda::device_count() } else { 0 };
            if (index as i64) < count {
                return Ok(Device::Cuda(index));
            }
            let available = match count {
                0 => unseen(cuda::register(), &cuda::gpus()).unwrap_or_else(|| {
                    "this machine has no NVIDIA driver that shows a GPU; use `--device cpu`".to_owned()
                }),
                1 => "libtorch sees one CUDA device, cuda:0".to_owned(),
                _ => format!("libtorch sees {count} CUDA devices, cuda:0 to cuda:{}", count - 1),
            };
            Err(DeviceError(format!("device cuda:{index} cannot be used: {available}")))
        }
    }
}

/// How many CUDA devices libtorch sees.
pub fn count() -> usize {
    prepare([DeviceChoice::Auto]);
    if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 }
}

/// What the user should know if `auto` came to the CPU although a driver is there; none if nothing is amiss.
pub fn missed(choice: DeviceChoice, device: Device) -> Option<String> {
    if choice != DeviceChoice::Auto || device.is_cuda() {
        return None;
    }
    let gpus = cuda::gpus();
    if matches!(gpus, Err(DriverError::Absent(_) | DriverError::NoDevice)) {
        return None;
    }
    unseen(cuda::register(), &gpus).map(|reason| format!("the CPU is used, not the GPU: {reason}"))
}

/// Why libtorch sees no GPU, with a remedy; none without a driver.
pub fn unseen(backend: &Backend, gpus: &Result<Vec<Gpu>, DriverError>) -> Option<String> {
    let reason = match (gpus, backend) {
        (Err(DriverError::Absent(_)), _) => return None,
        (Err(DriverError::NoDevice), _) => match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(visible) => format!(
                "the driver shows no GPU to this process, whose CUDA_VISIBLE_DEVICES is `{visible}`; unset it, or use \
                 `--device cpu`"
            ),
            Err(_) => "the driver shows no GPU to this process; see `nvidia-smi`, or use `--device cpu`".to_owned(),
        },
        (Err(error), _) => format!("{error}; see `nvidia-smi`"),
        (Ok(_), Backend::Absent | Backend::NoDriver(_)) => {
            "this libtorch has no CUDA; install it with `make libtorch CUDA=1`, or use `--device cpu`".to_owned()
        }
        (Ok(_), Backend::Broken { library, reason }) => {
            let library = library.display();
            format!("{library} cannot be loaded: {reason}; install it with `make libtorch CUDA=1`")
        }
        (Ok(_), Backend::Loaded(_)) => old_driver()
            .unwrap_or_else(|| "libtorch sees no usable GPU; see `nvidia-smi` and CUDA_VISIBLE_DEVICES".to_owned()),
    };
    Some(reason)
}

/// Says that the driver is too old for this libtorch, if it is: a driver serves all of CUDA up to its own major version.
fn old_driver() -> Option<String> {
    let needed = cuda::built_for(&libtorch_version())?;
    let served = cuda::driver_version().ok()?;
    (served.major < needed.major).then(|| {
        let driver = match needed.major {
            13 => "580 or later",
            12 => "525 or later",
            _ => "a newer one",
        };
        let others = if served.major == 12 { ", or take `make libtorch CUDA=cu128`" } else { "" };
        format!("the driver serves CUDA {served}, this libtorch needs {needed}: install driver {driver}{others}")
    })
}

/// How the search computes: always the same for a suite, a model and a kind of device, so that results repeat. TorchScript models
/// compute as they were written, in f32 or TF32.
pub fn searches_with(precision: SearchPrecision, source: &ModelSource, device: Device) -> Compute {
    let tensor_cores = gpu(device).is_some_and(|gpu| gpu.capability >= (8, 0));
    let narrows = source.narrows();
    let (kind, tf32) = match precision {
        SearchPrecision::Bf16 if narrows => (Kind::BFloat16, false),
        SearchPrecision::Auto | SearchPrecision::Fast if narrows && tensor_cores => (Kind::BFloat16, false),
        SearchPrecision::Fast if narrows && !device.is_cuda() && multiplies_bf16() => (Kind::BFloat16, false),
        SearchPrecision::Auto | SearchPrecision::Fast => (Kind::Float, tensor_cores),
        SearchPrecision::Tf32 => (Kind::Float, device.is_cuda()),
        SearchPrecision::F32 | SearchPrecision::Bf16 => (Kind::Float, false),
    };
    let capability = gpu(device).map(|gpu| gpu.capability);
    let channels_last = source.channels_last() && channels_innermost(device, kind, capability, pixels_of(source));
    Compute { device, kind, channels_last, tf32, folded: source.folds(), stem_blocks: false }
}

/// How is judged: in f32, never rounded, in the order of memory that is faster.
pub fn judges_with(source: &ModelSource, device: Device) -> Compute {
    let channels_last = source.channels_last() && channels_innermost(device, Kind::Float, None, pixels_of(source));
    Compute { channels_last, ..Compute::f32(device) }
}

/// Pixels of an image from which bf16 is the rule for pictures: it halves their time, and a median activation moves by less than a
/// hundredth. Below, little time is won, and pictures of small networks take other ways.
const WIDE: i64 = 128 * 128;

/// How pictures are made: in f32, in the order of memory that is faster; in bf16 where the suite asks for it or for what is fast, and by
/// itself on CPUs that multiply it for networks of wide images. What they do is judged as everything is.
pub fn paints_with(precision: SearchPrecision, source: &ModelSource, device: Device) -> Compute {
    let wide = pixels_of(source) >= WIDE;
    let precision = match precision {
        SearchPrecision::Auto if wide && !device.is_cuda() => SearchPrecision::Fast,
        SearchPrecision::Fast | SearchPrecision::Bf16 => precision,
        SearchPrecision::Auto | SearchPrecision::F32 | SearchPrecision::Tf32 => SearchPrecision::F32,
    };
    Compute { stem_blocks: !device.is_cuda(), ..searches_with(precision, source, device) }
}

/// Whether this CPU has instructions for products of bfloat16, which make it faster than f32: Intel since Cooper Lake and Sapphire Rapids,
/// AMD since Zen 4. A rule and not a trial, whose outcome could differ from run to run.
pub fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Whether convolutional networks are faster with their channels innermost. A rule and not a trial at each start, whose outcome
/// could differ from run to run, and results with it. On GPUs, f32 and TF32 are faster contiguous (measured on an H200, ResNet-50: by
/// 1.3 and 1.2 times); bf16 is so from compute capability 9.0 on with large images (there by 1.2 times), but not with small ones
/// (measured on an H100, the CIFAR ResNet-20: by 1.2 to 1.6 times the other way), and before that not.
fn channels_innermost(device: Device, kind: Kind, capability: Option<(i32, i32)>, pixels: i64) -> bool {
    let older = capability.is_none_or(|capability| capability < (9, 0));
    !device.is_cuda() || (kind == Kind::BFloat16 && (older || is_small(pixels)))
}

/// How a network computes, for people and for the manifest: `bf16, channels-last`.
pub fn words(compute: Compute) -> String {
    let kind = match (compute.kind, compute.tf32) {
        (Kind::BFloat16, _) => "bf16",
        (_, true) => "tf32",
        _ => "f32",
    };
    format!("{kind}, {}", if compute.channels_last { "channels-last" } else { "contiguous" })
}

/// Rows in a batch of images with so many pixels: as many as keep the device busy and fit its memory with the networks that are
/// usual. If they do not fit, the run goes on with fewer.
pub fn rows(device: Device, pixels: i64) -> usize {
    let small = is_small(pixels);
    if !device.is_cuda() {
        return if small { 64 } else { 16 };
    }
    let gib = gpu(device).map_or(0, |gpu| gpu.memory >> 30);
    match (small, gib) {
        (true, 30..) => 2048,
        (true, _) => 1024,
        (false, 60..) => 256,
        (false, 20..) => 128,
        (false, _) => 64,
    }
}

/// Whether images with so many pixels are as small as CIFAR's or Tiny ImageNet's.
fn is_small(pixels: i64) -> bool {
    pixels <= 64 * 64
}

/// Pixels of an image that a model takes.
fn pixels_of(source: &ModelSource) -> i64 {
    source.geometry.height * source.geometry.width
}

/// Rows in a batch of a search, if the suite leaves it open: of small images on a CPU half as many as usual, since what a step keeps for its
/// backward pass is most of a sweep's memory. A small ResNet then takes 40 to 75 MB less and 3 to 5 % longer, a ViT hardly longer.
pub fn search_rows(source: &ModelSource, device: Device) -> usize {
    let rows = usual_rows(source, device);
    if !device.is_cuda() && is_small(pixels_of(source)) { rows / 2 } else { rows }
}

/// Rows in a batch of the images that a model takes, if nothing else is known.
pub fn usual_rows(source: &ModelSource, device: Device) -> usize {
    rows(device, pixels_of(source))
}

/// Bytes of the device's memory; of the CPU's what a run may well take.
pub fn memory_bytes(device: Device) -> usize {
    gpu(device).map_or(8 << 30, |gpu| gpu.memory) as usize
}

/// Steps between looks at which rows are done. A look waits for the device, which costs nothing on the CPU.
pub fn poll(device: Device) -> usize {
    if device.is_cuda() { 5 } else { 1 }
}

fn gpu(device: Device) -> Option<Gpu> {
    let Device::Cuda(index) = device else { return None };
    cuda::gpus().ok()?.into_iter().nth(index)
}

/// The device's name, as it stands in manifests.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => gpu(device).map_or_else(|| format!("cuda:{index}"), |gpu| gpu.name),
        _ => "cpu".to_owned(),
    }
}

/// The device for people: `NVIDIA H100 (cuda:0)`.
pub fn title(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("{} (cuda:{index})", name(device)),
        _ => "the CPU".to_owned(),
    }
}

/// The version of the libtorch in use.
pub fn libtorch_version() -> String {
    let folder = crate::cuda::libtorch_folder();
    folder.and_then(|folder| crate::cuda::libtorch_version(&folder)).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_libtorch_does_not_see_is_explained() {
        let gpu = Gpu { name: "GPU".to_owned(), memory: 1 << 30, capability: (9, 0) };
        let reason = unseen(&Backend::Absent, &Ok(vec![gpu.clone()])).unwrap();
        assert!(reason.contains("make libtorch CUDA=1"), "{reason}");
        let broken = Backend::Broken { library: "/x/libtorch_cuda.so".into(), reason: "no libcudnn.so.9".to_owned() };
        let reason = unseen(&broken, &Ok(vec![gpu])).unwrap();
        assert!(reason.contains("/x/libtorch_cuda.so") && reason.contains("no libcudnn.so.9"), "{reason}");
        assert_eq!(unseen(&Backend::Absent, &Err(DriverError::Absent("none".to_owned()))), None);
        let failed = DriverError::Failed { call: "cuInit", code: 803 };
        assert!(unseen(&Backend::Absent, &Err(failed)).unwrap().contains("803"));
    }

    #[test]
    fn the_layout_follows_device_and_precision() {
        let (cpu, gpu) = (Device::Cpu, Device::Cuda(0));
        let (small, large) = (32 * 32, 224 * 224);
        assert!([Kind::Float, Kind::BFloat16].iter().all(|&kind| channels_innermost(cpu, kind, None, large)));
        assert!(channels_innermost(gpu, Kind::BFloat16, Some((8, 0)), large));
        assert!(!channels_innermost(gpu, Kind::BFloat16, Some((9, 0)), large));
        assert!(channels_innermost(gpu, Kind::BFloat16, Some((9, 0)), small));
        assert!(!channels_innermost(gpu, Kind::Float, Some((8, 0)), small));
    }

    #[test]
    fn nothing_is_amiss_where_the_cpu_was_asked_for() {
        assert_eq!(missed(DeviceChoice::Cpu, Device::Cpu), None);
    }
}
