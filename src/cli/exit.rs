//! The exit codes: part of the command line's contract, so that schedulers and CI can tell failures apart.

use std::io::Write;

/// How a command ended. The numbers never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// The command did what it was asked to do.
    Success = 0,
    /// The arguments, a suite, or the data and weights that it names are wrong, or this build lacks the needed feature.
    /// Trying again will not help.
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
    /// The run could not be completed: a full disk, an unwritable folder, an error in libtorch.
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
            Exit::Incomplete => "incomplete: interrupted, or shards are missing; the same command continues",
            Exit::Device => "device lost or out of memory, worth a retry",
            Exit::GateFailed => "the gate failed",
            Exit::RunFailed => "the run failed",
        }
    }

    /// Ends the process with this code. Where libtorch is linked its destructors are left out: they unregister some
    /// thousands of operators one by one, which takes as long as answering `--help`, and the system frees all of it.
    pub fn leave(self) -> ! {
        // Nobody is left to tell if this fails; what must not get lost was written and checked before.
        let _ = std::io::stdout().flush();
        #[cfg(all(feature = "torch", unix))]
        {
            unsafe extern "C" {
                fn _exit(code: std::ffi::c_int) -> !;
            }
            // SAFETY: `_exit` has no requirements; standard output is flushed and standard error is not buffered.
            unsafe { _exit(self.code().into()) }
        }
        #[cfg(not(all(feature = "torch", unix)))]
        std::process::exit(self.code().into())
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
