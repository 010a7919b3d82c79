//! Rules and waivers: configuration, which the gate applies.

mod date;
mod rule;
mod select;
mod subject;

pub use date::{Date, utc};
pub use rule::{DEFAULT_ALPHA, Level, Metric, Rule, RuleSet, Waiver};
pub use select::{Pattern, Selector};
pub use subject::Subject;
