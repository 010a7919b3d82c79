//! Arguments, command, exit code.

use std::process::ExitCode;

use am_eval::cli::{args::Cli, conclude, dispatch};
use clap::Parser;

fn main() -> ExitCode {
    conclude(dispatch(Cli::parse().command)).into()
}
