//! Folders of models as others distribute them, read for what a suite then need not say.

mod hugging_face;
mod model_folder;
mod timm;

pub use model_folder::ModelFolder;

/// Why a folder is not one of a model, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FolderError {
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub help: String,
}
