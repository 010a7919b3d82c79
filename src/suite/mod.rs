//! From TOML with spans to a validated [`Suite`], and from there to a plan.
//!
//! [`Suite::load`] reads the file into the tables of `raw`, whose values check themselves (`read`), and `validate`
//! checks what spans several of them. Every problem of a file is found in one pass and keeps its place
//! ([`SuiteErrors`]). [`schema`] is the JSON Schema of the file, made from the same tables.

mod attack;
mod boundary;
mod choices;
mod config;
mod data_config;
mod features;
pub mod gate;
mod goal;
mod identity;
mod inside;
mod models;
mod picture;
mod places;
mod plan;
mod presets;
mod raw;
mod read;
mod reference;
mod row_passes;
mod schema;
mod selection;
mod target;
mod validate;

#[cfg(test)]
mod tests;

pub use config::*;
pub use data_config::*;
pub use features::{Backward, FeatureObjective, GradientViews};
pub use inside::{DamageConfig, SliceAcross, TrajectoryConfig, UniversalConfig, UniversalSource};
pub use models::{FolderError, ModelFolder};
pub use picture::*;
pub use places::{Place, Places, line_and_column};
pub use plan::{
    Estimate, Known, Line, Plan, Shard, ShardChoice, ShardError, Targets, Task, WorkUnit, adversarial_file, controls,
    passes,
};
pub use presets::{Aim, Part, Preset, WHOLE_BUDGET};
pub use read::problem::{Problem, SuiteErrors};
pub use reference::suite_reference;
pub use schema::{schema, schema_text};
pub use validate::{LOGITS, NO_LAYERS, too_few_classes};
