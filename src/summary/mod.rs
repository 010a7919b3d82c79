//! Records become rates with intervals, curves, distance distributions and health signs.

mod checklist;
mod csv;
mod curves_csv;
mod envelope;
mod health;
mod inside;
mod json;
mod order;
mod sample_set;
mod summarizer;
mod tally;
mod transfer;
mod transfer_csv;
mod trial_signs;
mod types;
mod worst_case;

pub use checklist::{Answer, Question, checklist};
pub use csv::{summary_columns, write_summary};
pub use curves_csv::{CURVES_COLUMNS, write_curves};
pub use envelope::ENVELOPE;
pub use inside::{
    DamageSummary, InsideSummary, LayerSummary, PatchSummary, UnitSummary, damage_columns, layer_columns,
    patching_columns, unit_columns, write_damage, write_layers, write_patching, write_units,
};
pub use json::{SUMMARY_FORMAT, summary_schema, summary_schema_text, write_summary_json};
pub use sample_set::SampleSet;
pub use summarizer::{Summarizer, summarize};
pub use transfer_csv::{transfer_columns, write_transfer};
pub use types::{
    AllNorms, CellSummary, DistanceSummary, HealthSign, ModelSummary, RunSummary, SurvivalPoint, TransferSummary,
};
pub use worst_case::{SampleWorst, worst_case_columns, worst_sample_columns, write_worst_case, write_worst_samples};
