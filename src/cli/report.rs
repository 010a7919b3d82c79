//! `am-eval report`: makes tables, charts and the page again from the records.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::args::ReportArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::gate::listed;
use super::output::{tell, warn};
use crate::outputs::{Damage, DamageKind, OutputsError, damages, write_outputs};
use crate::record::{RunDir, RunStatus};
use crate::report;

/// Makes the outputs of a run again.
pub fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let (dir, mut manifest) = RunDir::open(&args.run).or_exit(Exit::Usage)?;
    let _lock = dir.lock(None).or_exit(Exit::RunFailed)?;
    let (blocks, others): (Vec<Damage>, Vec<Damage>) = damages(&dir, &manifest)
        .into_iter()
        .filter(|damage| !(damage.kind == DamageKind::Missing && damage.file.starts_with("blocks/")))
        .partition(|damage| damage.file.starts_with("blocks/"));
    if !blocks.is_empty() {
        return Err(Failure::message(
            Exit::RunFailed,
            format!("the blocks of {} are not those that it wrote: {}", manifest.run, listed(&blocks)),
            "delete them, and issue the same `am-eval run` again: it computes what is missing",
        ));
    }
    others.iter().for_each(|damage| warn(&format!("{damage}, since {} wrote it; it is made again", manifest.run)));
    let adversarial = dir.path().join("adversarial").is_dir();
    let summary = write_outputs(&dir, &mut manifest, adversarial).map_err(|error| match error {
        OutputsError::Empty(_) => Failure::new(Exit::NothingSelected, error),
        _ => Failure::new(Exit::RunFailed, error),
    })?;
    let page = dir.path().join("report.html");
    tell(&format!("{}\n{}\n", report::table(&summary), report::closing(&manifest, &page)));
    if args.open {
        open(&page);
    }
    Ok(if manifest.status == RunStatus::Complete { Exit::Success } else { Exit::Incomplete })
}

/// Shows the page in the browser that the system would take; `BROWSER` names another. That it did not work fails nothing.
fn open(page: &Path) {
    let (program, first): (OsString, &[&str]) = match std::env::var_os("BROWSER").filter(|program| !program.is_empty())
    {
        Some(program) => (program, &[]),
        None if cfg!(target_os = "macos") => ("open".into(), &[]),
        None if cfg!(windows) => ("cmd".into(), &["/C", "start", ""]),
        None => ("xdg-open".into(), &[]),
    };
    let mut command = Command::new(&program);
    command.args(first).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => warn(&format!("{} did not show the page ({status})", program.to_string_lossy())),
        Err(error) => warn(&format!("the page could not be shown: {}: {error}", program.to_string_lossy())),
    }
}
