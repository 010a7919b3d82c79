//! Items made in parallel, batch by batch, ahead of who uses them.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};

use rayon::prelude::*;

/// The places of a batch's items, and the items; or the error of the first one, in their order, that could not be made.
pub type Batch<T, E> = (Range<usize>, Result<Vec<T>, E>);

/// Batches in their order, made while earlier ones are used.
#[derive(Debug)]
pub struct Batches<T, E>(Receiver<Batch<T, E>>);

impl<T, E> Iterator for Batches<T, E> {
    type Item = Batch<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.recv().ok()
    }
}

/// Makes the items 0 to `count` - 1 with `make`, on all cores, in batches of `size`, and gives them in order to `consume`. While
/// one batch is used the next is made, so that at most two are in memory, however many there are. After an error no batch follows; nor are more made once `consume` returns.
pub fn in_batches<T: Send, E: Send, R>(
    count: usize,
    size: usize,
    make: impl Fn(usize) -> Result<T, E> + Sync,
    consume: impl FnOnce(Batches<T, E>) -> R,
) -> R {
    let make = &make;
    std::thread::scope(|scope| {
        // Without room in the channel, a batch that is made waits with its maker.
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || {
            for start in (0..count).step_by(size.max(1)) {
                let range = start..count.min(start + size.max(1));
                let made: Vec<Result<T, E>> = range.clone().into_par_iter().map(make).collect();
                // Collected before it is searched, so that which error is reported does not depend on the threads.
                let batch: Result<Vec<T>, E> = made.into_iter().collect();
                let failed = batch.is_err();
                if sender.send((range, batch)).is_err() || failed {
                    break;
                }
            }
        });
        consume(Batches(receiver))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_item_comes_once_and_in_order(count in 0usize..200, size in 0usize..50) {
            let all: Vec<usize> = in_batches(count, size, Ok::<usize, ()>, |batches| {
                batches
                    .flat_map(|(range, items)| {
                        let items = items.unwrap();
                        assert_eq!(items, range.collect::<Vec<_>>());
                        items
                    })
                    .collect()
            });
            prop_assert!(all.into_iter().eq(0..count));
        }
    }

    #[test]
    fn few_batches_are_in_memory() {
        /// Counts itself while it lives.
        struct Item<'c>(&'c AtomicUsize);
        impl Drop for Item<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let make = |_| {
            most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Ok::<_, ()>(Item(&alive))
        };
        in_batches(1000, 10, make, |batches| {
            for (_, batch) in batches {
                std::thread::sleep(std::time::Duration::from_millis(1));
                drop(batch);
            }
        });
        assert_eq!(alive.load(Ordering::SeqCst), 0);
        assert_eq!(most.load(Ordering::SeqCst), 20);
    }

    #[test]
    fn the_first_error_ends_it_and_so_does_who_has_enough() {
        let made = AtomicUsize::new(0);
        let make = |index: usize| {
            made.fetch_add(1, Ordering::SeqCst);
            if index % 7 == 5 { Err(index) } else { Ok(index) }
        };
        let results: Vec<_> = in_batches(1000, 4, make, |batches| batches.collect());
        assert_eq!(results, [(0..4, Ok(vec![0, 1, 2, 3])), (4..8, Err(5))]);
        let before = made.load(Ordering::SeqCst);
        assert_eq!(before, 8);
        let first = in_batches(1_000_000, 4, Ok::<usize, ()>, |mut batches| batches.next());
        assert_eq!(first, Some((0..4, Ok(vec![0, 1, 2, 3]))));
    }
}
