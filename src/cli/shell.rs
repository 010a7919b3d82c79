//! `am-eval completions` and `am-eval man`: made from the arguments themselves.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::{print_exactly, tell};
use crate::record::write_atomically;

/// Prints a shell's completions.
pub fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "am-eval", &mut script);
    print_exactly(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// Prints the manual page, or writes `am-eval.1` and a page for each command into a folder.
pub fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.out else {
        print_exactly(&page(command)?)?;
        return Ok(Exit::Success);
    };
    std::fs::create_dir_all(folder).map_err(Failure::output)?;
    let pages = write(command, "", folder)?;
    tell(&format!("wrote {pages} pages into {}\n", folder.display()));
    Ok(Exit::Success)
}

fn page(command: clap::Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Failure::output)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Writes the pages of a command and of those below it; returns how many.
fn write(command: clap::Command, above: &str, folder: &Path) -> Result<usize, Failure> {
    let name = format!("{above}{}", command.get_name());
    let inner: Vec<clap::Command> =
        command.get_subcommands().filter(|inner| inner.get_name() != "help").cloned().collect();
    let text = page(command.display_name(name.clone()))?;
    write_atomically(&folder.join(format!("{name}.1")), text.as_bytes()).or_exit(Exit::RunFailed)?;
    let mut pages = 1;
    for inner in inner {
        pages += write(inner, &format!("{name}-"), folder)?;
    }
    Ok(pages)
}
