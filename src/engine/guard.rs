//! libtorch's panics as errors.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// libtorch gave up: tch panics where libtorch throws.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {}", reason.trim())]
pub struct LibtorchError {
    /// libtorch's words.
    pub reason: String,
    /// Whether the device ran out of memory or was lost, so that another try may succeed.
    pub retry: bool,
}

/// Does `work`; a panic becomes an error instead of words on standard error.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, LibtorchError> {
    thread_local!(static WORDS: RefCell<String> = const { RefCell::new(String::new()) });
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| WORDS.with(|words| *words.borrow_mut() = panic.to_string())));
    let result = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(before);
    result.map_err(|_| {
        let reason = WORDS.with(|words| words.borrow().clone());
        let retry = ["out of memory", "can't allocate memory", "CUDA error", "CUDNN_STATUS"]
            .iter()
            .any(|sign| reason.contains(sign));
        LibtorchError { reason, retry }
    })
}
