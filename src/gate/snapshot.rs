//! What the gate needs of a run: for each sample and cell one bit, and where it all came from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{
    Cell, DistanceRecord, DistancesReader, Manifest, ManifestFormat, Record, RunDir, RunStatus, SamplesReader,
    StoreError, TransferRecord, content_hash,
};
use crate::suite::{AttackConfig, DataConfig};
use crate::summary::{HealthSign, RunSummary, SampleSet, Summarizer};
use crate::terms::{Epsilon, Norm, SampleId};

/// Why a run cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Blocks are missing.
    #[error(
        "run {run} is incomplete: {done} of {total} blocks are finished; issue the same `am-eval run` again, or merge the \
         missing shards"
    )]
    Incomplete {
        /// The run.
        run: String,
        /// Finished blocks.
        done: u64,
        /// All blocks.
        total: u64,
    },
    /// A table is not the one that the run wrote.
    #[error(
        "{} is not the file that the run wrote (its hash differs from the manifest's); make it again with `am-eval report`",
        path.display()
    )]
    Changed {
        /// The table.
        path: PathBuf,
    },
}

/// What determined a run's results. Dates are left out, so that the same run gives the same bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The run's identity.
    pub run: String,
    /// The suite's name.
    pub suite: String,
    /// The data set's name.
    pub dataset: String,
    /// blake3 over the ids, labels and stored content of the samples, whatever their order; empty if that is not known, for runs and
    /// baselines of older versions of am-eval.
    pub data_hash: String,
    /// The suite's seed.
    pub seed: u64,
    /// The device's name.
    pub device: String,
    /// Versions of am-eval, the engine, libtorch.
    pub versions: BTreeMap<String, String>,
    /// Data source and preprocessing, as the suite resolved them.
    pub data: Value,
    /// Each attack as the suite resolved it, by name, without its epsilons.
    pub attacks: BTreeMap<String, Value>,
    /// The boundary search as the suite resolved it.
    pub boundary: Value,
    /// The models.
    pub models: Vec<ModelProvenance>,
}

/// Where a model came from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProvenance {
    /// The name in the suite.
    pub name: String,
    /// The architecture.
    pub arch: String,
    /// blake3 of the weights file.
    pub weights_hash: String,
    /// Layout and precision of the search.
    pub search: String,
    /// Normalization of the pixels.
    pub normalize: Value,
}

/// The data source as the suite resolved it, with its preprocessing, if it has one.
fn data(config: &DataConfig) -> Value {
    let mut data = json(&config.source);
    if let (Some(fields), false) = (data.as_object_mut(), config.preprocess.is_default()) {
        fields.insert("preprocess".to_owned(), json(&config.preprocess));
    }
    data
}

/// What of an attack must be the same for a comparison. Radii, models and the name are told by the cells.
fn conditions(attack: &AttackConfig) -> Value {
    let mut conditions = json(attack);
    if let Some(fields) = conditions.as_object_mut() {
        fields.retain(|key, _| !["name", "models", "epsilons"].contains(&key.as_str()));
    }
    conditions
}

/// Configurations are plain data: they always have a JSON form.
fn json(config: &impl Serialize) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

impl Provenance {
    /// What the manifest tells.
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let suite = &manifest.suite;
        let models = manifest.models.iter().map(|model| {
            let config = suite.models.iter().find(|config| config.name == model.name);
            ModelProvenance {
                name: model.name.clone(),
                arch: model.arch.clone(),
                weights_hash: model.weights_hash.clone(),
                search: model.search.clone(),
                normalize: config.map_or(Value::Null, |config| json(&config.normalize)),
            }
        });
        Provenance {
            run: manifest.run.clone(),
            suite: manifest.suite_name.clone(),
            dataset: manifest.dataset.clone(),
            data_hash: if manifest.format < ManifestFormat::new(2) {
                String::new()
            } else {
                manifest.data_hash.clone()
            },
            seed: manifest.seed,
            device: manifest.device.clone(),
            versions: manifest.versions.clone(),
            data: data(&suite.data),
            attacks: suite.attacks.iter().map(|attack| (attack.name.clone(), conditions(attack))).collect(),
            boundary: json(&suite.boundary),
            models: models.collect(),
        }
    }
}

/// One model's samples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelSamples {
    /// The model.
    pub model: String,
    /// Samples that the model was shown.
    pub samples: SampleSet,
    /// Those whose clean prediction is the label.
    pub correct: SampleSet,
    /// Those that no cell of the ball flips, and something else does inside it: images made on other models, or for another ball or norm.
    pub fooled: BTreeMap<(Norm, Epsilon), SampleSet>,
}

/// One cell's samples.
#[derive(Debug, Clone, PartialEq)]
pub struct CellSamples {
    /// The cell.
    pub cell: Cell,
    /// Samples with a record.
    pub samples: SampleSet,
    /// Clean-correct samples that were flipped.
    pub flipped: SampleSet,
    /// Suspicious signs.
    pub health: Vec<HealthSign>,
}

/// Where one sample's boundary lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    /// It was not measured.
    Missing,
    /// Beyond what was searched.
    Censored,
    /// Here, in pixel units of [0, 1], to six digits; 0 if misclassified.
    At(f64),
}

/// The distances of one model by one method.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    /// The model.
    pub model: String,
    /// The method.
    pub method: String,
    /// The norm.
    pub norm: Norm,
    /// Where censored distances end.
    pub searched: f64,
    /// By sample; those behind the end are missing.
    pub values: Vec<Distance>,
}

/// A run, sample by sample. Sets hold places in `samples`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Where it came from.
    pub provenance: Provenance,
    /// The samples' ids, all different.
    pub samples: Vec<SampleId>,
    /// By model in the run's order, names all different.
    pub models: Vec<ModelSamples>,
    /// In the order of `summary.csv`, cells all different.
    pub cells: Vec<CellSamples>,
    /// By model and method.
    pub distances: Vec<Distances>,
}

impl Snapshot {
    /// The run in `dir` with its summary, from its tables, whose hashes are checked against the manifest.
    ///
    /// # Errors
    /// If the run is incomplete, or a table is missing, changed or unreadable.
    pub fn of_run(dir: &RunDir, manifest: &Manifest) -> Result<(Self, RunSummary), SnapshotError> {
        if manifest.status != RunStatus::Complete {
            let (done, total) = (manifest.blocks_done, manifest.blocks_total);
            return Err(SnapshotError::Incomplete { run: manifest.run.clone(), done, total });
        }
        unchanged(manifest, "samples.csv", &dir.samples_path())?;
        unchanged(manifest, "distances.csv", &dir.distances_path())?;
        let mut collector = Collector::default();
        let mut summarizer = Summarizer::default();
        for record in SamplesReader::open(&dir.samples_path(), manifest.target_rules())? {
            let record = record?;
            collector.add_record(&record);
            summarizer.add_record(&record);
        }
        for distance in DistancesReader::open(&dir.distances_path(), manifest.searched_radius())? {
            collector.add_distance(&distance?);
        }
        if manifest.has_transfer() {
            for transfer in transfers(dir)? {
                collector.add_transfer(&transfer);
                summarizer.add_transfer(&transfer);
            }
        }
        let summary = summarizer.finish_run(manifest);
        Ok((collector.finish(Provenance::from_manifest(manifest), &summary), summary))
    }

    /// What concerns the model `name`, which is called `as_name` from then on.
    pub(crate) fn of_model(&self, name: &str, as_name: &str) -> Self {
        let called = |name_of_model: &mut String| as_name.clone_into(name_of_model);
        let mut single =
            Snapshot { provenance: self.provenance.clone(), samples: self.samples.clone(), ..Self::default() };
        single.provenance.models.retain(|model| model.name == name);
        single.provenance.models.iter_mut().for_each(|model| called(&mut model.name));
        single.models.extend(self.models.iter().filter(|model| model.model == name).cloned());
        single.models.iter_mut().for_each(|model| called(&mut model.model));
        single.cells.extend(self.cells.iter().filter(|cell| cell.cell.model == name).cloned());
        single.cells.iter_mut().for_each(|cell| called(&mut cell.cell.model));
        single.distances.extend(self.distances.iter().filter(|distances| distances.model == name).cloned());
        single.distances.iter_mut().for_each(|distances| called(&mut distances.model));
        single
    }

    /// The same with its samples numbered as in `samples`; those that are not listed there are left out.
    pub(crate) fn renumbered(mut self, samples: &[SampleId]) -> Self {
        if self.samples == samples {
            return self;
        }
        let places: HashMap<&SampleId, u32> = samples.iter().zip(0..).collect();
        let numbers: Vec<Option<u32>> = self.samples.iter().map(|id| places.get(id).copied()).collect();
        let set = |set: &mut SampleSet| {
            *set = set.iter().filter_map(|sample| numbers.get(sample as usize).copied().flatten()).collect();
        };
        for model in &mut self.models {
            set(&mut model.samples);
            set(&mut model.correct);
            model.fooled.values_mut().for_each(set);
        }
        for cell in &mut self.cells {
            set(&mut cell.samples);
            set(&mut cell.flipped);
        }
        for distances in &mut self.distances {
            let mut values = vec![Distance::Missing; samples.len()];
            for (value, place) in distances.values.iter().zip(&numbers) {
                if let Some(place) = place {
                    values[*place as usize] = *value;
                }
            }
            distances.values = values;
        }
        self.samples = samples.to_vec();
        self
    }
}

/// What the run's blocks tell of transfers: tables hold no samples of them.
fn transfers(dir: &RunDir) -> Result<Vec<TransferRecord>, StoreError> {
    let mut transfers = Vec::new();
    for key in dir.block_keys()? {
        transfers.extend(dir.block(&key)?.map(|block| block.transfers).unwrap_or_default());
    }
    Ok(transfers)
}

/// Compares a table with the hash that the manifest holds.
fn unchanged(manifest: &Manifest, name: &str, path: &Path) -> Result<(), SnapshotError> {
    if manifest.outputs.get(name) == Some(&content_hash(path)?) {
        Ok(())
    } else {
        Err(SnapshotError::Changed { path: path.to_owned() })
    }
}

/// Gathers records and distances into a [`Snapshot`]. Memory grows with samples times cells, one bit each.
#[derive(Debug, Default)]
pub struct Collector {
    samples: Vec<SampleId>,
    places: HashMap<SampleId, u32>,
    models: Vec<ModelSamples>,
    cells: HashMap<Arc<Cell>, usize>,
    /// Cells by address; they are kept, so that an address stays that of its cell.
    known: HashMap<usize, (Arc<Cell>, usize)>,
    /// Place of the model, samples seen, samples flipped.
    bits: Vec<(usize, SampleSet, SampleSet)>,
    distances: Vec<Distances>,
    /// The shortest flip, by model, norm and sample.
    shortest: BTreeMap<(usize, Norm, u32), f32>,
}

impl Collector {
    /// Add one record.
    pub fn add_record(&mut self, record: &Record) {
        let sample = self.sample(&record.sample_id);
        let place = self.cell(&record.cell);
        let (place_of_model, samples, flipped) = &mut self.bits[place];
        let place_of_model = *place_of_model;
        let model = &mut self.models[place_of_model];
        model.samples.insert(sample);
        samples.insert(sample);
        if record.clean_correct() {
            model.correct.insert(sample);
            if record.flipped {
                flipped.insert(sample);
                for norm in Norm::ALL {
                    let shortest = self.shortest.entry((place_of_model, norm, sample)).or_insert(f32::INFINITY);
                    *shortest = shortest.min(record.nearest_length(norm) as f32);
                }
            }
        }
    }

    /// Add one distance.
    pub fn add_distance(&mut self, distance: &DistanceRecord) {
        let sample = self.sample(&distance.sample_id) as usize;
        let same = |other: &Distances| {
            *other.model == *distance.model && *other.method == *distance.method && other.norm == distance.norm
        };
        let place = self.distances.iter().position(same).unwrap_or_else(|| {
            self.distances.push(Distances {
                model: distance.model.to_string(),
                method: distance.method.to_string(),
                norm: distance.norm,
                searched: rounded(distance.searched),
                values: Vec::new(),
            });
            self.distances.len() - 1
        });
        let values = &mut self.distances[place].values;
        if values.len() <= sample {
            values.resize(sample + 1, Distance::Missing);
        }
        values[sample] = if distance.clean_pred != distance.label {
            // At the boundary, but not at every class.
            if distance.towards().is_none() { Distance::At(0.0) } else { Distance::Missing }
        } else if distance.censored || !distance.distance.is_finite() {
            Distance::Censored
        } else {
            Distance::At(rounded(distance.distance))
        };
    }

    /// Add what a model says of an image that was made on another.
    pub fn add_transfer(&mut self, transfer: &TransferRecord) {
        let sample = self.sample(&transfer.sample_id);
        if transfer.fooled {
            let model = self.model(&transfer.victim);
            let ball = (transfer.cell.norm, transfer.cell.epsilon);
            self.models[model].fooled.entry(ball).or_default().insert(sample);
        }
    }

    fn model(&mut self, name: &str) -> usize {
        self.models.iter().position(|known| known.model == name).unwrap_or_else(|| {
            self.models.push(ModelSamples { model: name.to_owned(), ..ModelSamples::default() });
            self.models.len() - 1
        })
    }

    fn sample(&mut self, id: &SampleId) -> u32 {
        if let Some(&place) = self.places.get(id) {
            return place;
        }
        let place = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        self.samples.push(id.clone());
        self.places.insert(id.clone(), place);
        place
    }

    fn cell(&mut self, cell: &Arc<Cell>) -> usize {
        let address = Arc::as_ptr(cell) as usize;
        if let Some((_, place)) = self.known.get(&address) {
            return *place;
        }
        let known = self.cells.get(cell).copied();
        let place = known.unwrap_or_else(|| {
            let model = self.model(&cell.model);
            self.bits.push((model, SampleSet::default(), SampleSet::default()));
            self.cells.insert(cell.clone(), self.bits.len() - 1);
            self.bits.len() - 1
        });
        self.known.insert(address, (cell.clone(), place));
        place
    }

    /// Notes, for each ball that attacks searched, the samples that no cell of that ball flips and some other record does inside it.
    fn reach(&mut self) {
        let attacks = self.cells.iter().filter(|(cell, _)| !cell.kind.is_control());
        let balls: BTreeSet<_> = attacks.map(|(cell, &place)| (self.bits[place].0, cell.norm, cell.epsilon)).collect();
        for (model, norm, epsilon) in balls {
            let mut known = SampleSet::default();
            for (_, &place) in self.cells.iter().filter(|(cell, _)| (cell.norm, cell.epsilon) == (norm, epsilon)) {
                if self.bits[place].0 == model {
                    known.add_all(&self.bits[place].2);
                }
            }
            let limit = epsilon.longest();
            let inside = self.shortest.range((model, norm, 0)..=(model, norm, u32::MAX));
            let inside = inside.filter(|(_, length)| f64::from(**length) <= limit).map(|((.., sample), _)| *sample);
            let others: Vec<u32> = inside.filter(|&sample| !known.contains(sample)).collect();
            if !others.is_empty() {
                let fooled = self.models[model].fooled.entry((norm, epsilon)).or_default();
                others.into_iter().for_each(|sample| fooled.insert(sample));
            }
        }
    }

    /// The snapshot; cells come in the summary's order and with its signs. Cells that the summary lacks are left out.
    pub fn finish(mut self, provenance: Provenance, summary: &RunSummary) -> Snapshot {
        self.reach();
        let rank = |name: &str| summary.models.iter().position(|model| model.model == name).unwrap_or(usize::MAX);
        let cells = summary.cells.iter().filter_map(|cell| {
            let place = *self.cells.get(&cell.cell)?;
            let (_, samples, flipped) = std::mem::take(&mut self.bits[place]);
            Some(CellSamples { cell: cell.cell.clone(), samples, flipped, health: cell.health.clone() })
        });
        let cells = cells.collect();
        // A model that is shown images and no cell tells of has no samples of its own.
        self.models.retain(|model| !model.samples.is_empty());
        self.models.sort_by_key(|model| rank(&model.model));
        self.distances.sort_by(|a, b| {
            let key = |distances: &Distances| (rank(&distances.model), distances.method.clone(), distances.norm);
            key(a).cmp(&key(b))
        });
        Snapshot { provenance, samples: self.samples, models: self.models, cells, distances: self.distances }
    }
}

/// Six digits: what a baseline holds, and so what is compared.
fn rounded(distance: f64) -> f64 {
    format!("{distance:.5e}").parse().unwrap_or(distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Suite;

    #[test]
    fn preprocessing_is_part_of_the_data() {
        let data_of = |keys: &str| {
            let text = format!(
                "schema = 1\nname = \"s\"\n[data]\nkind = \"mnist\"\nroot = \"m\"\n{keys}\n[[model]]\nname = \"m\"\n\
                 arch = \"a\"\nweights = \"w\"\nnormalize = {{ mean = [0.5], std = [0.5] }}\n[boundary]\n"
            );
            data(&Suite::parse("s.toml", text).unwrap().data)
        };
        assert_eq!(data_of(""), serde_json::json!({ "kind": "mnist", "split": "test" }));
        let resized = data_of("resize = 32\ncrop = 28");
        assert_eq!(resized["preprocess"], serde_json::json!({ "resize": 32, "crop": 28, "interpolation": "bilinear" }));
    }
}
