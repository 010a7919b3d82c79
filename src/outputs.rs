//! The files that people read, made from the finished blocks of a run: tables, charts and the report; and those of a gate and of
//! a comparison.

use std::path::Path;

use crate::compare::{Comparison, write_changed, write_compare};
use crate::gate::{GateOutcome, OUTCOME_FORMAT};
use crate::record::{
    Example, Manifest, RunDir, RunStatus, StoreError, Thumbnails, assemble_adversarial, assemble_tables,
    write_atomically,
};
use crate::report::gate::{junit, markdown, show_gate};
use crate::report::{self, ReportError, write_reports};
use crate::summary::{RunSummary, Summarizer, write_summary, write_transfer};

/// Pictures of each model and attack that the gallery may choose from.
const EXAMPLES: usize = 8;

/// Why outputs could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OutputsError {
    /// A block could not be read or a table not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chart or the report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// There is nothing to report.
    #[error("{0} has no finished block; run its suite first")]
    Empty(std::path::PathBuf),
}

/// The summary of a finished run, from its blocks: none if `manifest` does not call it complete, if a block of `keys` is missing
/// or damaged, or if an output is missing or has changed since it was written. `adversarial`: whether adversarial images
/// belong to the outputs.
pub fn finished_summary(dir: &RunDir, manifest: &Manifest, keys: &[String], adversarial: bool) -> Option<RunSummary> {
    let saved = manifest.outputs.keys().any(|name| name.starts_with("adversarial/"));
    let complete = manifest.status == RunStatus::Complete && (saved || !adversarial);
    if !complete || !dir.path().join("report.html").is_file() {
        return None;
    }
    for (name, hash) in &manifest.outputs {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(dir.path().join(name)).ok()?).ok()?;
        if hasher.finalize().to_hex().as_str() != hash {
            return None;
        }
    }
    let mut summarizer = Summarizer::default();
    for key in keys {
        summarizer.add_block(&dir.block(key).ok()??);
    }
    Some(summarizer.finish_run(manifest))
}

/// Writes every output from the blocks that are there, and the manifest that says how complete they are. Making them again gives the
/// same bytes.
///
/// # Errors
/// If a block is damaged or a file cannot be written.
pub fn write_outputs(dir: &RunDir, manifest: &mut Manifest, adversarial: bool) -> Result<RunSummary, OutputsError> {
    // Names of blocks sort as the plan does.
    let keys = dir.block_keys()?;
    if keys.is_empty() {
        return Err(OutputsError::Empty(dir.path().to_owned()));
    }
    let mut summarizer = Summarizer::default();
    let mut worst = WorstExamples::default();
    let mut thumbnails = Thumbnails::default();
    let (mut unconfirmed, mut seconds) = (0, 0.0);
    let assembled = assemble_tables(dir, &keys, |block| {
        summarizer.add_block(block);
        unconfirmed += block.unconfirmed_hits;
        seconds += block.seconds;
        block.examples.iter().for_each(|example| worst.add(example));
        block.thumbnails.iter().for_each(|of| thumbnails.add(of));
    })?;
    let summary = summarizer.finish_run(manifest);
    manifest.unconfirmed_hits = unconfirmed;
    // Each shard knows its own time; all of them together is what the blocks took.
    if dir.shards_path().is_dir() {
        manifest.seconds = seconds;
    }
    manifest.blocks_done = keys.len() as u64;
    manifest.status =
        if manifest.blocks_done >= manifest.blocks_total { RunStatus::Complete } else { RunStatus::Incomplete };
    manifest.outputs.clear();
    manifest.outputs.insert("samples.csv".to_owned(), assembled.samples_hash);
    manifest.outputs.insert("distances.csv".to_owned(), assembled.distances_hash);
    manifest.outputs.insert("summary.csv".to_owned(), write_summary(&dir.summary_path(), &summary)?);
    if manifest.has_transfer() {
        manifest.outputs.insert("transfer.csv".to_owned(), write_transfer(&dir.transfer_path(), &summary.transfers)?);
    }
    if !thumbnails.is_empty() {
        let path = dir.thumbnails_path();
        manifest.outputs.insert(inside(dir, &path), thumbnails.save(&path)?);
    }
    if adversarial {
        let files = assemble_adversarial(dir, &keys)?;
        manifest.outputs.extend(files.into_iter().map(|(path, hash)| (inside(dir, &path), hash)));
    }
    let files = write_reports(dir.path(), manifest, &summary, &worst.finish())?;
    // The page is left out: a gate adds its verdict to it later.
    for chart in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "png")) {
        let bytes = std::fs::read(chart).map_err(StoreError::io("read", chart))?;
        manifest.outputs.insert(inside(dir, chart), blake3::hash(&bytes).to_hex().to_string());
    }
    if let Some(outcome) = stored_gate(dir, manifest) {
        show_gate(dir.path(), &outcome, &thumbnails)?;
    }
    // The manifest comes last: a run that it calls complete has all its files.
    manifest.save(&dir.manifest_path())?;
    Ok(summary)
}

/// The most telling pictures of each model and attack: flipped at the smallest radius, and there with the surest mistakes.
#[derive(Default)]
struct WorstExamples {
    /// By first appearance.
    groups: Vec<Vec<Example>>,
}

impl WorstExamples {
    fn add(&mut self, example: &Example) {
        let group_of = |of: &Example| (of.cell.model.clone(), of.cell.attack.clone());
        let known = self.groups.iter().position(|group| group_of(&group[0]) == group_of(example));
        let Some(known) = known else { return self.groups.push(vec![example.clone()]) };
        let group = &mut self.groups[known];
        let place = group.partition_point(|of| {
            let radius = of.cell.epsilon.cmp(&example.cell.epsilon);
            radius.then(example.confidence_adv.total_cmp(&of.confidence_adv)).is_le()
        });
        if place < EXAMPLES {
            group.insert(place, example.clone());
            group.truncate(EXAMPLES);
        }
    }

    fn finish(self) -> Vec<Example> {
        self.groups.into_iter().flatten().collect()
    }
}

/// A file's name relative to the run's directory, with `/` on every system.
fn inside(dir: &RunDir, path: &Path) -> String {
    let parts = path.strip_prefix(dir.path()).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Writes what the gate found: `gate.json`, `junit.xml`, `summary.md` (with `table`, the run's short table), and the
/// verdict on the page if there is one. Returns the text of `summary.md`.
///
/// # Errors
/// If a file cannot be written.
pub fn write_gate(dir: &RunDir, outcome: &GateOutcome, table: &str) -> Result<String, OutputsError> {
    let path = dir.path().join("gate.json");
    let json = serde_json::to_string_pretty(outcome)
        .map_err(|error| StoreError::Content { path: path.clone(), problem: error.to_string() })?;
    let summary = format!("{}```text\n{table}\n```\n", markdown(outcome));
    write_atomically(&path, format!("{json}\n").as_bytes())?;
    write_atomically(&dir.path().join("junit.xml"), junit(outcome).as_bytes())?;
    write_atomically(&dir.path().join("summary.md"), summary.as_bytes())?;
    // Most gates have no samples to show, and a page without pictures is better than none.
    let thumbnails = match outcome.broke_samples() {
        true => Thumbnails::load(&dir.thumbnails_path()).unwrap_or_default(),
        false => Thumbnails::default(),
    };
    show_gate(dir.path(), outcome, &thumbnails)?;
    Ok(summary)
}

/// Writes a comparison into `folder`, which is made if it is not there: `compare.csv`, `changed.csv`, and `compare.html`,
/// which shows `command` as the way to make it again.
///
/// # Errors
/// If a file cannot be written.
pub fn write_comparison(
    folder: &Path,
    comparison: &Comparison,
    thumbnails: &Thumbnails,
    command: &[String],
) -> Result<(), OutputsError> {
    std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    write_compare(&folder.join("compare.csv"), comparison)?;
    write_changed(&folder.join("changed.csv"), comparison)?;
    let page = report::compare::page(comparison, thumbnails, command)?;
    write_atomically(&folder.join("compare.html"), page.as_bytes())?;
    Ok(())
}

/// The gate's outcome in the run's directory, if it was found on these very results.
fn stored_gate(dir: &RunDir, manifest: &Manifest) -> Option<GateOutcome> {
    let text = std::fs::read(dir.path().join("gate.json")).ok()?;
    let outcome: GateOutcome = serde_json::from_slice(&text).ok()?;
    let current = manifest.outputs.get("samples.csv") == Some(&outcome.samples_hash);
    (current && outcome.format == OUTCOME_FORMAT && outcome.run == manifest.run).then_some(outcome)
}
