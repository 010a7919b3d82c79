//! Arguments, command, exit code.

use am_eval::cli::{Exit, args::Cli, conclude, dispatch};
use clap::Parser;

fn main() {
    let exit = match Cli::try_parse() {
        Ok(arguments) => conclude(dispatch(arguments.command)),
        Err(answer) => {
            let exit = if answer.use_stderr() { Exit::Usage } else { Exit::Success };
            let _ = answer.print(); // a reader that has gone has seen enough
            exit
        }
    };
    exit.leave()
}
