//! libtorch's CUDA backend, found when the program runs: one binary serves CPU and GPU.
//!
//! The binary links the CPU side of libtorch only. Where `libtorch_cuda` lies beside the `libtorch_cpu` that this
//! process uses, and its own dependencies are installed, loading it registers the CUDA backend, if that happens before
//! libtorch is first asked about devices.

mod context;
mod driver;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use context::{Repeatability, allow_tf32, repeat};
pub use driver::{DriverError, Gpu, Version, driver_version, gpus};

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
        if let Err(DriverError::Absent(reason)) = driver_version() {
            return Backend::NoDriver(reason);
        }
        fix_workspaces();
        match load_for_good(&library) {
            Ok(()) => {
                // What libtorch would choose: convolutions in TF32, and whichever kernels are fastest.
                allow_tf32(false);
                repeat(Repeatability::Required);
                Backend::Loaded(library)
            }
            Err(reason) => Backend::Broken { library, reason },
        }
    })
}

/// Gives cuBLAS workspaces of a fixed size, without which its results may differ from run to run, and which libtorch's deterministic
/// mode asks for. A setting of the user's wins.
fn fix_workspaces() {
    const SIZES: &str = "CUBLAS_WORKSPACE_CONFIG";
    if std::env::var_os(SIZES).is_none() {
        // SAFETY: called once, before CUDA's libraries are loaded and before threads that read the environment start.
        unsafe { std::env::set_var(SIZES, ":4096:8") };
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
    if let Ok(text) = crate::files::read_text(root.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = crate::files::read_text(root.join("version.py")).ok()?;
    let version = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim().trim_matches('\'').to_owned())
}

/// The version of CUDA that the libtorch of this version was built for: (13, 0) for `2.11.0+cu130`; none for a CPU's.
pub fn built_for(libtorch_version: &str) -> Option<Version> {
    let digits = libtorch_version.split_once("+cu")?.1;
    let number: u32 = digits.parse().ok()?;
    Some(Version { major: number / 10, minor: number % 10 })
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

    #[test]
    fn the_version_of_cuda_stands_behind_the_version_of_libtorch() {
        assert_eq!(built_for("2.11.0+cu130"), Some(Version { major: 13, minor: 0 }));
        assert_eq!(built_for("2.11.0+cu128"), Some(Version { major: 12, minor: 8 }));
        assert_eq!(built_for("2.11.0+cpu"), None);
        assert_eq!(built_for("2.11.0"), None);
    }
}
