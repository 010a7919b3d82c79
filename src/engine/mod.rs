//! Rows, scheduling, verification, device and precision.

mod attack;
mod clean;
pub mod device;
mod error;
mod examples;
mod guard;
mod judge;
mod loaded;
mod memory;
mod predict;
mod prepare;
mod run;
mod search;
mod units;

pub use attack::{AttackBlock, AttackOutcome, NOISE_DRAWS, Victim};
pub use clean::{CleanBlock, pixels};
pub use error::RunError;
pub use guard::{LibtorchError, guarded};
pub use judge::{Judgement, floats, integers, judge};
pub use predict::{PredictError, Prediction, Predictor};
pub use prepare::{ENGINE_VERSION, Prepared};
pub use run::{Observer, Run};
pub use search::{Drive, Finished, Found, Row, Search};
pub use units::{DrivenUnit, choose};
