//! A baseline: a run's [`Snapshot`] as one small JSON file, meant to be committed.
//!
//! Sets of samples are hexadecimal texts, the first sample in the lowest bit of the first byte, zeros at the end left out.
//! A hash over the content shows whether the file is what was saved.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CellSamples, Distance, Distances, ModelSamples, Provenance, Snapshot};
use crate::files::read_regular;
use crate::record::{Cell, CellUnit, StoreError, file_versions, write_atomically};
use crate::stats::{Estimate, wilson};
use crate::suite::Target;
use crate::summary::{HealthSign, SampleSet};
use crate::terms::{CellKind, Epsilon, LayerName, Norm, SampleId};
use crate::wording::escape;

file_versions! {
    /// Version of a baseline's form: since 2 samples are named by their content too.
    BaselineFormat = 2;
}

/// The form in which baselines are written.
pub const BASELINE_FORMAT: BaselineFormat = BaselineFormat::CURRENT;

/// From this form on the data's hash is one of the images' content.
const CONTENT_FORMAT: BaselineFormat = BaselineFormat::new(2);

/// A larger file was not written by `am-eval baseline save`.
const LARGEST_FILE: u64 = 1 << 30;

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no baseline, or only a part of one.
    #[error("{} is not a baseline: {problem}; save it again with `am-eval baseline save RUN FILE`", path.display())]
    NotOne {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It was written by a newer version.
    #[error(
        "{} has format {found}, and this version of am-eval reads formats up to {BASELINE_FORMAT}; use a newer am-eval",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// Its content is not what its hash says.
    #[error(
        "{} was changed after it was saved (its hash does not fit); restore it from version control, or save it again with \
         `am-eval baseline save RUN FILE`",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// What is hashed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    provenance: Provenance,
    samples: Vec<SampleId>,
    models: Vec<ModelEntry>,
    cells: Vec<CellEntry>,
    distances: Vec<DistanceEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    model: String,
    n: u64,
    clean_accuracy: Estimate,
    #[serde(rename = "seen")]
    samples: String,
    correct: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fooled: Vec<(Norm, Epsilon, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellEntry {
    cell: StoredCell,
    n: u64,
    n_clean_correct: u64,
    robust_accuracy: Estimate,
    flip_rate: Option<Estimate>,
    health: Vec<HealthSign>,
    #[serde(rename = "seen")]
    samples: String,
    flipped: String,
}

/// A cell, in the words of the file, which are those of records whatever a [`Cell`] is made of.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCell {
    model: String,
    dataset: String,
    attack: String,
    kind: CellKind,
    #[serde(with = "crate::record::target_text")]
    target: Option<Target>,
    layer: Option<LayerName>,
    unit: Option<CellUnit>,
    norm: Norm,
    epsilon: Epsilon,
}

impl From<&Cell> for StoredCell {
    fn from(cell: &Cell) -> Self {
        StoredCell {
            model: cell.model.clone(),
            dataset: cell.dataset.clone(),
            attack: cell.attack.clone(),
            kind: cell.kind,
            target: cell.target,
            layer: cell.layer.clone(),
            unit: cell.unit.clone(),
            norm: cell.norm,
            epsilon: cell.epsilon,
        }
    }
}

impl StoredCell {
    fn cell(self) -> Cell {
        let StoredCell { model, dataset, attack, kind, target, layer, unit, norm, epsilon } = self;
        Cell { model, dataset, attack, kind, target, layer, unit, norm, epsilon }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DistanceEntry {
    model: String,
    method: String,
    norm: Norm,
    searched: f64,
    #[serde(rename = "seen")]
    samples: String,
    /// Of the samples seen, in order; none is a censored one.
    values: Vec<Option<f64>>,
}

/// Write a snapshot to `path`: whole and synced, or not at all. The same snapshot gives the same bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn save(snapshot: &Snapshot, path: &Path) -> Result<(), BaselineError> {
    let content = serde_json::to_value(content(snapshot)).map_err(|error| not_one(path, error.to_string()))?;
    write_atomically(path, text(&content).as_bytes())?;
    Ok(())
}

/// Read what [`save`] wrote.
///
/// # Errors
/// If the file cannot be read, is no whole baseline, was written by a newer version, or was changed.
pub fn load(path: &Path) -> Result<Snapshot, BaselineError> {
    let failed = StoreError::io("read", path);
    let bytes = match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => return Err(not_one(path, "it is a folder".to_owned())),
        Ok(about) if about.len() > LARGEST_FILE => return Err(not_one(path, "it is larger than 1 GiB".to_owned())),
        Ok(_) => read_regular(path, LARGEST_FILE).map_err(failed)?,
        Err(error) => return Err(failed(error).into()),
    };
    parse(&bytes, path)
}

/// Read the bytes of a baseline; `path` is named in errors.
///
/// # Errors
/// As [`load`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<Snapshot, BaselineError> {
    let mut file: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        let cut = if error.is_eof() { "it is cut off: " } else { "" };
        not_one(path, format!("{cut}{error}"))
    })?;
    let Some(format) = file.get("am-eval-baseline").and_then(Value::as_u64) else {
        return Err(not_one(path, "it lacks `am-eval-baseline`, the number of its format".to_owned()));
    };
    if format == 0 {
        return Err(not_one(path, "no baseline has the format 0".to_owned()));
    }
    if BASELINE_FORMAT.is_older_than(format) {
        return Err(BaselineError::Newer { path: path.to_owned(), found: format });
    }
    let (Some(hash), Some(content)) = (file.remove("hash"), file.remove("content")) else {
        return Err(not_one(path, "it lacks `hash` or `content`".to_owned()));
    };
    if file.len() != 1 || hash.as_str() != Some(&hash_of(&content)) {
        return Err(BaselineError::Changed { path: path.to_owned() });
    }
    let mut content: Content = serde_json::from_value(content).map_err(|error| not_one(path, error.to_string()))?;
    if format < u64::from(CONTENT_FORMAT.number()) {
        // It is of ids, labels and lengths of files: no hash that is made today can be equal to it.
        content.provenance.data_hash.clear();
    }
    snapshot(content).map_err(|problem| not_one(path, problem))
}

/// Reads a baseline whose hash is made right first, so that what lies behind it is reached: for tests with any bytes.
#[doc(hidden)]
pub fn parse_rehashed(bytes: &[u8], path: &Path) -> Result<Snapshot, BaselineError> {
    let Ok(mut file) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return parse(bytes, path) };
    if let Some(hash) = file.get("content").map(hash_of) {
        file.insert("hash".to_owned(), hash.into());
    }
    parse(Value::Object(file).to_string().as_bytes(), path)
}

fn not_one(path: &Path, problem: String) -> BaselineError {
    BaselineError::NotOne { path: path.to_owned(), problem }
}

/// Over the compact text, whose keys are sorted: white space and order do not count.
fn hash_of(content: &Value) -> String {
    blake3::hash(content.to_string().as_bytes()).to_hex().to_string()
}

/// The file's text: one line for each model, cell and method, so that version control shows what changed.
fn text(content: &Value) -> String {
    let mut text = format!("{{\n\"am-eval-baseline\": {BASELINE_FORMAT},\n\"hash\": \"{}\",\n", hash_of(content));
    text += "\"content\": {\n";
    let sections: Vec<String> = content
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| match value {
            Value::Array(rows) if rows.first().is_some_and(Value::is_object) => {
                let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
                format!("\"{key}\": [\n{}\n]", rows.join(",\n"))
            }
            Value::Object(_) => format!("\"{key}\": {value:#}"),
            other => format!("\"{key}\": {other}"),
        })
        .collect();
    escape::json(&(text + &sections.join(",\n") + "\n}\n}\n")).into_owned()
}

fn content(snapshot: &Snapshot) -> Content {
    let models = snapshot.models.iter().map(|model| ModelEntry {
        model: model.model.clone(),
        n: model.samples.len(),
        clean_accuracy: wilson(model.correct.len(), model.samples.len()),
        samples: hexadecimal(&model.samples),
        correct: hexadecimal(&model.correct),
        fooled: model.fooled.iter().map(|((norm, epsilon), set)| (*norm, *epsilon, hexadecimal(set))).collect(),
    });
    let cells = snapshot.cells.iter().map(|cell| {
        let model = snapshot.models.iter().find(|model| model.model == cell.cell.model);
        let correct = model.map(|model| model.correct.and(&cell.samples).len()).unwrap_or_default();
        let (n, flipped) = (cell.samples.len(), cell.flipped.len());
        CellEntry {
            cell: StoredCell::from(&cell.cell),
            n,
            n_clean_correct: correct,
            robust_accuracy: wilson(correct.saturating_sub(flipped), n),
            flip_rate: (correct > 0).then(|| wilson(flipped, correct)),
            health: cell.health.clone(),
            samples: hexadecimal(&cell.samples),
            flipped: hexadecimal(&cell.flipped),
        }
    });
    let distances = snapshot.distances.iter().map(|distances| {
        let measured = || distances.values.iter().zip(0u32..).filter(|(value, _)| **value != Distance::Missing);
        let number = |value: &Distance| match value {
            Distance::At(distance) => Some(*distance),
            Distance::Censored | Distance::Missing => None,
        };
        DistanceEntry {
            model: distances.model.clone(),
            method: distances.method.clone(),
            norm: distances.norm,
            searched: distances.searched,
            samples: hexadecimal(&measured().map(|(_, sample)| sample).collect()),
            values: measured().map(|(value, _)| number(value)).collect(),
        }
    });
    Content {
        provenance: snapshot.provenance.clone(),
        samples: snapshot.samples.clone(),
        models: models.collect(),
        cells: cells.collect(),
        distances: distances.collect(),
    }
}

/// The snapshot, or what contradicts itself.
fn snapshot(content: Content) -> Result<Snapshot, String> {
    let Content { provenance, samples, models, cells, distances } = content;
    let set = |text: &str| set_of(text, samples.len());
    let distinct: HashSet<&SampleId> = samples.iter().collect();
    if distinct.len() != samples.len() {
        return Err("a sample stands twice".to_owned());
    }
    let models = models
        .into_iter()
        .map(|entry| {
            let fooled = entry.fooled.iter().map(|(norm, epsilon, text)| Ok(((*norm, *epsilon), set(text)?)));
            let fooled = fooled.collect::<Result<_, String>>()?;
            Ok(ModelSamples {
                samples: set(&entry.samples)?,
                correct: set(&entry.correct)?,
                fooled,
                model: entry.model,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let cells = cells
        .into_iter()
        .map(|entry| {
            Ok(CellSamples {
                samples: set(&entry.samples)?,
                flipped: set(&entry.flipped)?,
                cell: entry.cell.cell(),
                health: entry.health,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    if let Some(stray) = cells.iter().find(|entry| !models.iter().any(|model| model.model == entry.cell.model)) {
        return Err(format!("a cell names the unknown model `{}`", stray.cell.model));
    }
    let mut all = Vec::new();
    for entry in distances {
        let measured = set(&entry.samples)?;
        if measured.len() != entry.values.len() as u64 {
            return Err(format!("{} samples have {} distances", measured.len(), entry.values.len()));
        }
        let mut values = vec![Distance::Missing; samples.len()];
        for (sample, value) in measured.iter().zip(&entry.values) {
            values[sample as usize] = match value {
                Some(distance) if *distance >= 0.0 => Distance::At(*distance),
                Some(distance) => return Err(format!("{distance} is no distance")),
                None => Distance::Censored,
            };
        }
        let DistanceEntry { model, method, norm, searched, .. } = entry;
        all.push(Distances { model, method, norm, searched, values });
    }
    Ok(Snapshot { provenance, samples, models, cells, distances: all })
}

fn hexadecimal(set: &SampleSet) -> String {
    set.to_bytes().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The set that a text tells, of samples below `count`.
fn set_of(text: &str, count: usize) -> Result<SampleSet, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    let set = SampleSet::from_bytes(&bytes.ok_or("a set of samples is not in hexadecimal digits")?);
    match set.iter().last() {
        Some(last) if last as usize >= count => Err(format!("a set holds sample {last} of {count}")),
        _ => Ok(set),
    }
}
