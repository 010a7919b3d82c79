//! Rows at the ground: what every part of an attack keeps for each row, with `keep`, `pick` and `append` written once.
//!
//! A row is one optimization (a sample, a size of its region, a start, something that it drives). The parts of a search (region,
//! objective, optimizer) each hold tensors whose first dimension is the row, all in the same order. Rows enter by `append` and leave by
//! `keep`; that is all that continuous batching needs, and both work on trait objects, so that a registry is a list of functions.

mod entrants;
mod state;
mod values;

pub use entrants::{Drives, Entrants, Row};
pub(crate) use state::rows;
pub use state::{Parked, RowState, Rows};
pub use values::{doubles, floats, integers, may_hold, per_row, where_rows};
