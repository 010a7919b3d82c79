//! `am-eval init`: a first suite for what lies in a folder.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::args::InitArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::output::tell;
use super::validate::problems_of;
use crate::init::{Draft, Knowledge, draft, look};
use crate::suite::Suite;

/// Looks, writes the suite, and says what was taken, what was not, and what is to be filled in.
pub fn init(args: &InitArgs) -> Result<Exit, Failure> {
    if !args.dir.is_dir() {
        let problem = format!("{} is no folder", args.dir.display());
        return Err(Failure::message(Exit::Usage, problem, "name the folder that holds weights and images"));
    }
    let file = args.out.clone().unwrap_or_else(|| args.dir.join("suite.toml"));
    if file.exists() {
        return Err(there_already(&file));
    }
    let made = draft(&file, &args.dir, &look(&args.dir), &Program);
    write(&file, &made.text)?;
    tell(&report(&file, &made));
    Ok(if made.open.is_empty() { Exit::Success } else { Exit::NothingSelected })
}

/// Never over a file that is there, also if it has just appeared.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written =
        OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut out| out.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => there_already(file),
        _ => Failure::message(
            Exit::Usage,
            format!("failed to write {}: {error}", file.display()),
            "name another file with --out",
        ),
    })
}

fn there_already(file: &Path) -> Failure {
    let problem = format!("{} is there already, and is left as it is", file.display());
    Failure::message(Exit::Usage, problem, "name another file with --out")
}

fn report(file: &Path, draft: &Draft) -> String {
    let mut text = String::new();
    let mut list = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            text += &format!("{title}\n");
            text += &lines.iter().map(|line| format!("  {}\n", line.replace('\n', "\n    "))).collect::<String>();
        }
    };
    list("taken:", &draft.taken);
    list("not taken:", &draft.left);
    list("guessed, look at it:", &draft.guessed);
    list("fill in:", &draft.open);
    let then = if draft.open.is_empty() { "it validates; next" } else { "then" };
    let path = file.display();
    text + &format!("wrote {path}\n{then}: am-eval validate {path}, am-eval run {path} --limit 20\n")
}

/// This program's networks and checks.
struct Program;

impl Knowledge for Program {
    fn architectures(&self, weights: &Path) -> Vec<(String, u32)> {
        networks::architectures(weights)
    }

    fn problems(&self, path: &Path, text: &str) -> Vec<String> {
        let found = match Suite::parse(PathBuf::from(path), text) {
            Err(errors) => vec![errors],
            Ok(suite) => problems_of(&suite),
        };
        let lines = found.iter().flat_map(|errors| errors.problems().iter().map(ToString::to_string));
        lines.collect()
    }

    fn knows_networks(&self) -> bool {
        cfg!(feature = "torch")
    }
}

#[cfg(not(feature = "torch"))]
mod networks {
    use std::path::Path;

    pub fn architectures(_: &Path) -> Vec<(String, u32)> {
        Vec::new()
    }
}

#[cfg(feature = "torch")]
mod networks {
    use std::path::Path;

    use crate::model::{Architecture, WeightsFile};

    pub fn architectures(weights: &Path) -> Vec<(String, u32)> {
        let Ok(file) = WeightsFile::outline(weights) else { return Vec::new() };
        let found = Architecture::resembling(&file.plain_shapes());
        found.into_iter().map(|found| (found.name.to_owned(), found.geometry.height as u32)).collect()
    }
}
