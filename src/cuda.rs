//! libtorch's CUDA backend, found when the program runs: one binary serves CPU and GPU.
//!
//! The binary links the CPU side of libtorch only. Where `libtorch_cuda` lies beside the `libtorch_cpu` that this
//! process uses, and its own dependencies are installed, loading it registers the CUDA backend, if that happens before
//! libtorch is first asked about devices.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

/// What became of the CUDA backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// It is registered.
    Loaded(PathBuf),
    /// This libtorch has none.
    Absent,
    /// This machine has no NVIDIA driver, so the backend would be of no use.
    NoDriver(String),
    /// It lies there but cannot be loaded, as after an installation without CUDA's libraries.
    Broken {
        /// The library.
        library: PathBuf,
        /// The loader's words.
        reason: String,
    },
}

/// Registers the CUDA backend if there is one. Only the first call does anything; failing is no error, since the CPU
/// remains.
pub fn register() -> &'static Backend {
    static BACKEND: OnceLock<Backend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        let Some(library) = libtorch_folder().map(|folder| folder.join("libtorch_cuda.so")) else {
            return Backend::Absent;
        };
        if !library.is_file() {
            return Backend::Absent;
        }
        // The driver is asked first: loading half a gigabyte of kernels in vain takes seconds.
        if let Err(reason) = Driver::open() {
            return Backend::NoDriver(reason);
        }
        full_precision();
        match load_for_good(&library) {
            Ok(()) => Backend::Loaded(library),
            Err(reason) => Backend::Broken { library, reason },
        }
    })
}

/// Keeps CUDA's libraries from rounding f32 to TF32, which cuDNN does unasked: verification is exact f32. A setting of the user's
/// wins.
fn full_precision() {
    const SWITCH: &str = "NVIDIA_TF32_OVERRIDE";
    if std::env::var_os(SWITCH).is_none() {
        // SAFETY: called once, before CUDA's libraries are loaded and before threads that read the environment start.
        unsafe { std::env::set_var(SWITCH, "0") };
    }
}

#[cfg(unix)]
fn load_for_good(library: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: libtorch's own initializers run, as they would if the binary were linked to it.
    let loaded = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) };
    // Closing it would unmap the registered kernels.
    loaded.map(std::mem::forget).map_err(|error| error.to_string())
}

#[cfg(not(unix))]
fn load_for_good(_library: &Path) -> Result<(), String> {
    Err("loading it at run time is supported on Linux only".into())
}

/// The `lib` folder of the libtorch that this process uses; none where the system does not list what is mapped.
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    folder_in(&maps)
}

fn folder_in(maps: &str) -> Option<PathBuf> {
    maps.lines().find_map(|line| {
        let path = Path::new(&line[line.find('/')?..]);
        (path.file_name()? == "libtorch_cpu.so").then(|| path.parent().map(Path::to_path_buf))?
    })
}

/// The version of the libtorch in `folder`, as its package or its archive states it (`2.11.0+cu130`).
pub fn libtorch_version(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    if let Ok(text) = std::fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = std::fs::read_to_string(root.join("version.py")).ok()?;
    let version = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim().trim_matches('\'').to_owned())
}

/// A GPU, as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// The product name.
    pub name: String,
    /// Bytes of memory.
    pub memory: u64,
    /// Compute capability, major and minor: from (8, 0) on the GPU multiplies bf16 and TF32 natively.
    pub capability: (i32, i32),
}

/// The GPUs that this process may use, in libtorch's order (`CUDA_VISIBLE_DEVICES` applies); empty without a driver.
pub fn gpus() -> Vec<Gpu> {
    Driver::open().and_then(|driver| driver.gpus()).unwrap_or_default()
}

/// The CUDA driver's interface, of which four questions are needed.
struct Driver(Library);

impl Driver {
    fn open() -> Result<Self, String> {
        // SAFETY: the driver's library has no requirements on its loading.
        unsafe { Library::new("libcuda.so.1") }.map(Driver).map_err(|error| error.to_string())
    }

    fn gpus(&self) -> Result<Vec<Gpu>, String> {
        const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
        const COMPUTE_CAPABILITY_MINOR: c_int = 76;
        let missing = |error: libloading::Error| error.to_string();
        // SAFETY: the signatures are those of cuda.h; every pointer is to a live local of the size that is passed.
        unsafe {
            let init = self.0.get::<unsafe extern "C" fn(c_uint) -> c_int>(b"cuInit\0").map_err(missing)?;
            let count =
                self.0.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0").map_err(missing)?;
            let device =
                self.0.get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0").map_err(missing)?;
            let name = self
                .0
                .get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetName\0")
                .map_err(missing)?;
            let memory = self
                .0
                .get::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>(b"cuDeviceTotalMem_v2\0")
                .map_err(missing)?;
            let attribute = self
                .0
                .get::<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>(b"cuDeviceGetAttribute\0")
                .map_err(missing)?;

            let mut devices = 0;
            check("cuInit", init(0))?;
            check("cuDeviceGetCount", count(&mut devices))?;
            (0..devices)
                .map(|index| {
                    let (mut handle, mut bytes, mut major, mut minor) = (0, 0usize, 0, 0);
                    let mut buffer = [0 as c_char; 256];
                    check("cuDeviceGet", device(&mut handle, index))?;
                    check("cuDeviceGetName", name(buffer.as_mut_ptr(), 255, handle))?;
                    check("cuDeviceTotalMem", memory(&mut bytes, handle))?;
                    check("cuDeviceGetAttribute", attribute(&mut major, COMPUTE_CAPABILITY_MAJOR, handle))?;
                    check("cuDeviceGetAttribute", attribute(&mut minor, COMPUTE_CAPABILITY_MINOR, handle))?;
                    let name = CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned();
                    Ok(Gpu { name, memory: bytes as u64, capability: (major, minor) })
                })
                .collect()
        }
    }
}

fn check(what: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{what} failed with CUDA error {code}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_read_from_the_mapped_files() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 12 /usr/lib/libc.so.6\n\
                    7f02-7f03 rw-p 00000000 00:00 0 \n\
                    7f04-7f05 r--p 00000000 fe:00 13 /opt/my libs/torch/lib/libtorch_cpu.so\n";
        assert_eq!(folder_in(maps), Some(PathBuf::from("/opt/my libs/torch/lib")));
        assert_eq!(folder_in("7f02-7f03 rw-p 00000000 00:00 0 [heap]\n"), None);
    }

    #[test]
    fn the_version_comes_from_the_package_or_the_archive() {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("lib");
        assert_eq!(libtorch_version(&lib), None);
        std::fs::write(root.path().join("version.py"), "from typing import Optional\n__version__ = '2.11.0+cu130'\n")
            .unwrap();
        assert_eq!(libtorch_version(&lib).as_deref(), Some("2.11.0+cu130"));
        std::fs::write(root.path().join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(libtorch_version(&lib).as_deref(), Some("2.11.0+cpu"));
    }
}
