//! How much memory decoding may take: a limit for each image, and a budget that all threads share.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, PoisonError};

/// Most pixels of an image: a square of about 10,000. (Pillow warns from 89 million on and refuses twice that.)
pub(super) const MOST_PIXELS: u64 = 100_000_000;

/// Pixels that may be in the works at once, by all threads together. A pixel takes up to 14 bytes on its way: as it is stored
/// (up to 8), as RGB (3), and plane by plane (3).
const BUDGET: u64 = 200_000_000;

static LEFT: Mutex<u64> = Mutex::new(BUDGET);
static RETURNED: Condvar = Condvar::new();

/// A part of the budget; dropped, it goes back.
pub(super) struct Space(u64);

/// Waits until so many pixels fit into the budget. No thread waits while it holds a part, so none waits forever.
pub(super) fn take(pixels: u64) -> Space {
    let pixels = pixels.min(BUDGET);
    SCOPE.with_borrow_mut(|scope| scope.1 = None);
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    while *left < pixels {
        left = RETURNED.wait(left).unwrap_or_else(PoisonError::into_inner);
    }
    *left -= pixels;
    Space(pixels)
}

impl Drop for Space {
    fn drop(&mut self) {
        *LEFT.lock().unwrap_or_else(PoisonError::into_inner) += self.0;
        RETURNED.notify_all();
    }
}

thread_local! {
    /// Whether this thread is in a scope, and the part of the budget that it keeps until the scope ends.
    static SCOPE: RefCell<(bool, Option<Space>)> = const { RefCell::new((false, None)) };
}

/// Does `work`; what decoding one image in it takes of the budget goes back only at its end, when the image has its final size.
/// `work` must not wait for other threads.
pub(super) fn scope<T>(work: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            SCOPE.with_borrow_mut(|scope| *scope = (false, None));
        }
    }
    SCOPE.with_borrow_mut(|scope| scope.0 = true);
    let _end = End;
    work()
}

/// Keeps a part until the end of the scope, if there is one.
pub(super) fn keep(space: Space) {
    SCOPE.with_borrow_mut(|scope| {
        if scope.0 {
            scope.1 = Some(space);
        }
    });
}

/// The limits of one image's decoder.
pub(super) fn limits() -> image::Limits {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(8 * MOST_PIXELS);
    limits
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn threads_together_stay_within_the_budget() {
        static HELD: AtomicU64 = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for part in 1..8 {
                scope.spawn(move || {
                    for _ in 0..20 {
                        let pixels = BUDGET / part;
                        let space = take(pixels);
                        assert!(HELD.fetch_add(pixels, Ordering::SeqCst) + pixels <= BUDGET);
                        HELD.fetch_sub(pixels, Ordering::SeqCst);
                        drop(space);
                    }
                });
            }
        });
    }
}
