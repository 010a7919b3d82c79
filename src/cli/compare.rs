//! `am-eval compare`: finished runs side by side.

use std::path::{Path, PathBuf};

use super::args::{CompareArgs, CompareFormat};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::gate::{check_files, load_baseline, snapshot_failure};
use super::output::{tell_exactly, warn};
use crate::compare::{CompareError, Comparison, Options, compare as compare_runs};
use crate::gate::Snapshot;
use crate::outputs::write_comparison;
use crate::record::{PictureDir, RunDir, Thumbnails};
use crate::report::compare as render;
use crate::wording::escape;

/// Compares the runs with the first of them, writes the tables and the page, and prints what was found.
pub fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let mut thumbnails = Thumbnails::default();
    let mut runs: Vec<Snapshot> = Vec::new();
    let mut folders: Vec<(String, PathBuf)> = Vec::new();
    for path in &args.runs {
        let mut run = load(path, &mut thumbnails)?;
        if runs.iter().any(|other| other.provenance.run == run.provenance.run) {
            // The same suite computed twice: only the folder tells the runs apart.
            run.provenance.run = path.display().to_string();
        }
        folders.push((run.provenance.run.clone(), path.clone()));
        runs.push(run);
    }
    let reference = runs.remove(0);
    if runs.is_empty() {
        if args.models.iter().all(|pair| pair.reference == pair.run) {
            return Err(Failure::message(
                Exit::Usage,
                "there is nothing to compare the run with",
                "give a second run, or two models of this one: --model A=B",
            ));
        }
        runs.push(reference.clone());
    }
    let pictures = folders.iter().all(|(_, folder)| PictureDir::of_run(folder).path().is_dir());
    let options = Options { models: args.models.clone(), allow_mismatch: args.allow_mismatch, pictures };
    let comparison = compare_runs(&reference, &runs, &options).map_err(failure)?;
    if comparison.contrasts.iter().all(|contrast| contrast.rows.is_empty())
        && render::UnitPairs::new(&comparison, &folders).or_exit(Exit::RunFailed)?.is_empty()
    {
        return Err(failure(CompareError::NothingShared { reference: comparison.reference }));
    }
    let folder = args.out.clone().unwrap_or_else(|| default_folder(&comparison));
    let command: Vec<String> = std::env::args().collect();
    write_comparison(&folder, &comparison, &thumbnails, &folders, &command).or_exit(Exit::RunFailed)?;
    tell_exactly(&match args.format {
        CompareFormat::Text => escape::terminal(&render::text(&comparison, &folder)).into_owned(),
        CompareFormat::Markdown => render::markdown(&comparison),
        CompareFormat::Json => escape::json_text(&comparison).or_exit(Exit::RunFailed)? + "\n",
    });
    Ok(Exit::Success)
}

/// A run's directory, with its thumbnails, or a baseline.
fn load(path: &Path, thumbnails: &mut Thumbnails) -> Result<Snapshot, Failure> {
    if path.is_file() {
        return load_baseline(path);
    }
    let (dir, manifest) = RunDir::open(path).or_exit(Exit::Usage)?;
    check_files(&dir, &manifest)?;
    let (snapshot, _) = Snapshot::of_run(&dir, &manifest).map_err(snapshot_failure)?;
    match Thumbnails::load(&dir.thumbnails_path()) {
        Ok(found) => thumbnails.add_all(found),
        // Numbers count more than pictures.
        Err(error) => warn(&format!("{error}; its pictures are left out")),
    }
    Ok(snapshot)
}

/// `reports/compare-<hash>`, by the runs and models that are compared.
fn default_folder(comparison: &Comparison) -> PathBuf {
    let mut hash = blake3::Hasher::new();
    let pairs = comparison
        .contrasts
        .iter()
        .flat_map(|contrast| [&contrast.run, &contrast.models.reference, &contrast.models.run]);
    for name in std::iter::once(&comparison.reference).chain(pairs) {
        hash.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    Path::new("reports").join(format!("compare-{}", &hash.finalize().to_hex()[..12]))
}

fn failure(error: CompareError) -> Failure {
    match error {
        CompareError::UnknownModel { .. } => Failure::new(Exit::Usage, error),
        CompareError::NoModelShared { .. } | CompareError::NothingShared { .. } => {
            Failure::new(Exit::NothingSelected, error)
        }
        CompareError::Incomparable { .. } => Failure::message(
            Exit::NotComparable,
            error.to_string(),
            "run both under the same conditions, or compare all the same with --allow-mismatch",
        ),
    }
}
