//! `am-eval run`: suites, one after the other.

use std::io::IsTerminal;
use std::path::Path;

use super::args::RunArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit, print};
use super::gate;
use super::progress::Progress;
use crate::engine::{Prepared, Run, RunError};
use crate::gate::Snapshot;
use crate::interrupt;
use crate::outputs::{OutputsError, write_outputs};
use crate::record::{Manifest, RunDir, RunStatus};
use crate::report;
use crate::suite::{DataSource, Plan, Shard, Suite};

/// Runs each suite; the first failure ends the command.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    interrupt::listen();
    // A baseline that cannot be read is told before hours are spent.
    let baseline = args.baseline.as_deref().map(gate::load_baseline).transpose()?;
    let mut gravest = Exit::Success;
    for path in &args.suites {
        let suite = load(path, args)?;
        let prepared = Prepared::new(suite, args.limit).map_err(failure)?;
        if args.dry_run {
            dry_run(&prepared, args)?;
        } else {
            let exit = one(&prepared, args, baseline.as_ref())?;
            gravest = if exit.code() > gravest.code() { exit } else { gravest };
        }
    }
    Ok(gravest)
}

/// The suite with the command line's overrides.
fn load(path: &Path, args: &RunArgs) -> Result<Suite, Failure> {
    let wrong = |errors| Failure::diagnostic(Exit::Usage, errors);
    let mut suite = Suite::load(path).map_err(wrong)?;
    suite.run.device = args.device.unwrap_or(suite.run.device);
    suite.seed = args.seed.unwrap_or(suite.seed);
    if let Some(folder) = &args.data_root {
        match &mut suite.data.source {
            DataSource::Synthetic { .. } => {}
            DataSource::Cifar10 { root, .. } | DataSource::ImageFolder { root, .. } => root.clone_from(folder),
        }
    }
    suite.check_files().map_err(wrong)?;
    if args.baseline.is_some() && suite.gates.is_empty() {
        return Err(gate::no_rules(&suite.name));
    }
    Ok(suite)
}

fn dry_run(prepared: &Prepared, args: &RunArgs) -> Result<(), Failure> {
    let known = prepared.known().or_exit(Exit::Usage)?;
    let estimate = prepared.plan.estimate(&prepared.suite, &known);
    let folder = args.out.join(&prepared.run);
    let mut text = format!("{} samples, {} blocks\n\n", prepared.selection.len(), prepared.plan.units().len());
    text += &format!("{estimate}\nfiles in {}:\n", folder.display());
    for file in Plan::outputs(&prepared.suite, args.save_adversarial) {
        text += &format!("  {file}\n");
    }
    print(&text)
}

fn one(prepared: &Prepared, args: &RunArgs, baseline: Option<&Snapshot>) -> Result<Exit, Failure> {
    let dir = RunDir::create(args.out.join(&prepared.run), &prepared.run).or_exit(Exit::RunFailed)?;
    let _lock = dir.lock(None).or_exit(Exit::RunFailed)?;
    if args.fresh {
        dir.remove_blocks().or_exit(Exit::RunFailed)?;
    }
    let mut manifest = prepared.manifest(std::env::args().collect());
    if let Ok(earlier) = Manifest::load(&dir.manifest_path())
        && earlier.run == manifest.run
        && !args.fresh
    {
        manifest.seconds = earlier.seconds;
    }
    manifest.save(&dir.manifest_path()).or_exit(Exit::RunFailed)?;
    let plain = args.no_progress || !std::io::stderr().is_terminal();
    let mut progress = Progress::new(&prepared.run, plain);
    let executed = Run::new(prepared, &dir, args.save_adversarial).execute(Shard::WHOLE, &mut manifest, &mut progress);
    progress.end();
    executed.map_err(failure)?;
    let summary = write_outputs(&dir, &mut manifest, args.save_adversarial).map_err(outputs_failure)?;
    let state = if manifest.status == RunStatus::Complete { "" } else { " (incomplete)" };
    let page = dir.path().join("report.html");
    print(&format!("{}\nreport: {}{state}\n", report::table(&summary), page.display()))?;
    gate::after_run(&dir, &manifest, &prepared.suite, baseline)
}

/// The exit code of what stopped a run.
pub fn failure(error: RunError) -> Failure {
    let exit = match &error {
        RunError::Interrupted { .. } => Exit::Incomplete,
        RunError::Store(_) => Exit::RunFailed,
        RunError::Libtorch { retry: true, .. } => Exit::Device,
        RunError::Libtorch { retry: false, .. } => Exit::RunFailed,
        RunError::Empty(_) => Exit::NothingSelected,
        RunError::Data(_) | RunError::Model(_) | RunError::Device(_) | RunError::Fit { .. } => Exit::Usage,
    };
    Failure::new(exit, error)
}

/// The exit code of outputs that could not be made.
pub fn outputs_failure(error: OutputsError) -> Failure {
    Failure::new(Exit::RunFailed, error)
}
