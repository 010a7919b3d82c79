//! libtorch's panics as errors.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// libtorch gave up: tch panics where libtorch throws.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("libtorch: {reason}")]
pub struct LibtorchError {
    /// What libtorch says, in one sentence.
    pub reason: String,
    /// What helps.
    pub cause: Cause,
}

/// What may help after libtorch gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Memory is too small: less at once may fit.
    Memory,
    /// The device was lost or is taken: another try, by another process, may succeed.
    Device,
    /// There is no kernel that gives the same bits each time, and such a kernel was asked for.
    Repeatability,
    /// Nothing: it would fail again.
    Other,
}

impl LibtorchError {
    /// Whether the same command may succeed at another time.
    pub fn retry(&self) -> bool {
        matches!(self.cause, Cause::Memory | Cause::Device)
    }

    fn new(words: &str) -> Self {
        LibtorchError { reason: sentence(words), cause: Cause::from_message(words) }
    }
}

impl Cause {
    fn from_message(words: &str) -> Self {
        let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
        if says(&["does not have a deterministic implementation", "Deterministic behavior was enabled"]) {
            return Cause::Repeatability;
        }
        // Errors of the device that no retry mends.
        if says(&[
            "no kernel image is available",
            "device-side assert",
            "invalid device ordinal",
            "invalid device function",
        ]) {
            return Cause::Other;
        }
        let memory = [
            "out of memory",
            "can't allocate memory",
            "bad_alloc",
            "STATUS_ALLOC_FAILED",
            // cuDNN and oneDNN say so when they find no memory to work in.
            "unable to find an engine to execute",
            "Unable to find a valid cuDNN algorithm",
            "could not create a primitive",
            "could not create a memory object",
        ];
        if says(&memory) {
            return Cause::Memory;
        }
        if says(&["CUDA error", "CUDA driver error", "CUDNN_STATUS", "CUBLAS_STATUS"]) {
            Cause::Device
        } else {
            Cause::Other
        }
    }
}

thread_local! {
    /// Guards around what this thread does.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Does `work`, with gradients recorded; a panic becomes an error instead of words on standard error. Panics of other threads are
/// shown as ever.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, LibtorchError> {
    listen();
    WORDS.with_borrow_mut(String::clear);
    DEPTH.set(DEPTH.get() + 1);
    // A panic within `tch::no_grad` leaves gradients off; the guard, dropped here, sets what was set before.
    let before = tch::no_grad_guard();
    let result = catch_unwind(AssertUnwindSafe(|| tch::with_grad(work)));
    drop(before);
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| {
        // A panic that another thread handed over has passed that thread's hook.
        let words = WORDS.with_borrow_mut(std::mem::take);
        LibtorchError::new(if words.is_empty() { message(&*payload) } else { &words })
    })
}

/// Has panics within a guard kept instead of shown.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if DEPTH.get() == 0 {
                return show(panic);
            }
            WORDS.with_borrow_mut(|words| *words = message(panic.payload()).to_owned());
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it ended without a word")
}

/// What libtorch says before it lists its own calls: one line, without the marks of Rust's debug form.
fn sentence(words: &str) -> String {
    let words = words.split_once("an `Err` value: ").map_or(words, |(_, words)| words);
    let words = words.trim_start_matches("Torch(\"").replace("\\n", "\n").replace("\\\"", "\"");
    let end =
        ["Exception raised from", "\nframe #", "\nCUDA kernel errors might"].iter().filter_map(|sign| words.find(sign));
    let words = &words[..end.min().unwrap_or(words.len())];
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    let advice = line.find(" If reserved but unallocated memory").unwrap_or(line.len());
    line[..advice].trim_end_matches(['"', ')', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tch::{Kind, Tensor};

    use super::*;
    use crate::data::{DataError, Dataset, Image, Loading};
    use crate::terms::SampleId;

    const OUT_OF_MEMORY: &str = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB. \
        GPU 0 has a total capacity of 79.10 GiB of which 1.25 GiB is free. If reserved but unallocated memory is large try setting X. \
        See documentation (https://x)\\nException raised from malloc at CUDACachingAllocator.cpp:1 (most recent call first):\\nframe #0: c10::Error\")";

    #[test]
    fn the_words_are_one_sentence() {
        let error = LibtorchError::new(OUT_OF_MEMORY);
        let expected = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.25 GiB is free.";
        assert_eq!((error.reason.as_str(), error.cause), (expected, Cause::Memory));
        let plain = guarded(|| panic!("the TorchScript model fails")).unwrap_err();
        assert_eq!(plain.reason, "the TorchScript model fails");
    }

    #[test]
    fn errors_of_libtorch_are_caught_and_told_in_short() {
        let sum = || {
            Tensor::zeros([2], (Kind::Float, tch::Device::Cpu)) + Tensor::zeros([3], (Kind::Float, tch::Device::Cpu))
        };
        let error = guarded(sum).unwrap_err();
        assert_eq!(error.cause, Cause::Other);
        assert!(error.reason.contains("size of tensor") && !error.reason.contains("frame #"), "{}", error.reason);
        assert!(error.reason.len() < 300, "{}", error.reason);
    }

    #[test]
    fn what_helps_is_known_by_the_words() {
        let cases = [
            ("CUDA error: no kernel image is available for execution on the device", Cause::Other),
            ("CUDA error: device-side assert triggered", Cause::Other),
            ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", Cause::Device),
            ("CUDA error: unspecified launch failure", Cause::Device),
            ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", Cause::Device),
            ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Cause::Memory),
            ("GET was unable to find an engine to execute this computation", Cause::Memory),
            ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", Cause::Memory),
            ("could not create a primitive", Cause::Memory),
            ("x does not have a deterministic implementation, but you set", Cause::Repeatability),
            ("index out of bounds", Cause::Other),
        ];
        for (words, cause) in cases {
            assert_eq!(Cause::from_message(words), cause, "{words}");
        }
    }

    #[test]
    fn gradients_are_recorded_again_after_a_panic_without_them() {
        let _ = guarded(|| tch::no_grad(|| panic!("out of memory")));
        let pixels = Tensor::ones([2], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let requires = guarded(|| (&pixels * 2.0).requires_grad()).unwrap();
        assert!(requires);
        assert!((&pixels * 2.0).requires_grad());
    }

    /// A data set whose images cannot be decoded without a panic.
    struct Falling;

    impl Dataset for Falling {
        fn name(&self) -> &str {
            "falling"
        }
        fn classes(&self) -> &[String] {
            &[]
        }
        fn len(&self) -> usize {
            1
        }
        fn id(&self, _: usize) -> SampleId {
            "0".into()
        }
        fn label(&self, _: usize) -> u32 {
            0
        }
        fn image(&self, _: usize) -> Result<Image, DataError> {
            panic!("the decoder of this format fell")
        }
        fn size(&self, _: usize) -> Option<(u32, u32)> {
            None
        }
        fn location(&self, _: usize) -> std::path::PathBuf {
            "falling".into()
        }
        fn fingerprint(&self, _: usize) -> Result<u64, DataError> {
            Ok(0)
        }
    }

    /// As a run does it: samples are decoded ahead, by other threads, while the guard keeps what libtorch says.
    #[test]
    fn a_panic_while_samples_are_decoded_ahead_keeps_its_words() {
        let stale = guarded(|| panic!("words of an earlier panic")).unwrap_err();
        assert_eq!(stale.reason, "words of an earlier panic");
        let error = guarded(|| {
            let loading = Loading::start(Arc::new(Falling), vec![0]);
            drop(loading.wait());
        });
        assert_eq!(error.unwrap_err().reason, "the decoder of this format fell");
    }

    #[test]
    fn a_panic_that_another_thread_hands_over_keeps_its_words() {
        let other = std::thread::spawn(|| std::panic::resume_unwind(Box::new("the decoder fell".to_owned())));
        let payload = other.join().unwrap_err();
        let error = guarded(|| std::panic::resume_unwind(payload)).unwrap_err();
        assert_eq!(error.reason, "the decoder fell");
    }
}
