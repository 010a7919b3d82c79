//! `am-eval gate`: a finished run against rules and a baseline; and the same at the end of `am-eval run`.

use std::io::Write;
use std::path::Path;

use super::args::{GateArgs, GateFormat};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::origin::sources;
use super::output::{tell_exactly, warn};
use crate::gate::baseline::{self, BaselineError};
use crate::gate::{Conclusion, GateOutcome, Options, Snapshot, SnapshotError, judge};
use crate::outputs::{Damage, damages, gate_summary, write_gate};
use crate::record::{Manifest, RunDir, write_atomically};
use crate::report::{self, gate as render};
use crate::suite::Suite;
use crate::suite::gate::{Date, RuleSet};
use crate::wording::escape;

/// Judges a run, writes what CI reads into its directory, and prints the outcome. The exit code follows from it alone.
pub fn gate(args: &GateArgs) -> Result<Exit, Failure> {
    let baseline = args.baseline.as_deref().map(load_baseline).transpose()?;
    let (dir, manifest) = RunDir::open(&args.run).or_exit(Exit::Usage)?;
    let rules = match &args.rules {
        Some(path) => RuleSet::load(path).map_err(|errors| Failure::diagnostic(Exit::Usage, errors))?,
        None => RuleSet { rules: manifest.suite.gates.clone(), waivers: manifest.suite.waivers.clone() },
    };
    if rules.is_empty() {
        return Err(no_rules(&manifest.suite_name));
    }
    if baseline.is_none() && rules.needs_baseline() {
        return Err(Failure::message(
            Exit::Usage,
            "the rules compare with a baseline, and none was given",
            "add --baseline FILE; `am-eval baseline save RUN FILE` makes one of a run that you trust",
        ));
    }
    check_files(&dir, &manifest)?;
    let (snapshot, summary) = Snapshot::of_run(&dir, &manifest).map_err(snapshot_failure)?;
    let outcome = judge(&snapshot, baseline.as_ref(), &rules, &options(&manifest, args.allow_mismatch));
    let text = gate_summary(&outcome, &report::table(&summary));
    let sarif = render::sarif(&outcome, &sources(&manifest, args.suite.as_deref(), args.rules.as_deref(), &rules));
    if let Some(file) = &args.sarif {
        write_atomically(file, sarif.as_bytes()).or_exit(Exit::RunFailed)?;
    }
    match dir.lock(None) {
        Ok(_lock) => write_gate(&dir, &outcome, &text, &sarif).or_exit(Exit::RunFailed)?,
        // The verdict is for the exit code and the job's output; the run may lie where nothing can be written.
        Err(error) if error.is_refused() => warn(&format!("{error}: the verdict is not kept beside the run")),
        Err(error) => return Err(Failure::new(Exit::RunFailed, error)),
    }
    announce(&text);
    let written = match args.format {
        GateFormat::Markdown => comment(&outcome, &manifest, args.link_base.clone()),
        other => rendered(&outcome, &dir, other)?,
    };
    tell_exactly(&written);
    if let Some(file) = &args.comment {
        let text = comment(&outcome, &manifest, args.link_base.clone());
        write_atomically(file, text.as_bytes()).or_exit(Exit::RunFailed)?;
    }
    Ok(exit(&outcome))
}

/// Judges a run that has just been finished by its suite's own rules, and writes and prints the outcome. An incomplete
/// run is not judged. `findings`: the file that receives SARIF beside the run's own.
#[cfg_attr(not(feature = "torch"), allow(dead_code))]
pub fn after_run(
    dir: &RunDir,
    manifest: &Manifest,
    suite: &Suite,
    baseline: Option<&Snapshot>,
    findings: Option<&Path>,
) -> Result<Exit, Failure> {
    if manifest.status != crate::record::RunStatus::Complete {
        return Ok(Exit::Success);
    }
    let rules = RuleSet { rules: suite.gates.clone(), waivers: suite.waivers.clone() };
    let (snapshot, summary) = Snapshot::of_run(dir, manifest).map_err(snapshot_failure)?;
    let outcome = judge(&snapshot, baseline, &rules, &options(manifest, false));
    let text = gate_summary(&outcome, &report::table(&summary));
    let sarif = render::sarif(&outcome, &sources(manifest, Some(&suite.path), None, &rules));
    write_gate(dir, &outcome, &text, &sarif).or_exit(Exit::RunFailed)?;
    if let Some(file) = findings {
        write_atomically(file, sarif.as_bytes()).or_exit(Exit::RunFailed)?;
    }
    announce(&text);
    if !outcome.is_silent() {
        tell_exactly(&format!("\n{}", rendered(&outcome, dir, GateFormat::Text)?));
    }
    Ok(exit(&outcome))
}

/// The baseline in a file.
pub fn load_baseline(path: &Path) -> Result<Snapshot, Failure> {
    baseline::load(path).map_err(baseline_failure)
}

/// A baseline that cannot be used is a wrong argument.
pub fn baseline_failure(error: BaselineError) -> Failure {
    Failure::new(Exit::Usage, error)
}

/// The exit code of a run that cannot be looked at.
pub fn snapshot_failure(error: SnapshotError) -> Failure {
    let exit = match &error {
        SnapshotError::Incomplete { .. } => Exit::Incomplete,
        SnapshotError::Store(_) | SnapshotError::Changed { .. } => Exit::RunFailed,
    };
    Failure::new(exit, error)
}

/// A gate without rules would always pass.
pub fn no_rules(suite: &str) -> Failure {
    Failure::message(
        Exit::NothingSelected,
        format!("suite {suite} has no gate to apply"),
        "add a `[[gate]]` to the suite, or give --rules FILE to `am-eval gate`",
    )
}

/// The outcome as the comment of a pull request, with links to the run's folder at the address `base`.
fn comment(outcome: &GateOutcome, manifest: &Manifest, base: Option<String>) -> String {
    let pictures = manifest.outputs.keys().filter(|name| name.starts_with("charts/") && name.ends_with(".png"));
    render::comment(outcome, &manifest.suite_name, &render::Links { base, pictures: pictures.cloned().collect() })
}

fn options(manifest: &Manifest, allow_mismatch: bool) -> Options {
    let samples_hash = manifest.outputs.get("samples.csv").cloned().unwrap_or_default();
    Options { allow_mismatch, today: Date::today(), samples_hash }
}

fn exit(outcome: &GateOutcome) -> Exit {
    match outcome.conclusion {
        Conclusion::Passed => Exit::Success,
        Conclusion::Failed => Exit::GateFailed,
        Conclusion::NotComparable => Exit::NotComparable,
        Conclusion::NothingSelected => Exit::NothingSelected,
    }
}

/// Adds the summary to GitHub's if the job has one.
fn announce(markdown: &str) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return };
    let append = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(markdown.as_bytes())
    };
    if let Err(error) = append() {
        // The verdict counts more than its summary.
        warn(&format!("failed to add to GITHUB_STEP_SUMMARY ({}): {error}", path.display()));
    }
}

/// Stops if a file that numbers come from is not as the run wrote it; says so of the others.
pub fn check_files(dir: &RunDir, manifest: &Manifest) -> Result<(), Failure> {
    let (numbers, others): (Vec<Damage>, Vec<Damage>) =
        damages(dir, manifest).into_iter().partition(Damage::is_of_numbers);
    others.iter().for_each(|damage| warn(&format!("{damage}, since {} wrote it", manifest.run)));
    if numbers.is_empty() {
        return Ok(());
    }
    Err(Failure::message(
        Exit::RunFailed,
        format!("the files of {} are not those that it wrote: {}", manifest.run, listed(&numbers)),
        "`am-eval report RUN` makes tables again from whole blocks; the same `am-eval run` computes missing and changed blocks \
         again",
    ))
}

/// The first few, and how many more there are.
pub fn listed(damages: &[Damage]) -> String {
    const MOST: usize = 5;
    let first: Vec<String> = damages.iter().take(MOST).map(ToString::to_string).collect();
    let more = damages.len().saturating_sub(MOST);
    first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// The outcome as asked for; in a GitHub job, text comes with annotations.
fn rendered(outcome: &GateOutcome, dir: &RunDir, format: GateFormat) -> Result<String, Failure> {
    let page = dir.path().join("report.html");
    Ok(match format {
        GateFormat::Text if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") => {
            escape::terminal(&render::text(outcome, &page)).into_owned() + &render::github(outcome)
        }
        GateFormat::Text => escape::terminal(&render::text(outcome, &page)).into_owned(),
        GateFormat::Json => escape::json_text(outcome).or_exit(Exit::RunFailed)? + "\n",
        GateFormat::Github => render::github(outcome),
        GateFormat::Gitlab => render::gitlab(outcome, &page),
        GateFormat::Markdown => render::markdown(outcome),
    })
}
