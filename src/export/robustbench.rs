//! A run's numbers in the form of RobustBench's `model_info/DATASET/THREAT/MODEL.json` (Croce et al. 2021,
//! <https://arxiv.org/abs/2010.09670>).

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ExportError, empty_folder};
use crate::record::{Cell, CellKind, Manifest, RunDir, RunStatus, StoreError, write_atomically};
use crate::stats::Estimate;
use crate::suite::Preset;
use crate::summary::{ModelSummary, RunSummary, Summarizer};
use crate::terms::{Epsilon, Norm, headline_radius};

/// The fields of RobustBench's files, in their order, and after them what its readers pass over. What only the model's authors know is
/// left empty.
#[derive(Serialize)]
struct Entry {
    link: String,
    name: String,
    authors: String,
    additional_data: Option<bool>,
    number_forward_passes: usize,
    dataset: String,
    venue: String,
    architecture: String,
    eps: String,
    clean_acc: String,
    reported: String,
    /// What the attack `kind = "standard"` leaves, in percent; none if the run had none at this radius.
    autoattack_acc: Option<String>,
    /// What all attacks of the run together leave.
    external: String,
    footnote: String,
    am_eval: Source,
}

/// Where the numbers come from.
#[derive(Serialize)]
struct Source {
    run: String,
    complete: bool,
    samples: u64,
    weights_hash: Option<String>,
    clean_accuracy: Estimate,
    standard_accuracy: Option<Estimate>,
    worst_case_accuracy: Estimate,
    signs: Vec<String>,
}

/// Writes `DATASET/THREAT/MODEL.json` into the empty folder `out` for each model of the run and each of RobustBench's norms (l-inf and l2)
/// in which it was attacked, at the leaderboard's radius if the run has it, else at the largest. Returns the files.
///
/// # Errors
/// If no attack has one of these norms, `out` is not empty, or a file cannot be read or written.
pub fn write_robustbench(dir: &RunDir, manifest: &Manifest, out: &Path) -> Result<Vec<PathBuf>, ExportError> {
    let mut summarizer = Summarizer::default();
    for key in dir.block_keys()? {
        dir.block(&key)?.iter().for_each(|block| summarizer.add_block(block));
    }
    let summary = summarizer.finish_run(manifest);
    let entries = entries(&summary, manifest);
    if entries.is_empty() {
        let problem = "RobustBench ranks models in l-inf and l2 balls, and the run attacks in neither; give the suite an attack of \
                       kind = \"standard\" with norm = \"linf\" and epsilons = [\"8/255\"]";
        return Err(ExportError::NoNumber(problem.to_owned()));
    }
    empty_folder(out)?;
    let mut files = Vec::new();
    for (place, entry) in entries {
        let path = out.join(place);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        }
        let text = crate::wording::escape::json_text(&entry)
            .map_err(|error| StoreError::Content { path: path.clone(), problem: error.to_string() })?;
        write_atomically(&path, format!("{text}\n").as_bytes())?;
        files.push(path);
    }
    Ok(files)
}

fn entries(summary: &RunSummary, manifest: &Manifest) -> Vec<(String, Entry)> {
    let mut entries = Vec::new();
    for model in &summary.models {
        for (norm, threat) in [(Norm::Linf, "Linf"), (Norm::L2, "L2")] {
            let radii =
                model.worst_case.iter().filter(|(ball_norm, ..)| *ball_norm == norm).map(|(_, epsilon, _)| *epsilon);
            if let Some(epsilon) = headline_radius(norm, radii) {
                let place = format!("{}/{threat}/{}.json", manifest.dataset, model.model);
                entries.extend(entry(summary, manifest, model, norm, epsilon).map(|entry| (place, entry)));
            }
        }
    }
    entries
}

fn entry(
    summary: &RunSummary,
    manifest: &Manifest,
    model: &ModelSummary,
    norm: Norm,
    epsilon: Epsilon,
) -> Option<Entry> {
    let worst = model
        .worst_case
        .iter()
        .find(|(ball_norm, radius, _)| (*ball_norm, *radius) == (norm, epsilon))
        .map(|(.., at)| *at)?;
    let listed = manifest.models.iter().find(|entry| entry.name == model.model);
    let standard = summary.cells.iter().find(|summary| {
        let Cell { model: name, norm: ball, epsilon: radius, kind, .. } = &summary.cell;
        let same = *name == model.model && (*ball, *radius, *kind) == (norm, epsilon, CellKind::ClassLogit);
        same && is_standard(manifest, &summary.cell.attack)
    });
    let standard = standard.map(|cell| cell.robust_accuracy);
    Some(Entry {
        link: String::new(),
        name: model.model.clone(),
        authors: String::new(),
        additional_data: None,
        number_forward_passes: manifest.suite.run.eot,
        dataset: manifest.dataset.clone(),
        venue: String::new(),
        architecture: listed.map(|entry| entry.arch.clone()).unwrap_or_default(),
        eps: epsilon.to_string(),
        clean_acc: percent(model.clean_accuracy),
        reported: String::new(),
        autoattack_acc: standard.map(percent),
        external: percent(worst),
        footnote: footnote(model, manifest, standard.is_some()),
        am_eval: Source {
            run: manifest.run.clone(),
            complete: manifest.status == RunStatus::Complete,
            samples: model.n,
            weights_hash: listed.map(|entry| entry.weights_hash.clone()),
            clean_accuracy: model.clean_accuracy,
            standard_accuracy: standard,
            worst_case_accuracy: worst,
            signs: model.health.iter().map(|sign| sign.code()).collect(),
        },
    })
}

/// Whether the attack is AutoAttack's composition.
fn is_standard(manifest: &Manifest, attack: &str) -> bool {
    manifest
        .suite
        .attacks
        .iter()
        .any(|config| config.name == attack && config.goal.composition() == Some(Preset::Standard))
}

/// A share in percent with two digits, as RobustBench writes it.
fn percent(share: Estimate) -> String {
    format!("{:.2}", share.point * 100.0)
}

fn footnote(model: &ModelSummary, manifest: &Manifest, standard: bool) -> String {
    let mut text = format!("Evaluated by am-eval on {} samples", model.n);
    if manifest.status != RunStatus::Complete {
        text += ", before its run was finished";
    }
    if !standard {
        text += "; no attack of kind \"standard\" was run, so that autoattack_acc is unknown";
    }
    if model.health.iter().any(|sign| sign.doubts_robustness()) {
        let signs: Vec<String> =
            model.health.iter().filter(|sign| sign.doubts_robustness()).map(|sign| sign.code()).collect();
        text += &format!("; in doubt: {}", signs.join(", "));
    }
    text + "."
}
