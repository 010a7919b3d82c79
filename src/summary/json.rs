//! `summary.json`: the summary for programs, as one document with a JSON Schema (`docs/summary.schema.json`).

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use super::{CellSummary, DistanceSummary, HealthSign, ModelSummary, RunSummary, TransferSummary};
use crate::record::{Cell, Manifest, RunStatus, StoreError, write_atomically};
use crate::stats::Estimate;
use crate::terms::LayerName;

/// Version of the document's form.
pub const SUMMARY_FORMAT: u32 = 1;

/// What a run of am-eval found. Rates are shares in [0, 1]; epsilons and distances are in pixel units of [0, 1].
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "am-eval summary")]
struct Document {
    /// Version of this document's form.
    format: u32,
    /// The run's identity: the suite's name and a hash of everything that determines its results.
    run: String,
    /// The suite's name.
    suite: String,
    /// The data set's name.
    dataset: String,
    /// The device's name.
    device: String,
    /// Whether every block of the run is in these numbers.
    complete: bool,
    /// Number of samples in the run.
    samples: u64,
    /// Images that could not be read and are in no number.
    left_out: u64,
    /// Each model over all its attacks, in the suite's order.
    models: Vec<ModelPart>,
    /// Each model, attack, unit or target, and radius: the rows of `summary.csv`.
    cells: Vec<CellPart>,
    /// Boundary distances by model and method.
    distances: Vec<DistancePart>,
    /// How images of one model fool others: the rows of `transfer.csv`.
    transfers: Vec<TransferPart>,
}

/// A number with its 95 % interval. An end without a finite value is null.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Interval {
    /// The estimate.
    point: Option<f64>,
    /// Lower end.
    lo: Option<f64>,
    /// Upper end.
    hi: Option<f64>,
}

/// A sign that a number may tell more about the attack than about the model.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Sign {
    /// Its name.
    sign: String,
    /// How many samples or passes it is about; null where it is about all.
    count: Option<u64>,
    /// Whether it puts the run's claims in doubt.
    grave: bool,
    /// What it means, and what to do.
    text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Model")]
struct ModelPart {
    /// The model's name in the suite.
    model: String,
    /// The weights file as the suite names it; null if the run's manifest does not list the model.
    weights: Option<String>,
    /// blake3 of the weights file.
    weights_hash: Option<String>,
    /// Samples.
    n: u64,
    /// Clean-correct share of all.
    clean_accuracy: Interval,
    /// Share that is clean-correct and flipped by no attack, for each norm and radius, ascending.
    worst_case: Vec<WorstCase>,
    /// Signs of the model as a whole.
    health: Vec<Sign>,
}

/// The worst case over all attacks of a norm and radius.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct WorstCase {
    /// The balls' norm.
    norm: String,
    /// The balls' radius.
    epsilon: f64,
    /// Share that is clean-correct and flipped by no attack.
    robust_accuracy: Interval,
}

/// What tells a cell from the others.
#[derive(Debug, Serialize, JsonSchema)]
struct CellName {
    /// The model's name in the suite.
    model: String,
    /// The attack's name in the suite; controls carry the name of the attack that they stand beside.
    attack: String,
    /// `class-logit`, `unit`, `features`, or the kind of control.
    kind: String,
    /// The attack's rule of targets; null for units.
    target: Option<String>,
    /// The layer of a unit attack.
    layer: Option<String>,
    /// The unit of a unit attack.
    unit: Option<String>,
    /// The ball's norm.
    norm: String,
    /// The ball's radius.
    epsilon: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Cell")]
struct CellPart {
    #[serde(flatten)]
    name: CellName,
    /// Records in the cell.
    n: u64,
    /// Records whose clean prediction is the label.
    n_clean_correct: u64,
    /// Clean-correct share of all.
    clean_accuracy: Interval,
    /// Share of all that is clean-correct and not flipped.
    robust_accuracy: Interval,
    /// Flipped share of the clean-correct; null if there is none.
    flip_rate: Option<Interval>,
    /// Flipped share of all.
    flip_rate_all: Interval,
    /// Share of the clean-correct whose flip survives rounding to 8 bits.
    flip_rate_u8: Option<Interval>,
    /// Share of the clean-correct of other classes than the target that reached it; null without a target.
    target_rate: Option<Interval>,
    /// Median boundary distance of the model in the cell's norm, if the run measured it.
    distance_median: Option<Interval>,
    /// Mean of the unit's gain in standard deviations; null for class logits.
    gain_z_mean: Option<f64>,
    /// Forward passes spent.
    forwards: u64,
    /// Backward passes spent.
    backwards: u64,
    /// Wall-clock seconds spent.
    seconds: f64,
    /// Suspicious signs.
    health: Vec<Sign>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Distance")]
struct DistancePart {
    /// The model.
    model: String,
    /// The method.
    method: String,
    /// The norm.
    norm: String,
    /// Observations, the misclassified (distance 0) included.
    n: u64,
    /// Observations without a flip.
    censored: u64,
    /// Kaplan-Meier median; null if fewer than half flipped.
    median: Option<Interval>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Transfer")]
struct TransferPart {
    /// The cell of the model that the images were made on.
    #[serde(flatten)]
    source: CellName,
    /// The model that they are shown to.
    victim: String,
    /// Samples that both classify rightly.
    n_both_correct: u64,
    /// Of these, those whose image flips the source.
    n: u64,
    /// Of these, those whose image changes the victim's prediction.
    fooled: u64,
    /// Samples that both classify rightly and whose image fools the victim, whether it flips the source or not.
    fooled_all: u64,
    /// `fooled` of `n`.
    transfer_rate: Option<Interval>,
    /// The same for random noise of the same norm.
    noise_rate: Option<Interval>,
    /// `fooled_all` of `n_both_correct`.
    transfer_rate_all: Option<Interval>,
    /// The same for random noise.
    noise_rate_all: Option<Interval>,
}

/// Write `summary.json` to `path`: whole and synced, or not at all. Returns its blake3 hash.
///
/// # Errors
/// If the file cannot be written.
pub fn write_summary_json(path: &Path, summary: &RunSummary, manifest: &Manifest) -> Result<String, StoreError> {
    let document = document(summary, manifest);
    let text = crate::wording::escape::json_text(&document)
        .map_err(|error| StoreError::Content { path: path.to_owned(), problem: error.to_string() })?;
    write_atomically(path, format!("{text}\n").as_bytes())
}

/// The JSON Schema (draft 2020-12) of `summary.json`.
pub fn summary_schema() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Document>().to_value()
}

/// [`summary_schema`] as the text of `docs/summary.schema.json`.
pub fn summary_schema_text() -> String {
    format!("{:#}\n", summary_schema())
}

fn document(summary: &RunSummary, manifest: &Manifest) -> Document {
    Document {
        format: SUMMARY_FORMAT,
        run: manifest.run.clone(),
        suite: manifest.suite_name.clone(),
        dataset: manifest.dataset.clone(),
        device: manifest.device.clone(),
        complete: manifest.status == RunStatus::Complete,
        samples: manifest.samples,
        left_out: summary.left_out,
        models: summary.models.iter().map(|model| model_part(model, manifest)).collect(),
        cells: summary.cells.iter().map(cell_part).collect(),
        distances: summary.distances.iter().map(distance_part).collect(),
        transfers: summary.transfers.iter().map(transfer_part).collect(),
    }
}

fn model_part(model: &ModelSummary, manifest: &Manifest) -> ModelPart {
    let entry = manifest.models.iter().find(|entry| entry.name == model.model);
    let worst_case = model.worst_case.iter().map(|(norm, epsilon, estimate)| WorstCase {
        norm: norm.to_string(),
        epsilon: epsilon.value(),
        robust_accuracy: interval(estimate),
    });
    ModelPart {
        model: model.model.clone(),
        weights: entry.map(|entry| entry.weights.clone()),
        weights_hash: entry.map(|entry| entry.weights_hash.clone()),
        n: model.n,
        clean_accuracy: interval(&model.clean_accuracy),
        worst_case: worst_case.collect(),
        health: signs(&model.health),
    }
}

fn cell_part(summary: &CellSummary) -> CellPart {
    CellPart {
        name: cell_name(&summary.cell),
        n: summary.n,
        n_clean_correct: summary.n_clean_correct,
        clean_accuracy: interval(&summary.clean_accuracy),
        robust_accuracy: interval(&summary.robust_accuracy),
        flip_rate: summary.flip_rate.as_ref().map(interval),
        flip_rate_all: interval(&summary.flip_rate_all),
        flip_rate_u8: summary.flip_rate_u8.as_ref().map(interval),
        target_rate: summary.target_rate.as_ref().map(interval),
        distance_median: summary.distance_median.as_ref().map(interval),
        gain_z_mean: summary.gain_z_mean.and_then(finite),
        forwards: summary.forwards,
        backwards: summary.backwards,
        seconds: summary.seconds,
        health: signs(&summary.health),
    }
}

fn distance_part(summary: &DistanceSummary) -> DistancePart {
    DistancePart {
        model: summary.model.clone(),
        method: summary.method.clone(),
        norm: summary.norm.to_string(),
        n: summary.n,
        censored: summary.censored,
        median: summary.median.as_ref().map(interval),
    }
}

fn transfer_part(summary: &TransferSummary) -> TransferPart {
    TransferPart {
        source: cell_name(&summary.cell),
        victim: summary.victim.clone(),
        n_both_correct: summary.n_both_correct,
        n: summary.n,
        fooled: summary.fooled,
        fooled_all: summary.fooled_all,
        transfer_rate: summary.transfer_rate.as_ref().map(interval),
        noise_rate: summary.noise_rate.as_ref().map(interval),
        transfer_rate_all: summary.transfer_rate_all.as_ref().map(interval),
        noise_rate_all: summary.noise_rate_all.as_ref().map(interval),
    }
}

fn cell_name(cell: &Cell) -> CellName {
    CellName {
        model: cell.model.clone(),
        attack: cell.attack.clone(),
        kind: cell.kind.to_string(),
        target: cell.target.map(|target| target.to_string()),
        layer: cell.layer.as_ref().map(LayerName::to_string),
        unit: cell.unit.as_ref().map(ToString::to_string),
        norm: cell.norm.to_string(),
        epsilon: cell.epsilon.value(),
    }
}

fn interval(estimate: &Estimate) -> Interval {
    Interval { point: finite(estimate.point), lo: finite(estimate.lo), hi: finite(estimate.hi) }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn signs(signs: &[HealthSign]) -> Vec<Sign> {
    let sign = |sign: &HealthSign| Sign {
        sign: sign.word().to_owned(),
        count: sign.count(),
        grave: sign.is_grave(),
        text: sign.to_string(),
    };
    signs.iter().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::testing::{cell, distance, flipped, record};
    use crate::report::fixture;
    use crate::stats::wilson;
    use crate::summary::summarize;

    #[test]
    fn the_schema_of_summaries_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/summary.schema.json");
        if std::env::var_os("AM_EVAL_WRITE_SCHEMA").is_some() {
            std::fs::write(path, summary_schema_text()).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            there == summary_schema_text(),
            "{path} is not current: AM_EVAL_WRITE_SCHEMA=1 cargo test --lib schema"
        );
    }

    /// Writes, reads and validates the document.
    fn written(summary: &RunSummary, manifest: &Manifest) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        write_summary_json(&path, summary, manifest).unwrap();
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let errors: Vec<String> = jsonschema::validator_for(&summary_schema())
            .unwrap()
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        value
    }

    #[test]
    fn documents_fulfil_the_schema_and_keep_the_numbers() {
        let manifest = fixture::manifest("quickstart", &["a", "b"]);
        let value = written(&fixture::with_transfers(fixture::realistic(&["a", "b"])), &manifest);
        assert_eq!(value["models"].as_array().unwrap().len(), 2);
        assert_eq!(value["run"], manifest.run.as_str());
        assert!(!value["transfers"].as_array().unwrap().is_empty());
        let cell = Arc::new(cell(0.1));
        let records = [record(&cell, 0), flipped(record(&cell, 1)), flipped(record(&cell, 2))];
        let distances = [distance(0, None), distance(1, Some(0.01)), distance(2, Some(0.02))];
        let value = written(&summarize(&records, &distances, &[], &[]), &manifest);
        let robust = wilson(1, 3);
        let expected = serde_json::json!({ "point": robust.point, "lo": robust.lo, "hi": robust.hi });
        assert_eq!(value["cells"][0]["robust_accuracy"], expected);
        assert_eq!(value["models"][0]["worst_case"][0]["robust_accuracy"], expected);
        assert_eq!(value["distances"][0]["median"]["point"], 0.02);
        assert_eq!(value["distances"][0]["median"]["hi"], Value::Null, "infinity is no JSON");
    }

    #[test]
    fn the_schema_refuses_what_is_no_summary() {
        let validator = jsonschema::validator_for(&summary_schema()).unwrap();
        let manifest = fixture::manifest("quickstart", &["a"]);
        let value = written(&fixture::realistic(&["a"]), &manifest);
        for (place, wrong) in [("/format", "1"), ("/samples", "many"), ("/cells/0/epsilon", "8/255")] {
            let mut changed = value.clone();
            *changed.pointer_mut(place).unwrap() = wrong.into();
            assert!(!validator.is_valid(&changed), "{place}");
        }
    }
}
