//! Rows, scheduling, verification, device and precision.

mod attack;
mod clean;
pub mod device;
mod examples;
mod judge;
mod search;
mod units;

pub use attack::{AttackBlock, AttackOutcome, NOISE_DRAWS};
pub use clean::{CleanBlock, pixels};
pub use judge::{Judgement, floats, integers, judge};
pub use search::{Drive, Finished, Found, Row, Search};
pub use units::{DrivenUnit, choose};
