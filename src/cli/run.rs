//! `am-eval run`: suites, one after the other.

use std::path::Path;

use super::args::RunArgs;
use super::execution::{begin, failure, keys, start_over};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::gate;
use super::origin::origin;
use super::output::{tell, warn};
use super::shard;
use super::visualize;
use super::workers::{self, Placement};
use crate::engine::{Prepared, Run, RunError, device, give_back_freed};
use crate::gate::Snapshot;
use crate::interrupt;
use crate::model::TORCHSCRIPT;
use crate::outputs::{OutputsError, finished_summary, write_outputs};
use crate::record::{Manifest, RunDir};
use crate::report;
use crate::suite::{Plan, Shard, Suite};
use crate::summary::RunSummary;

/// Runs each suite; the first failure ends the command.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    interrupt::listen(|| Exit::Incomplete.leave());
    // A baseline that cannot be read is told before hours are spent.
    let baseline = args.baseline.as_deref().map(gate::load_baseline).transpose()?;
    // All suites are read before one is run: what is wrong with the last is told now, and the devices are known.
    let mut suites = args.suites.iter().map(|path| load(path, args)).collect::<Result<Vec<_>, _>>()?;
    let placements = placements(args, &mut suites)?;
    device::prepare(suites.iter().map(|suite| suite.run.device));
    if args.worker {
        workers::listen();
    }
    if let (Some(file), true) = (&args.sarif, suites.len() > 1) {
        let text = format!("{} cannot hold the findings of {} suites", file.display(), suites.len());
        return Err(Failure::message(Exit::Usage, text, "run one suite, or take `gate.sarif` from each run's folder"));
    }
    let mut gravest = Exit::Success;
    let threads = tch::get_num_threads();
    for suite in suites {
        warn_of_scripts(&suite);
        let prepare = || Prepared::new(suite.clone(), args.limit).map_err(|error| placed(&suite, error));
        if chooses_placements(args) {
            tch::set_num_threads(threads);
        }
        let (mut prepared, mut placements) = (prepare()?, placements.clone());
        if chooses_placements(args) {
            placements = workers::side_by_side(&prepared, threads).or_exit(Exit::Usage)?;
            if !placements.is_empty() {
                // As its processes compute: so the run has their name.
                tch::set_num_threads(1);
                prepared = prepare()?;
            }
        }
        prepared.warnings.iter().for_each(|text| warn(text));
        if args.dry_run {
            dry_run(&prepared, args)?;
        } else {
            let exit = one(&prepared, args, &placements, baseline.as_ref())?;
            gravest = if exit.code() > gravest.code() { exit } else { gravest };
        }
    }
    Ok(gravest)
}

/// Whether the command chooses how many processes share a run on the CPU: nothing else says so.
fn chooses_placements(args: &RunArgs) -> bool {
    let chosen = args.devices.is_some() || args.shard.is_some() || args.worker;
    !chosen && std::env::var_os("OMP_NUM_THREADS").is_none()
}

/// Where the processes of `--devices` compute, none without it. The suites then look at their models on the first of these devices.
fn placements(args: &RunArgs, suites: &mut [Suite]) -> Result<Vec<Placement>, Failure> {
    let Some(devices) = &args.devices else { return Ok(Vec::new()) };
    let placements = devices.place();
    for placement in &placements {
        device::resolve(placement.device()).or_exit(Exit::Usage)?;
    }
    if let Some(first) = placements.first() {
        suites.iter_mut().for_each(|suite| suite.run.device = first.device());
    }
    Ok(placements)
}

/// Says that scripts are programs, if the suite runs some.
pub fn warn_of_scripts(suite: &Suite) {
    if suite.models.iter().any(|model| model.arch == TORCHSCRIPT) {
        warn(SCRIPTS);
    }
}

/// What everyone who opens a TorchScript file should know.
pub const SCRIPTS: &str = "TorchScript files are programs, and opening one runs it: use those that you trust; \
                           `arch = \"exported\"` and `arch = \"onnx\"` take models that are data";

/// The suite with the command line's overrides.
fn load(path: &Path, args: &RunArgs) -> Result<Suite, Failure> {
    let wrong = |errors| Failure::diagnostic(Exit::Usage, errors);
    let mut suite = Suite::load_from(path, args.weights_root.as_deref()).map_err(wrong)?;
    suite.run.device = args.device.unwrap_or(suite.run.device);
    suite.seed = args.seed.unwrap_or(suite.seed);
    if let Some(folder) = &args.data_root {
        suite.data.source.move_to(folder);
    }
    suite.check_files().map_err(wrong)?;
    if (args.baseline.is_some() || args.sarif.is_some()) && suite.gates.is_empty() {
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
    tell(&text);
    Ok(())
}

fn one(
    prepared: &Prepared,
    args: &RunArgs,
    placements: &[Placement],
    baseline: Option<&Snapshot>,
) -> Result<Exit, Failure> {
    let dir = RunDir::create(args.out.join(&prepared.run), &prepared.run).or_exit(Exit::RunFailed)?;
    if let Some(choice) = args.shard {
        return shard::run(prepared, args, &dir, choice, baseline);
    }
    if !placements.is_empty() {
        workers::compute(prepared, args, &dir, placements)?;
    }
    let fresh = args.fresh && placements.is_empty();
    let _lock = dir.lock(None).or_exit(Exit::RunFailed)?;
    if fresh {
        start_over(&dir).or_exit(Exit::RunFailed)?;
    }
    let mut manifest = prepared.manifest(std::env::args().collect());
    manifest.origin = Some(origin(&prepared.suite.path));
    let earlier = Manifest::load(&dir.manifest_path()).ok();
    let earlier = earlier.filter(|earlier| earlier.run == manifest.run && !fresh);
    manifest.seconds = earlier.as_ref().map_or(0.0, |earlier| earlier.seconds);
    if let Some(first) = earlier.as_ref().and_then(|earlier| earlier.origin.clone()) {
        manifest.origin = Some(first);
    }
    let finished = earlier.and_then(|earlier| {
        let summary = finished(prepared, args, &dir, &earlier, &manifest)?;
        Some((earlier, summary))
    });
    let (manifest, summary, note) = match finished {
        Some((earlier, summary)) => (earlier, summary, " (finished before, nothing to do)"),
        None => {
            let summary = compute(prepared, args, &dir, &mut manifest)?;
            (manifest, summary, "")
        }
    };
    let page = dir.path().join("report.html");
    tell(&format!("{}\n{}{note}\n", report::table(&summary), report::closing(&manifest, &page)));
    gate::after_run(&dir, &manifest, &prepared.suite, baseline, args.sarif.as_deref())
}

/// The summary of a run that an earlier command finished, if it would come out the same again.
fn finished(
    prepared: &Prepared,
    args: &RunArgs,
    dir: &RunDir,
    earlier: &Manifest,
    now: &Manifest,
) -> Option<RunSummary> {
    let same = earlier.versions == now.versions && earlier.suite_source == now.suite_source;
    if same { finished_summary(dir, earlier, &keys(prepared), args.save_adversarial) } else { None }
}

/// Computes the blocks that are missing and writes the outputs.
fn compute(prepared: &Prepared, args: &RunArgs, dir: &RunDir, manifest: &mut Manifest) -> Result<RunSummary, Failure> {
    manifest.save(&dir.manifest_path()).or_exit(Exit::RunFailed)?;
    dir.save_plan(keys(prepared)).or_exit(Exit::RunFailed)?;
    let mut progress = begin(prepared, args);
    let executed = Run::new(prepared, dir, args.save_adversarial).execute(Shard::WHOLE, manifest, &mut progress);
    progress.end();
    if executed.is_err() {
        manifest.save(&dir.manifest_path()).or_exit(Exit::RunFailed)?;
    }
    executed.map_err(failure)?;
    visualize::studies_of_run(prepared, dir.path(), (0, 1))?;
    give_back_freed();
    write_outputs(dir, manifest, args.save_adversarial).map_err(outputs_failure)
}

/// What cannot be prepared, shown at the value of the suite that asks for it.
fn placed(suite: &Suite, error: RunError) -> Failure {
    match error.placed() {
        Some(placed) => Failure::diagnostic(Exit::Usage, suite.error_at(placed.place, placed.message, placed.help)),
        None => failure(error),
    }
}

/// The exit code of outputs that could not be made.
pub fn outputs_failure(error: OutputsError) -> Failure {
    Failure::new(Exit::RunFailed, error)
}
