//! Records, the manifest of a run, and the on-disk store: append, resume, merge.

mod manifest;
mod types;

pub use manifest::{Manifest, ModelEntry, RunStatus};
pub use types::{Cell, CellKind, DistanceRecord, Example, Record, Status};
