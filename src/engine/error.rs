//! What can stop a run.

use std::path::PathBuf;

use super::device::DeviceError;
use super::guard::{Cause, LibtorchError};
use crate::data::DataError;
use crate::model::ModelError;
use crate::record::StoreError;
use crate::suite::Place;

/// Why a run cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model of the suite cannot be opened.
    #[error("{error}")]
    Opening {
        /// The model, by index.
        model: usize,
        /// Why.
        error: ModelError,
    },
    /// A model lacks what an attack asks of it.
    #[error("{error}")]
    Asking {
        /// The attack, by index.
        attack: usize,
        /// What is missing.
        error: ModelError,
    },
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
    /// A model lacks what a value of the suite asks of it.
    #[error("model `{model}` does not fit: {problem}")]
    Unfit {
        /// The value.
        place: Place,
        /// The model.
        model: String,
        /// What is missing.
        problem: String,
    },
    /// A model whose predictions no attack can be held against.
    #[error("model `{model}` cannot be evaluated: {problem}")]
    Untrusted {
        /// The model.
        model: String,
        /// What was seen in the trial, and what would be right.
        problem: String,
    },
    /// A self-test that a model cannot take.
    #[error("{problem}, so that `[selftest]` has no features to read; {help}")]
    SelfTest {
        /// What the model lacks.
        problem: String,
        /// What would do.
        help: String,
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
    #[error("{work}: {error}{}", remedy(error.cause))]
    Libtorch {
        /// What was done: the block, or the loading of the models.
        work: String,
        /// libtorch's words.
        error: LibtorchError,
    },
}

/// What the user can do, as the end of a message.
fn remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::Memory => "; even a batch of one row does not fit: free memory on the device, or use another one",
        Cause::Device => {
            "; the device was lost or is taken by another process: the same command goes on from the last finished block"
        }
        Cause::Repeatability | Cause::Other => "",
    }
}

/// An error as it is shown at a value of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The value.
    pub place: Place,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl RunError {
    /// The value of the suite that asks for what cannot be had; none if no single one does.
    pub fn placed(&self) -> Option<Placed> {
        let placed = |place, message: String, help: &str| Some(Placed { place, message, help: help.to_owned() });
        match self {
            RunError::Opening { model, error: ModelError::UnknownArchitecture { name, near } } => {
                placed(Place::Model(*model, "arch"), format!("unknown architecture `{name}`"), near)
            }
            RunError::Asking { attack, error: ModelError::UnknownLayer { model, layer, near } } => {
                placed(Place::Attack(*attack, "layer"), format!("model `{model}` has no layer `{layer}`"), near)
            }
            RunError::Asking { attack, error: ModelError::UnknownUnit { model, layer, unit, problem } } => {
                let message = format!("layer `{layer}` of model `{model}` has no unit {unit}");
                placed(Place::Attack(*attack, "units"), message, problem)
            }
            RunError::Unfit { place, .. } => {
                placed(*place, self.to_string(), "with `models = [\"…\"]` an attack runs on some models only")
            }
            RunError::SelfTest { problem, help } => placed(Place::SelfTest("layer"), problem.clone(), help),
            RunError::DifferentClasses { .. } => {
                let help = "leave `[transfer]` out, or give these models suites of their own";
                placed(Place::Transfer("attacks"), self.to_string(), help)
            }
            _ => None,
        }
    }
}
