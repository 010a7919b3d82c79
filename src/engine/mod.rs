//! Runs plans: device, precision, blocks and what a network says of images.

mod begun;
mod block;
pub mod device;
mod error;
mod fault;
mod guard;
mod identity;
mod layers;
mod learned;
mod loaded;
mod memory;
mod predict;
mod prepare;
mod reference;
mod run;
pub mod trials;
mod widths;
mod workshop;

pub use error::RunError;
pub use guard::{Cause, LibtorchError, guarded};
pub use identity::ENGINE_VERSION;
pub use learned::learned;
pub use memory::give_back_freed;
pub use predict::{PredictError, Prediction, Predictor};
pub use prepare::Prepared;
pub use run::{Observer, Run};
pub use widths::{narrow_layers, narrow_pictures};
