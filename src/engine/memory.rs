//! How the process holds memory between passes.

/// Keeps freed memory for the next pass, where the C library is glibc. It would otherwise give large blocks back to the system after
/// each pass and have them cleared, page by page, in the next, which takes 3 to 12 % of a ResNet's time on a CPU.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        // SAFETY: mallopt takes numbers and locks the allocator itself; it leaves alone what it does not accept, as glibc before
        // 2.35 does with the last value.
        unsafe {
            mallopt(M_TRIM_THRESHOLD, c_int::MAX);
            mallopt(M_MMAP_THRESHOLD, 32 << 20);
            mallopt(M_MMAP_THRESHOLD, 1 << 30);
        }
    }
}

/// Gives the memory that passes left behind back to the system: what comes after the last of them needs little.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: malloc_trim takes a number and locks the allocator itself.
        unsafe {
            malloc_trim(0);
        }
    }
}
