//! What can stop a run.

use std::path::PathBuf;

use super::device::DeviceError;
use crate::data::DataError;
use crate::model::ModelError;
use crate::record::StoreError;

/// Why a run cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run's directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Model and data do not fit.
    #[error("model `{model}` does not fit the data: {problem}")]
    Fit {
        /// The model.
        model: String,
        /// What differs.
        problem: String,
    },
    /// Images are to be shown to a model whose predictions mean something else.
    #[error("`{}` has {} classes and `{}` has {}: their predictions do not compare", first.0, first.1, other.0, other.1)]
    DifferentClasses {
        /// A model and its number of classes.
        first: (String, i64),
        /// Another model and its own.
        other: (String, i64),
    },
    /// Nothing to run.
    #[error("the suite selects no samples: {0}")]
    Empty(String),
    /// Stopped by the user.
    #[error("interrupted: {done} of {total} blocks are finished and kept in {}; the same command goes on from there", path.display())]
    Interrupted {
        /// Finished blocks.
        done: usize,
        /// All blocks.
        total: usize,
        /// The run's directory.
        path: PathBuf,
    },
    /// libtorch gave up.
    #[error("block `{block}`: {}", reason.trim())]
    Libtorch {
        /// The block.
        block: String,
        /// libtorch's words.
        reason: String,
        /// Whether the device ran out of memory or was lost, so that another try may succeed.
        retry: bool,
    },
}
