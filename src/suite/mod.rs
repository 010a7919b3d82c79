//! From TOML with spans to a validated [`Suite`], and from there to a plan.
//!
//! [`Suite::load`] reads the file into the tables of `raw`, whose values check themselves (`values`), and `validate`
//! checks what spans several of them. Every problem of a file is found in one pass and keeps its place
//! ([`SuiteErrors`]). [`schema`] is the JSON Schema of the file, made from the same tables.

mod config;
mod data_config;
mod data_files;
mod foresight;
mod hugging_face;
mod identity;
mod model_folder;
mod place;
mod plan;
mod problem;
mod raw;
mod raw_data;
mod raw_gate;
mod read;
mod rules_file;
mod schema;
mod suggest;
mod tables;
mod validate;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub use config::*;
pub use data_config::*;
pub use model_folder::{FolderError, ModelFolder};
pub use place::Place;
pub use plan::{Estimate, Known, Line, Plan, Shard, ShardError, Task, WorkUnit};
pub use problem::{Problem, SuiteErrors};
pub use schema::{schema, schema_text};
pub use suggest::{did_you_mean, nearest};
