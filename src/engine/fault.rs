//! Faults on demand, so that tests see what a run does when libtorch or the machine fails. Only builds with debug assertions have them.
//!
//! `AM_EVAL_FAULT=memory:3` fails while the third block of the process is computed; `memory`, `device` and `crash` are known.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Fails if this is the block at which the environment asks for it. Each block fails once, as memory that suffices at the second try.
pub fn strike() {
    static BLOCKS: AtomicUsize = AtomicUsize::new(0);
    if !cfg!(debug_assertions) {
        return;
    }
    let Ok(request) = std::env::var("AM_EVAL_FAULT") else { return };
    let Some((fault, block)) = request.split_once(':') else { return };
    let now = BLOCKS.fetch_add(1, Ordering::Relaxed) + 1;
    if block.parse() == Ok(now) {
        fail(fault);
    }
}

/// Ends as libtorch ends in the same trouble: with the words that it throws.
fn fail(fault: &str) {
    match fault {
        "memory" => panic!("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"),
        "device" => panic!("CUDA error: unspecified launch failure"),
        "crash" => std::process::abort(),
        other => panic!("unknown fault `{other}`"),
    }
}
