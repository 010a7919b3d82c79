//! The files that people read, made from the finished blocks of a run: tables, charts and the report; and those of a gate and of
//! a comparison.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::compare::{Comparison, write_changed, write_compare};
use crate::gate::{GateOutcome, OUTCOME_FORMAT};
use crate::history::{History, write_history};
use crate::record::seal::{self, Seal};
use crate::record::{
    Evidence, Example, MANIFEST_FORMAT, Manifest, PictureDir, PictureRecord, RunDir, RunStatus, StoreError, StudyDir,
    Thumbnails, UniversalRecord, WayRecord, assemble_adversarial, assemble_tables, content_hash, write_atomically,
    write_parquet, write_trajectories, write_universal, write_visualize,
};
use crate::report::compare::UnitPairs;
use crate::report::gate::{junit, markdown, show_gate, without_gate};
use crate::report::{self, ReportError, write_atlases, write_reports};
use crate::summary::{
    InsideSummary, RunSummary, Summarizer, write_curves, write_damage, write_layers, write_patching, write_summary,
    write_summary_json, write_transfer, write_units, write_worst_case, write_worst_samples,
};

/// The page.
const PAGE: &str = "report.html";
/// The gate's outcome.
const GATE: &str = "gate.json";
/// The same as SARIF.
const SARIF: &str = "gate.sarif";
/// What messages call the part of the page that a gate fills.
const GATE_ON_PAGE: &str = "the verdict in report.html";

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
/// or damaged, or if any file that it lists is missing or has changed since it was written. `adversarial`: whether adversarial
/// images belong to the outputs.
pub fn finished_summary(dir: &RunDir, manifest: &Manifest, keys: &[String], adversarial: bool) -> Option<RunSummary> {
    let saved = manifest.outputs.keys().any(|name| name.starts_with("adversarial/"));
    let listed = manifest.outputs.contains_key(PAGE) && manifest.blocks.len() >= keys.len();
    if manifest.status != RunStatus::Complete || !listed || (adversarial && !saved) {
        return None;
    }
    if damages(dir, manifest).iter().any(|damage| !damage.is_of_gate()) {
        return None;
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
    let pictures = PictureDir::of_run(dir.path());
    let painted = pictures.read()?;
    if keys.is_empty() && painted.is_empty() && !StudyDir::universal(dir.path()).path().is_dir() {
        return Err(OutputsError::Empty(dir.path().to_owned()));
    }
    let mut summarizer = Summarizer::default();
    let mut worst = WorstExamples::default();
    let mut thumbnails = Thumbnails::default();
    let (mut unconfirmed, mut seconds) = (0, 0.0);
    let mut evidence = Vec::new();
    let assembled = assemble_tables(dir, &keys, |block| {
        summarizer.add_block(block);
        unconfirmed += block.unconfirmed_hits;
        Evidence::gather(&mut evidence, &block.evidence);
        seconds += block.seconds;
        block.examples.iter().for_each(|example| worst.add(example));
        block.thumbnails.iter().for_each(|thumbnail| thumbnails.add(thumbnail));
    })?;
    manifest.evidence = evidence;
    let worst_samples = summarizer.worst_samples();
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
    if summary.models.iter().any(|model| !model.worst_case.is_empty()) {
        for (name, written) in [
            ("worst_case.csv", write_worst_case(&dir.path().join("worst_case.csv"), &summary)?),
            (
                "worst_case_samples.csv",
                write_worst_samples(&dir.path().join("worst_case_samples.csv"), &worst_samples)?,
            ),
        ] {
            manifest.outputs.insert(name.to_owned(), written);
        }
    }
    if !summary.distances.is_empty() {
        let path = dir.path().join("curves.csv");
        manifest.outputs.insert("curves.csv".to_owned(), write_curves(&path, &summary.distances)?);
    }
    if manifest.has_transfer() {
        manifest.outputs.insert("transfer.csv".to_owned(), write_transfer(&dir.transfer_path(), &summary.transfers)?);
    }
    for (name, hash) in write_inside(dir.path(), &summary.inside)? {
        manifest.outputs.insert(name.to_owned(), hash);
    }
    let ways = StudyDir::ways(dir.path());
    let found: Vec<WayRecord> = ways.read()?;
    if !found.is_empty() {
        let path = dir.path().join("trajectories.csv");
        manifest.outputs.insert(inside(dir, &path), write_trajectories(&path, &found)?);
        for (_, file) in found.iter().flat_map(|way| &way.frames) {
            let path = ways.path().join(file);
            manifest.outputs.insert(inside(dir, &path), content_hash(&path)?);
        }
    }
    let universal: Vec<UniversalRecord> =
        StudyDir::universal(dir.path()).read::<Vec<UniversalRecord>>()?.into_iter().flatten().collect();
    if !universal.is_empty() {
        let path = dir.path().join("universal.csv");
        manifest.outputs.insert(inside(dir, &path), write_universal(&path, &universal)?);
        for record in &universal {
            let path = StudyDir::universal(dir.path()).path().join(&record.file);
            manifest.outputs.insert(inside(dir, &path), content_hash(&path)?);
        }
    }
    if !painted.is_empty() {
        let path = dir.path().join("visualize.csv");
        manifest.outputs.insert(inside(dir, &path), write_visualize(&path, &painted)?);
        for atlas in write_atlases(&pictures, &painted, &manifest.classes)? {
            manifest.outputs.insert(inside(dir, &atlas), content_hash(&atlas)?);
        }
        for file in painted.iter().flat_map(PictureRecord::files) {
            let path = pictures.path().join(file);
            manifest.outputs.insert(inside(dir, &path), content_hash(&path)?);
        }
    }
    let json = write_summary_json(&dir.summary_json_path(), &summary, manifest)?;
    manifest.outputs.insert("summary.json".to_owned(), json);
    write_columnar(dir, manifest)?;
    if !thumbnails.is_empty() {
        let path = dir.thumbnails_path();
        manifest.outputs.insert(inside(dir, &path), thumbnails.save(&path)?);
    }
    if adversarial {
        let files = assemble_adversarial(dir, &keys)?;
        manifest.outputs.extend(files.into_iter().map(|(path, hash)| (inside(dir, &path), hash)));
    }
    let files = write_reports(dir.path(), manifest, &summary, &worst.finish())?;
    for file in &files {
        manifest.outputs.insert(inside(dir, file), content_hash(file)?);
    }
    for file in dir.bookkeeping() {
        manifest.outputs.insert(inside(dir, &file), content_hash(&file)?);
    }
    manifest.blocks = dir.hash_blocks()?;
    manifest.format = MANIFEST_FORMAT;
    if let Some(outcome) = stored_gate(dir, manifest) {
        show_gate(dir.path(), &outcome, &thumbnails)?;
        store_gate(dir, &outcome)?;
    }
    // The manifest comes last: a run that it calls complete has all its files.
    manifest.save(&dir.manifest_path())?;
    Ok(summary)
}

/// Writes the tables of what is inside the models, as far as the run tells of it; their names and hashes.
fn write_inside(folder: &Path, inside: &InsideSummary) -> Result<Vec<(&'static str, String)>, StoreError> {
    let mut written = Vec::new();
    let path = |name: &str| folder.join(name);
    if !inside.damage.is_empty() {
        written.push(("damage.csv", write_damage(&path("damage.csv"), &inside.damage)?));
    }
    if !inside.patching.is_empty() {
        written.push(("patching.csv", write_patching(&path("patching.csv"), &inside.patching)?));
    }
    if !inside.units.is_empty() {
        written.push(("units.csv", write_units(&path("units.csv"), &inside.units)?));
        written.push(("layers.csv", write_layers(&path("layers.csv"), &inside.layers)?));
    }
    Ok(written)
}

/// Every table that the run has written so far once more as Parquet, if its suite asks for it; else none is left of an earlier time.
fn write_columnar(dir: &RunDir, manifest: &mut Manifest) -> Result<(), StoreError> {
    let tables: Vec<PathBuf> =
        manifest.outputs.keys().filter(|name| name.ends_with(".csv")).map(|name| dir.path().join(name)).collect();
    for table in tables {
        if manifest.suite.run.writes_parquet() {
            let (path, hash) = write_parquet(&table)?;
            manifest.outputs.insert(inside(dir, &path), hash);
        } else if let Err(error) = std::fs::remove_file(table.with_extension("parquet"))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(StoreError::io("remove", &table.with_extension("parquet"))(error));
        }
    }
    Ok(())
}

/// The most telling pictures of each model and attack: flipped at the smallest radius, and there with the surest mistakes.
#[derive(Default)]
struct WorstExamples {
    /// By first appearance.
    groups: Vec<Vec<Example>>,
}

impl WorstExamples {
    fn add(&mut self, example: &Example) {
        let group_of = |example: &Example| (example.cell.model.clone(), example.cell.attack.clone());
        let known = self.groups.iter().position(|group| group_of(&group[0]) == group_of(example));
        let Some(known) = known else { return self.groups.push(vec![example.clone()]) };
        let group = &mut self.groups[known];
        let place = group.partition_point(|listed| {
            let radius = listed.cell.epsilon.cmp(&example.cell.epsilon);
            radius.then(example.confidence_adv.total_cmp(&listed.confidence_adv)).is_le()
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

/// `summary.md`: what the gate found, and `table`, the run's short table.
pub fn gate_summary(outcome: &GateOutcome, table: &str) -> String {
    format!("{}```text\n{table}\n```\n", markdown(outcome))
}

/// Writes what the gate found: `junit.xml`, `gate.sarif` (the text `sarif`), `summary.md` (the text `summary`), the verdict on the page if there is one, and
/// `gate.json`, which comes last and lists the others.
///
/// # Errors
/// If a file cannot be written.
pub fn write_gate(dir: &RunDir, outcome: &GateOutcome, summary: &str, sarif: &str) -> Result<(), OutputsError> {
    write_atomically(&dir.path().join("junit.xml"), junit(outcome).as_bytes())?;
    write_atomically(&dir.path().join(SARIF), sarif.as_bytes())?;
    write_atomically(&dir.path().join("summary.md"), summary.as_bytes())?;
    // Most gates have no samples to show, and a page without pictures is better than none.
    let thumbnails = match outcome.broke_samples() {
        true => Thumbnails::load(&dir.thumbnails_path()).unwrap_or_default(),
        false => Thumbnails::default(),
    };
    show_gate(dir.path(), outcome, &thumbnails)?;
    store_gate(dir, outcome)
}

/// `gate.json`: the outcome, and the files that show it.
#[derive(Serialize, Deserialize)]
struct StoredGate {
    #[serde(flatten)]
    outcome: GateOutcome,
    /// blake3 of `junit.xml`, `gate.sarif`, `summary.md` and `report.html`.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

fn store_gate(dir: &RunDir, outcome: &GateOutcome) -> Result<(), OutputsError> {
    let path = dir.path().join(GATE);
    let mut files = BTreeMap::new();
    for name in ["junit.xml", SARIF, "summary.md", PAGE] {
        let file = dir.path().join(name);
        if file.is_file() {
            files.insert(name.to_owned(), content_hash(&file)?);
        }
    }
    let json = seal::sealed(&StoredGate { outcome: outcome.clone(), files })
        .map_err(|error| StoreError::Content { path: path.clone(), problem: error.to_string() })?;
    write_atomically(&path, &json)?;
    Ok(())
}

/// Writes a comparison into `folder`, which is made if it is not there: `compare.csv`, `changed.csv`, and `compare.html`,
/// which shows `command` as the way to make it again. `folders` are those of the runs, by name: their pictures of units are shown.
///
/// # Errors
/// If a file cannot be written.
pub fn write_comparison(
    folder: &Path,
    comparison: &Comparison,
    thumbnails: &Thumbnails,
    folders: &[(String, std::path::PathBuf)],
    command: &[String],
) -> Result<(), OutputsError> {
    std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    write_compare(&folder.join("compare.csv"), comparison)?;
    write_changed(&folder.join("changed.csv"), comparison)?;
    let page = report::compare::page(comparison, thumbnails, &UnitPairs::new(comparison, folders)?, command)?;
    write_atomically(&folder.join("compare.html"), page.as_bytes())?;
    Ok(())
}

/// Writes a history into `folder`, which is made if it is not there: `history.csv`, `charts/`, and `history.html`, which shows
/// `command` as the way to make it again. Charts of an earlier history are removed.
///
/// # Errors
/// If a file cannot be written.
pub fn write_history_pages(folder: &Path, history: &History, command: &[String]) -> Result<(), OutputsError> {
    let charts = folder.join("charts");
    std::fs::create_dir_all(&charts).map_err(StoreError::io("create", &charts))?;
    write_history(&folder.join("history.csv"), history)?;
    let pages = report::history::pages(history, command)?;
    for entry in std::fs::read_dir(&charts).map_err(StoreError::io("read", &charts))?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().ends_with(".png") && !pages.charts.iter().any(|(chart, _)| name == chart.as_str()) {
            std::fs::remove_file(entry.path()).map_err(StoreError::io("remove", &entry.path()))?;
        }
    }
    for (name, png) in &pages.charts {
        write_atomically(&charts.join(name), png)?;
    }
    write_atomically(&folder.join("history.html"), pages.page.as_bytes())?;
    Ok(())
}

/// The gate's outcome in the run's directory, if it was found on these very results and is as it was written.
fn stored_gate(dir: &RunDir, manifest: &Manifest) -> Option<GateOutcome> {
    let outcome = read_gate(dir)?.outcome;
    let current = manifest.outputs.get("samples.csv") == Some(&outcome.samples_hash);
    (current && outcome.format == OUTCOME_FORMAT && outcome.run == manifest.run).then_some(outcome)
}

fn read_gate(dir: &RunDir) -> Option<StoredGate> {
    let text = crate::files::read_whole(dir.path().join(GATE)).ok()?;
    if seal::check(&text) == Seal::Broken { None } else { serde_json::from_slice(&text).ok() }
}

/// A file of a run that is not as the run wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// Its path in the run's directory.
    pub file: String,
    /// What became of it.
    pub kind: DamageKind,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DamageKind {
    /// It is not there, or cannot be read.
    Missing,
    /// It has other bytes.
    Changed,
    /// The run did not write it.
    Foreign,
}

impl Damage {
    fn new(file: impl Into<String>, kind: DamageKind) -> Self {
        Damage { file: file.into(), kind }
    }

    /// Whether it is a file that numbers come from: a block or a table. The others are made from these.
    pub fn is_of_numbers(&self) -> bool {
        self.file.starts_with("blocks/")
            || [".csv", ".parquet", "summary.json"].iter().any(|end| self.file.ends_with(end))
    }

    /// Whether it is a file in which a gate shows its verdict, which the next gate writes again.
    pub fn is_of_gate(&self) -> bool {
        [GATE, "junit.xml", SARIF, "summary.md", GATE_ON_PAGE].contains(&self.file.as_str())
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            DamageKind::Missing => "is missing",
            DamageKind::Changed => "was changed",
            DamageKind::Foreign => "is not of this run",
        };
        write!(f, "{} {verb}", self.file)
    }
}

/// Every file of the run that is not as it was written, by name: blocks, tables, pictures, the page, and what a gate left.
pub fn damages(dir: &RunDir, manifest: &Manifest) -> Vec<Damage> {
    let blocks = manifest.blocks.iter().map(|(name, hash)| (format!("blocks/{name}"), hash));
    let outputs = manifest.outputs.iter().map(|(name, hash)| (name.clone(), hash));
    let listed: Vec<(String, &String)> = blocks.chain(outputs).collect();
    let damage = |(name, hash): &(String, &String)| {
        let path = dir.path().join(name);
        let found =
            if name == PAGE { bare_page(&path).map(|page| hash_of(page.as_bytes())) } else { content_hash(&path).ok() };
        match found {
            None => Some(Damage::new(name, DamageKind::Missing)),
            Some(found) => (found != **hash).then(|| Damage::new(name, DamageKind::Changed)),
        }
    };
    let mut damages: Vec<Damage> = listed.par_iter().filter_map(damage).collect();
    if manifest.status == RunStatus::Complete && !manifest.blocks.is_empty() {
        let foreign =
            dir.hash_blocks().unwrap_or_default().into_keys().filter(|name| !manifest.blocks.contains_key(name));
        damages.extend(foreign.map(|name| Damage::new(format!("blocks/{name}"), DamageKind::Foreign)));
    }
    if manifest.outputs.contains_key(PAGE) {
        damages.extend(gate_damages(dir));
    }
    damages.sort();
    damages
}

/// What of a gate's files is not as the gate wrote it.
fn gate_damages(dir: &RunDir) -> Vec<Damage> {
    let page = dir.path().join(PAGE);
    if !dir.path().join(GATE).exists() {
        // Without a gate the page shows no verdict.
        let verdict_changed =
            crate::files::read_text(&page).ok().zip(bare_page(&page)).is_some_and(|(page, bare)| page != bare);
        return if verdict_changed { vec![Damage::new(GATE_ON_PAGE, DamageKind::Changed)] } else { Vec::new() };
    }
    let intact = crate::files::read_whole(dir.path().join(GATE)).is_ok_and(|text| seal::check(&text) == Seal::Whole);
    let Some(stored) = read_gate(dir).filter(|_| intact) else { return vec![Damage::new(GATE, DamageKind::Changed)] };
    let changed = stored.files.iter().filter_map(|(name, hash)| {
        let part = if name == PAGE { GATE_ON_PAGE } else { name };
        match content_hash(&dir.path().join(name)) {
            Ok(found) => (found != *hash).then(|| Damage::new(part, DamageKind::Changed)),
            Err(_) => Some(Damage::new(part, DamageKind::Missing)),
        }
    });
    changed.collect()
}

/// The page without a gate's verdict.
fn bare_page(path: &Path) -> Option<String> {
    Some(without_gate(&crate::files::read_text(path).ok()?))
}

fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
