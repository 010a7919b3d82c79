//! Switches of libtorch that tch does not reach: rounding to TF32, and deterministic kernels.
//!
//! They are methods of `at::Context`, which libtorch exports under their C++ names. Where a libtorch lacks one, the switch does
//! nothing and says so.

use std::ffi::c_void;
use std::sync::OnceLock;

/// What happens where libtorch has no kernel that gives the same bits each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeatability {
    /// It refuses, with an error that says so.
    Required,
    /// It takes another kernel, and results may differ from run to run.
    Preferred,
}

type Get = unsafe extern "C" fn() -> *mut c_void;
type Set = unsafe extern "C" fn(*mut c_void, bool);
type SetTwo = unsafe extern "C" fn(*mut c_void, bool, bool);

struct Context {
    object: *mut c_void,
    matmul_tf32: Set,
    convolution_tf32: Set,
    deterministic_convolution: Set,
    deterministic: SetTwo,
    fill_new_memory: Set,
}

// SAFETY: the object is a global of libtorch that lives as long as the process; its setters store flags.
unsafe impl Send for Context {}
// SAFETY: see above; this crate sets the flags on the thread that computes only.
unsafe impl Sync for Context {}

impl Context {
    #[cfg(unix)]
    fn find() -> Option<Context> {
        let process = libloading::os::unix::Library::this();
        // SAFETY: the signatures are those of ATen/Context.h in libtorch 2.11: methods take the object first, and booleans as
        // C does.
        unsafe {
            let get = *process.get::<Get>(b"_ZN2at13globalContextEv\0").ok()?;
            let set = |name: &[u8]| process.get::<Set>(name).ok().map(|symbol| *symbol);
            Some(Context {
                object: get(),
                matmul_tf32: set(b"_ZN2at7Context18setAllowTF32CuBLASEb\0")?,
                convolution_tf32: set(b"_ZN2at7Context17setAllowTF32CuDNNEb\0")?,
                deterministic_convolution: set(b"_ZN2at7Context21setDeterministicCuDNNEb\0")?,
                deterministic: *process.get::<SetTwo>(b"_ZN2at7Context26setDeterministicAlgorithmsEbb\0").ok()?,
                fill_new_memory: set(b"_ZN2at7Context39setDeterministicFillUninitializedMemoryEb\0")?,
            })
        }
    }

    #[cfg(not(unix))]
    fn find() -> Option<Context> {
        None
    }

    fn get() -> Option<&'static Context> {
        static CONTEXT: OnceLock<Option<Context>> = OnceLock::new();
        CONTEXT.get_or_init(Context::find).as_ref()
    }
}

/// Lets CUDA's convolutions and matrix products of f32 round their factors to TF32 (10 bits), from now on, or forbids it. The
/// backward pass of a network takes what is set while it runs. False if this libtorch cannot be told.
pub fn allow_tf32(allowed: bool) -> bool {
    let Some(context) = Context::get() else { return false };
    // SAFETY: see `Context::find`.
    unsafe {
        (context.matmul_tf32)(context.object, allowed);
        (context.convolution_tf32)(context.object, allowed);
    }
    true
}

/// Asks for kernels that give the same bits each time. False if this libtorch cannot be told.
pub fn repeat(repeatability: Repeatability) -> bool {
    let Some(context) = Context::get() else { return false };
    // SAFETY: see `Context::find`.
    unsafe {
        (context.deterministic_convolution)(context.object, true);
        (context.deterministic)(context.object, true, repeatability == Repeatability::Preferred);
        // Or else each new tensor is filled with NaN before it is written.
        (context.fill_new_memory)(context.object, false);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_libtorch_has_every_switch() {
        assert!(allow_tf32(false));
        assert!(Context::get().is_some());
    }
}
