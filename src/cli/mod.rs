//! The command line: one file per subcommand, which calls the library and renders its errors.
//!
//! [`dispatch`] maps arguments to commands; `main` turns its result into an exit code. Commands that run networks
//! need the `torch` feature; in a build without it they fail with a message that says so.

pub mod args;
mod baseline;
#[cfg(all(test, feature = "torch"))]
mod bounds_tests;
mod compare;
mod devices;
mod doctor;
#[cfg(feature = "torch")]
mod execution;
mod exit;
mod export;
mod failure;
mod gate;
mod history;
mod init;
#[cfg(feature = "torch")]
mod layers;
mod merge;
#[cfg(feature = "torch")]
mod models;
mod origin;
mod output;
#[cfg(feature = "torch")]
mod predict;
#[cfg(feature = "torch")]
mod progress;
mod report;
#[cfg(feature = "torch")]
mod run;
mod schema;
#[cfg(feature = "torch")]
mod shard;
mod shell;
mod status;
#[cfg(feature = "torch")]
mod train;
mod validate;
#[cfg(feature = "torch")]
mod visualize;
#[cfg(feature = "torch")]
mod workers;

pub use exit::Exit;
pub use failure::{Failure, OrExit, Style};
pub use output::print;

use args::Command;

/// Runs `command`. The result's exit code is also the process's.
pub fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        #[cfg(feature = "torch")]
        Command::Run(args) => run::run(&args),
        #[cfg(not(feature = "torch"))]
        Command::Run(_) => needs_torch("run"),
        #[cfg(feature = "torch")]
        Command::Models(args) => models::models(&args),
        #[cfg(not(feature = "torch"))]
        Command::Models(_) => needs_torch("models"),
        #[cfg(feature = "torch")]
        Command::Layers(args) => layers::layers(&args),
        #[cfg(not(feature = "torch"))]
        Command::Layers(_) => needs_torch("layers"),
        #[cfg(feature = "torch")]
        Command::Predict(args) => predict::predict(&args),
        #[cfg(not(feature = "torch"))]
        Command::Predict(_) => needs_torch("predict"),
        #[cfg(feature = "torch")]
        Command::Train(args) => train::train(&args),
        #[cfg(not(feature = "torch"))]
        Command::Train(_) => needs_torch("train"),
        #[cfg(feature = "torch")]
        Command::Visualize(args) => visualize::visualize(&args),
        #[cfg(not(feature = "torch"))]
        Command::Visualize(_) => needs_torch("visualize"),
        Command::Validate(args) => validate::validate(&args),
        Command::Report(args) => report::report(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Status(args) => status::status(&args),
        Command::Gate(args) => gate::gate(&args),
        Command::Export(args) => export::export(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::History(args) => history::history(&args),
        Command::Init(args) => init::init(&args),
        Command::Baseline(args) => baseline::baseline(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Doctor(args) => doctor::doctor(&args),
    }
}

/// The exit code of a command's result, after its diagnostic was shown. A reader of standard output that went away is
/// no failure.
pub fn conclude(result: Result<Exit, Failure>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Success,
        Err(failure) => {
            failure.print();
            failure.exit
        }
    }
}

/// What a build without libtorch answers to a command that runs networks.
#[cfg(not(feature = "torch"))]
fn needs_torch(command: &str) -> Result<Exit, Failure> {
    Err(Failure::message(
        Exit::Usage,
        format!("`am-eval {command}` runs networks, and this build has no libtorch"),
        "build with the default features: `make build`, or `cargo install --path .` after `make libtorch`",
    ))
}
