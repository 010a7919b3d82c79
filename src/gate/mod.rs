//! The gate: a run against rules and a baseline, and the verdict.
//!
//! A [`Snapshot`] holds what the gate needs of a run, sample by sample; saved, it is a [`baseline`]. [`judge`] looks at
//! one or two of them under a [`RuleSet`]. The [`GateOutcome`] is all that comes out: every format renders it, and the
//! exit code follows from it alone.

pub mod baseline;
pub(crate) mod check;
pub(crate) mod comparability;
mod date;
pub(crate) mod distances;
mod judge;
pub(crate) mod measure;
mod outcome;
pub mod power;
mod rule;
mod select;
mod snapshot;

pub use date::Date;
pub use judge::{Options, judge, worst_cases};
pub use outcome::{
    Change, Check, Conclusion, Difference, Excuse, GateOutcome, Mismatch, OUTCOME_FORMAT, RuleOutcome, Subject, Verdict,
};
pub use rule::{DEFAULT_ALPHA, Level, Metric, Rule, RuleSet, Waiver};
pub use select::{Pattern, Selector};
pub use snapshot::{
    CellSamples, Collector, Distance, Distances, ModelProvenance, ModelSamples, Provenance, Snapshot, SnapshotError,
};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
