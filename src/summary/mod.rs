//! Records become rates with intervals, curves, distance distributions and health signs.

mod types;

pub use types::{CellSummary, DistanceSummary, HealthSign, ModelSummary, RunSummary, SurvivalPoint};
