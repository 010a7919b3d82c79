//! The shell that runs the parts: rows enter, step, leave, are verified, and go on. It knows rows, levels and a criterion, and nothing of
//! labels or of what is driven.

mod criterion;

pub use criterion::{Criterion, Prefer};
