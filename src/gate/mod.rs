//! The gate: a run against rules and a baseline, and the verdict.
//!
//! A [`Snapshot`] holds what the gate needs of a run, sample by sample; saved, it is a [`baseline`]. [`judge`] looks at
//! one or two of them under a [`RuleSet`]. The [`GateOutcome`] is all that comes out: every format renders it, and the
//! exit code follows from it alone.

pub mod baseline;
pub(crate) mod check;
pub(crate) mod comparability;
pub(crate) mod distances;
mod foresight;
mod judge;
pub(crate) mod measure;
mod outcome;
pub mod power;
mod snapshot;

pub use crate::suite::gate::{DEFAULT_ALPHA, Date, Level, Metric, Pattern, Rule, RuleSet, Selector, Subject, Waiver};
pub use judge::{Options, judge, worst_cases};
pub use outcome::{
    Change, Check, Conclusion, Difference, Excuse, GateOutcome, Mismatch, OUTCOME_FORMAT, OutcomeFormat, RuleOutcome,
    Verdict,
};
pub use snapshot::{
    CellSamples, Collector, Distance, Distances, ModelProvenance, ModelSamples, Provenance, Snapshot, SnapshotError,
};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
