//! The exit codes: part of the command line's contract, so that schedulers and CI can tell failures apart.

use std::process::ExitCode;

/// How a command ended. The numbers never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// The command did what it was asked to do.
    Success = 0,
    /// The arguments or a suite are wrong, or this build lacks the needed feature. Trying again will not help.
    Usage = 2,
    /// Two runs, or a run and a baseline, were made under different conditions.
    NotComparable = 3,
    /// The selection is empty: no sample, model, attack or unit is left to run.
    NothingSelected = 4,
    /// The run was interrupted or shards are missing; the same command continues it.
    Incomplete = 5,
    /// The device was lost or ran out of memory: worth a retry.
    Device = 75,
    /// The gate failed.
    GateFailed = 100,
    /// The run could not be completed: unreadable data or weights, a full disk, an error in libtorch.
    RunFailed = 101,
}

impl Exit {
    /// Every code, ascending.
    pub const ALL: [Exit; 8] = [
        Exit::Success,
        Exit::Usage,
        Exit::NotComparable,
        Exit::NothingSelected,
        Exit::Incomplete,
        Exit::Device,
        Exit::GateFailed,
        Exit::RunFailed,
    ];

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// One line for the help text.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "success",
            Exit::Usage => "usage or configuration",
            Exit::NotComparable => "not comparable",
            Exit::NothingSelected => "nothing selected",
            Exit::Incomplete => "incomplete: interrupted; the same command continues",
            Exit::Device => "device lost or out of memory, worth a retry",
            Exit::GateFailed => "the gate failed",
            Exit::RunFailed => "the run failed",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The table of exit codes as the help text shows it.
pub fn help_table() -> String {
    let mut table = String::from("Exit codes:");
    for exit in Exit::ALL {
        table.push_str(&format!("\n  {:>3}  {}", exit.code(), exit.meaning()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 2, 3, 4, 5, 75, 100, 101]);
    }
}
