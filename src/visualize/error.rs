//! Why pictures cannot be made.

use crate::engine::LibtorchError;
use crate::model::ModelError;
use crate::record::StoreError;

/// Why pictures cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VisualizeError {
    /// A unit does not exist, or a layer cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A choice of layers finds none.
    #[error("visualization `{visualization}`: model `{model}` has no layer `{choice}`; {near}")]
    NoLayer {
        /// The visualization.
        visualization: String,
        /// The model.
        model: String,
        /// What was asked for.
        choice: String,
        /// Near names.
        near: String,
    },
    /// What is asked for does not go together.
    #[error("visualization `{visualization}`: {problem}")]
    Unfit {
        /// The visualization.
        visualization: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The image at which pictures begin cannot be used.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stopped by the user.
    #[error("interrupted; the same command continues")]
    Interrupted,
    /// libtorch gave up.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}
