//! Runs plans: device, precision, blocks and what a network says of images.

pub mod device;
mod error;
mod fault;
mod guard;
mod layers;
mod loaded;
mod memory;
mod predict;
mod prepare;
mod readouts;
mod run;
pub mod trials;

pub use error::RunError;
pub use guard::{Cause, LibtorchError, guarded};
pub use predict::{PredictError, Prediction, Predictor};
pub use prepare::{ENGINE_VERSION, Prepared};
pub use readouts::trained;
pub use run::{Observer, Run};
