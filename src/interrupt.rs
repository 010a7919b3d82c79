//! Ctrl-C and SIGTERM: the first asks for a clean stop after the block or step at hand, the second ends the process at once. What was
//! finished is kept either way.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts to listen; a second request calls `leave`. Calling it again changes nothing.
pub fn listen(leave: fn() -> !) {
    // The only error is a handler that is there already, which is this one.
    let _ = ctrlc::set_handler(move || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            leave();
        }
        let _ = writeln!(std::io::stderr(), "stopping; what is finished is kept (Ctrl-C again stops at once)");
    });
}

/// Asks for a stop, as Ctrl-C does.
pub fn request() {
    REQUESTED.store(true, Ordering::SeqCst);
}

/// Whether a stop was asked for.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
