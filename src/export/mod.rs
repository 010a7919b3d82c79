//! A run's results for other tools: its adversarial images as PNG, as an `ImageFolder` or as tensors, and its numbers in RobustBench's form.

mod images;
mod robustbench;
mod source;
mod table;
mod tensors;

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::record::{Cell, StoreError};
use crate::terms::{Epsilon, Norm};

pub use images::write_images;
pub use robustbench::write_robustbench;
pub use table::IMAGES_COLUMNS;

/// The form of exported images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagesForm {
    /// A PNG file for each image, in a folder for each model and attack.
    Png,
    /// The same in a folder for each class, as torchvision's `ImageFolder` reads them: the class is the true one.
    ImageFolder,
    /// One safetensors file for each model, attack and radius: `x_adv` f32 `[N, C, H, W]` in [0, 1], `y` and `row` i64 `[N]`.
    Safetensors,
    /// The same arrays as `.npy` files.
    Npy,
}

/// Which of a run's images are exported; empty lists take all.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Models, by name.
    pub models: Vec<String>,
    /// Attacks, by name.
    pub attacks: Vec<String>,
    /// Only images that change the prediction.
    pub flipped: bool,
    /// Controls too.
    pub controls: bool,
}

impl Choice {
    /// Whether the images of a model and an attack are wanted.
    fn takes_file(&self, model: &str, attack: &str) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        among(&self.models, model) && among(&self.attacks, attack)
    }
}

/// Why nothing could be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file of the run cannot be read, or one of the export not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of adversarial images cannot be read.
    #[error(transparent)]
    Images(#[from] DataError),
    /// The run has no adversarial images.
    #[error("{0} holds no adversarial images: the run was made without --save-adversarial")]
    NotSaved(PathBuf),
    /// A file of images and the table of samples contradict each other.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// No image fits the choice.
    #[error("no image fits: {0}")]
    Nothing(String),
    /// The folder holds something.
    #[error("{0} is not empty; name a new folder, so that nothing in it is taken for a part of this run")]
    NotEmpty(PathBuf),
    /// The run has no number that the form asks for.
    #[error("{0}")]
    NoNumber(String),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Images.
    pub images: u64,
    /// Files, tables included.
    pub files: u64,
}

/// The folder `path`, made if it is not there.
///
/// # Errors
/// If it holds anything, is no folder, or cannot be made.
pub fn empty_folder(path: &Path) -> Result<(), ExportError> {
    std::fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
    let mut entries = std::fs::read_dir(path).map_err(StoreError::io("read", path))?;
    if entries.next().is_some() { Err(ExportError::NotEmpty(path.to_owned())) } else { Ok(()) }
}

/// Images of one model, attack and radius: what makes one folder or file of tensors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    model: String,
    attack: String,
    norm: Norm,
    epsilon: Epsilon,
}

impl Group {
    fn new(cell: &Cell) -> Self {
        let (model, attack) = (cell.model.clone(), cell.attack.clone());
        Group { model, attack, norm: cell.norm, epsilon: cell.epsilon }
    }

    /// Its name as a part of paths: `cnn--logit--linf-8_255`.
    fn name(&self) -> String {
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
        };
        format!("{}--{}--{}-{}", plain(&self.model), plain(&self.attack), self.norm, plain(&self.epsilon.to_string()))
    }
}

#[cfg(test)]
mod tests;
