//! `am-eval` uses activation maximization (AM) as an attack generator: it measures how robust image classifiers are.
//!
//! The data flows one way: a [`suite`] is planned, the engine turns it into [`record`]s on disk, and [`summary`],
//! [`gate`] and [`report`] read those. Everything up to the records needs libtorch and the `torch` feature; nothing
//! after them does.
#![warn(missing_docs)]

// Under this name tests inside the library share helpers with tests outside.
#[cfg(test)]
extern crate self as am_eval;

#[cfg(feature = "torch")]
pub mod attack;
#[cfg(feature = "torch")]
pub mod boundary;
pub mod cli;
pub mod compare;
#[cfg(feature = "torch")]
pub mod cuda;
pub mod data;
#[cfg(feature = "torch")]
pub mod engine;
pub mod export;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod history;
pub mod init;
pub mod interrupt;
#[cfg(feature = "torch")]
pub mod judge;
pub mod manual;
pub mod merge;
#[cfg(feature = "torch")]
pub mod model;
#[cfg(feature = "torch")]
pub mod objective;
#[cfg(feature = "torch")]
pub mod optimizer;
pub mod outputs;
pub mod random;
pub mod record;
#[cfg(feature = "torch")]
pub mod region;
pub mod report;
#[cfg(feature = "torch")]
pub mod rows;
#[cfg(feature = "torch")]
pub mod search;
pub mod stats;
pub mod suite;
pub mod summary;
pub mod terms;
#[cfg(feature = "torch")]
pub mod train;
#[cfg(feature = "torch")]
pub mod visualize;
pub mod wording;
