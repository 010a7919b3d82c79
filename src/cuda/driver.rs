//! The NVIDIA driver, asked without libtorch.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::fmt;
use std::sync::OnceLock;

use libloading::Library;

/// A version of CUDA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 13 of 13.0.
    pub major: u32,
    /// 0 of 13.0.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why the driver gives no GPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// There is none, in the loader's words.
    #[error("{0}")]
    Absent(String),
    /// It has nothing to offer: no GPU, or none that `CUDA_VISIBLE_DEVICES` lets this process see.
    #[error("the driver shows no GPU to this process")]
    NoDevice,
    /// It answered with an error.
    #[error("{call} failed with CUDA error {code}")]
    Failed {
        /// The function that was called.
        call: &'static str,
        /// `CUresult` of cuda.h.
        code: i32,
    },
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

/// The GPUs that this process may use, in libtorch's order (`CUDA_VISIBLE_DEVICES` applies).
///
/// # Errors
/// If there is no driver or no GPU, or the driver fails.
pub fn gpus() -> Result<Vec<Gpu>, DriverError> {
    driver()?.gpus()
}

/// The newest version of CUDA that the driver serves.
///
/// # Errors
/// If there is no driver, or it does not answer.
pub fn driver_version() -> Result<Version, DriverError> {
    driver()?.version()
}

/// The driver's library, which stays loaded: libtorch uses it too.
fn driver() -> Result<&'static Driver, DriverError> {
    static DRIVER: OnceLock<Result<Driver, DriverError>> = OnceLock::new();
    DRIVER.get_or_init(Driver::open).as_ref().map_err(Clone::clone)
}

/// The driver's interface, of which few questions are needed.
struct Driver(Library);

type OfNothing = unsafe extern "C" fn(c_uint) -> c_int;
type OfNumber = unsafe extern "C" fn(*mut c_int) -> c_int;
type OfNumberAt = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type OfName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type OfMemory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
type OfAttribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;

impl Driver {
    fn open() -> Result<Self, DriverError> {
        // SAFETY: the driver's library has no requirements on its loading.
        unsafe { Library::new("libcuda.so.1") }.map(Driver).map_err(|error| DriverError::Absent(error.to_string()))
    }

    /// # Safety
    /// `F` must be the signature that cuda.h gives the function.
    unsafe fn find<F: Copy>(&self, name: &str) -> Result<F, DriverError> {
        // SAFETY: the caller vouches for the signature.
        let found = unsafe { self.0.get::<F>(format!("{name}\0").as_bytes()) };
        found.map(|symbol| *symbol).map_err(|error| DriverError::Absent(error.to_string()))
    }

    fn version(&self) -> Result<Version, DriverError> {
        let mut number = 0;
        // SAFETY: the signature is that of cuda.h; the pointer is to a live local.
        unsafe { check("cuDriverGetVersion", self.find::<OfNumber>("cuDriverGetVersion")?(&mut number))? };
        let number = number.max(0) as u32;
        Ok(Version { major: number / 1000, minor: number % 1000 / 10 })
    }

    fn gpus(&self) -> Result<Vec<Gpu>, DriverError> {
        const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
        const COMPUTE_CAPABILITY_MINOR: c_int = 76;
        // SAFETY: the signatures are those of cuda.h; every pointer is to a live local of the size that is passed.
        unsafe {
            let (init, count) = (self.find::<OfNothing>("cuInit")?, self.find::<OfNumber>("cuDeviceGetCount")?);
            let device = self.find::<OfNumberAt>("cuDeviceGet")?;
            let (name, memory) =
                (self.find::<OfName>("cuDeviceGetName")?, self.find::<OfMemory>("cuDeviceTotalMem_v2")?);
            let attribute = self.find::<OfAttribute>("cuDeviceGetAttribute")?;

            let mut devices = 0;
            check("cuInit", init(0))?;
            check("cuDeviceGetCount", count(&mut devices))?;
            if devices == 0 {
                return Err(DriverError::NoDevice);
            }
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

fn check(call: &'static str, code: c_int) -> Result<(), DriverError> {
    const NO_DEVICE: c_int = 100;
    match code {
        0 => Ok(()),
        NO_DEVICE => Err(DriverError::NoDevice),
        code => Err(DriverError::Failed { call, code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_gpus_is_told_from_one_that_fails() {
        assert_eq!(check("cuInit", 0), Ok(()));
        assert_eq!(check("cuInit", 100), Err(DriverError::NoDevice));
        let failed = check("cuInit", 803).unwrap_err();
        assert_eq!(failed.to_string(), "cuInit failed with CUDA error 803");
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let version = |major, minor| Version { major, minor };
        assert!(version(12, 8) < version(13, 0) && version(12, 8) > version(12, 6));
        assert_eq!(version(12, 8).to_string(), "12.8");
    }
}
