//! Words and numbers as readers see them, the same in every output: suggestions, numbers, columns of text.

pub mod columns;
mod data_kind;
pub mod escape;
pub mod format;
mod neighbour;
pub mod suggest;

pub use data_kind::data_kind;
pub use neighbour::neighbour;
pub use suggest::{did_you_mean, nearest};
