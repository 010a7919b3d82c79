//! Samples that are decoded in the background while others are used.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::selection::{Sample, load};
use super::{DataError, Dataset};

/// Samples on their way.
#[derive(Debug)]
pub struct Loading(JoinHandle<Result<Vec<Sample>, DataError>>);

impl Loading {
    /// Begins to decode the samples at `indices` of the data set, in parallel.
    pub fn start(dataset: Arc<dyn Dataset>, indices: Vec<usize>) -> Self {
        Loading(std::thread::spawn(move || load(dataset.as_ref(), &indices)))
    }

    /// The samples, once all are there.
    ///
    /// # Errors
    /// As [`load`].
    pub fn wait(self) -> Result<Vec<Sample>, DataError> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Synthetic;
    use crate::suite::Split;

    #[test]
    fn what_was_begun_is_what_loading_gives() {
        let data: Arc<dyn Dataset> = Arc::new(Synthetic::new(Split::Test, 9));
        let loading = Loading::start(data.clone(), vec![3, 1, 8]);
        assert_eq!(loading.wait().unwrap(), load(data.as_ref(), &[3, 1, 8]).unwrap());
        assert!(Loading::start(data, vec![9]).wait().is_err());
    }
}
