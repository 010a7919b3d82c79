//! Arguments of the commands around the tool itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// `am-eval completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `am-eval man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for one page for each command, instead of printing the main one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

/// `am-eval init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The suite to write, which must not be there yet [default: DIR/suite.toml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `am-eval schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What the schema is of
    #[arg(value_name = "OF", value_enum, default_value_t = SchemaOf::Suite)]
    pub file: SchemaOf,
}

/// What a JSON Schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A suite's file
    Suite,
    /// A run's `summary.json`
    Summary,
}

/// `am-eval doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}
