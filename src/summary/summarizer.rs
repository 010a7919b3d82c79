//! One pass over the records, in any order and in any number of parts, to the summary of a run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::envelope::{observation, optimality};
use super::health;
use super::inside::Inside;
use super::order::natural;
use super::tally::{CellTally, ModelTally};
use super::transfer::TransferTallies;
use super::worst_case::{SampleWorst, of_samples, over_all_norms};
use super::{CellSummary, DistanceSummary, ModelSummary, RunSummary, SurvivalPoint};
use crate::record::{Block, Cell, DistanceRecord, Manifest, Record, TransferRecord};
use crate::stats::{Estimate, Observation, kaplan_meier, median_distance, wilson};
use crate::terms::{LayerName, Norm, SampleId};

/// A boundary that is so many times as far as the gradient promises was not found by following it.
const FAR: f64 = 10.0;

/// Gathers records and distances. Memory grows with samples, cells and distances, not with records.
#[derive(Debug, Clone, Default)]
pub struct Summarizer {
    cells: Vec<CellTally>,
    cell_places: HashMap<Cell, usize>,
    models: Vec<ModelTally>,
    model_places: HashMap<String, usize>,
    samples: HashMap<SampleId, u32>,
    distances: BTreeMap<(Arc<str>, Arc<str>, Norm), Vec<Observation>>,
    transfers: TransferTallies,
    inside: Inside,
    /// By model and attack.
    unconfirmed_hits: BTreeMap<(String, String), u64>,
}

/// The summary of all `records` and `distances`, by models and attacks in the given orders; names that are not listed
/// come last. [`Summarizer`] does the same in parts, and knows seconds.
pub fn summarize<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    distances: impl IntoIterator<Item = &'a DistanceRecord>,
    models: &[String],
    attacks: &[String],
) -> RunSummary {
    let mut summarizer = Summarizer::default();
    records.into_iter().for_each(|record| summarizer.add_record(record));
    distances.into_iter().for_each(|distance| summarizer.add_distance(distance));
    summarizer.finish(models, attacks)
}

impl Summarizer {
    /// Add one record. A sample must not come twice in a cell.
    pub fn add_record(&mut self, record: &Record) {
        self.add(record);
    }

    /// Adds the record and tells the place of its cell.
    fn add(&mut self, record: &Record) -> usize {
        let place = self.cell_place(&record.cell);
        let known = self.samples.get(&record.sample_id).copied();
        let sample = known.unwrap_or_else(|| self.sample_place(&record.sample_id));
        let tally = &mut self.cells[place];
        tally.add(record);
        self.models[tally.model].add(record, sample);
        self.inside.add(record, sample);
        place
    }

    /// Add one distance: a misclassified sample is at 0, a censored one beyond what was searched.
    pub fn add_distance(&mut self, distance: &DistanceRecord) {
        let observation = observation(distance);
        let sample = self.sample_place(&distance.sample_id);
        let model = self.model_place(&distance.model);
        self.models[model].envelope.measure(distance.norm, sample, observation);
        if let Some(rule) = distance.towards() {
            self.models[model].envelope.measured_towards(rule);
        }
        if observation.event && distance.clean_pred == distance.label {
            self.models[model].reach(distance.norm, sample, observation.distance);
            if distance.linearized > 0.0 && distance.linearized.is_finite() {
                self.models[model].measured += 1;
                self.models[model].far += u64::from(observation.distance > FAR * distance.linearized);
            }
        }
        let key = (distance.model.clone(), distance.method.clone(), distance.norm);
        self.distances.entry(key).or_default().push(observation);
    }

    /// Add what a model says of an image that was made on another: a flip counts in the worst case of both.
    pub fn add_transfer(&mut self, transfer: &TransferRecord) {
        self.transfers.add(transfer);
        if transfer.fooled {
            let sample = self.sample_place(&transfer.sample_id);
            let victim = self.model_place(&transfer.victim);
            self.models[victim].fool(transfer.cell.norm, transfer.cell.epsilon, sample);
        }
    }

    /// Add a block: its records, distances and transfers, its seconds shared out to its cells by passes, and its unconfirmed hits
    /// if they belong to one attack.
    pub fn add_block(&mut self, block: &Block) {
        let mut passes: BTreeMap<usize, u64> = BTreeMap::new();
        for record in &block.records {
            let place = self.add(record);
            *passes.entry(place).or_default() += u64::from(record.forwards) + u64::from(record.backwards);
        }
        block.distances.iter().for_each(|distance| self.add_distance(distance));
        block.transfers.iter().for_each(|transfer| self.add_transfer(transfer));
        self.inside.add_tallies(&block.damage, &block.patches);
        let total = block.forwards() + block.backwards();
        for (place, passes) in passes {
            if total > 0 {
                self.cells[place].seconds.add(block.seconds * passes as f64 / total as f64);
            }
        }
        if let Some(first) = block.records.first()
            && block.unconfirmed_hits > 0
            && block.records.iter().all(|r| r.cell.attack == first.cell.attack && r.cell.model == first.cell.model)
        {
            let name = (first.cell.model.clone(), first.cell.attack.clone());
            *self.unconfirmed_hits.entry(name).or_default() += block.unconfirmed_hits;
        }
    }

    /// Add all that `other` gathered: the same as if its records had been added here.
    pub fn merge(&mut self, other: &Summarizer) {
        let mut numbers = vec![0; other.samples.len()];
        for (id, &theirs) in &other.samples {
            numbers[theirs as usize] = self.sample_place(id);
        }
        for theirs in &other.models {
            let place = self.model_place(&theirs.name);
            self.models[place].merge(theirs, &numbers);
        }
        for theirs in &other.cells {
            let place = self.cell_place(&theirs.cell);
            self.cells[place].merge(theirs);
        }
        for (key, theirs) in &other.distances {
            self.distances.entry(key.clone()).or_default().extend(theirs);
        }
        self.transfers.merge(&other.transfers);
        self.inside.merge(&other.inside, &numbers);
        for (key, theirs) in &other.unconfirmed_hits {
            *self.unconfirmed_hits.entry(key.clone()).or_default() += theirs;
        }
    }

    fn sample_place(&mut self, id: &SampleId) -> u32 {
        let next = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        *self.samples.entry(id.clone()).or_insert(next)
    }

    fn cell_place(&mut self, cell: &Cell) -> usize {
        if let Some(&place) = self.cell_places.get(cell) {
            return place;
        }
        let model = self.model_place(&cell.model);
        self.cells.push(CellTally::new(cell.clone(), model));
        self.cell_places.insert(cell.clone(), self.cells.len() - 1);
        self.cells.len() - 1
    }

    fn model_place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.model_places.get(name) {
            return place;
        }
        self.models.push(ModelTally { name: name.to_owned(), ..ModelTally::default() });
        self.model_places.insert(name.to_owned(), self.models.len() - 1);
        self.models.len() - 1
    }

    /// The worst case of every sample of every model that attacks saw, models in the order in which they came.
    pub fn worst_samples(&self) -> Vec<SampleWorst> {
        let mut ids: Vec<(&SampleId, u32)> = self.samples.iter().map(|(id, &number)| (id, number)).collect();
        ids.sort_by_key(|(_, number)| *number);
        let ids: Vec<&SampleId> = ids.into_iter().map(|(id, _)| id).collect();
        self.models.iter().flat_map(|model| of_samples(model, &ids)).collect()
    }

    /// The summary, by models and attacks in the given orders; names that are not listed come last.
    pub fn finish(mut self, models: &[String], attacks: &[String]) -> RunSummary {
        let model_rank = rank(models);
        let attack_rank = rank(attacks);
        let distances = self.distance_summaries(&model_rank);
        self.cells.sort_by(|a, b| {
            let names = |cell: &Cell| (model_rank(&cell.model), attack_rank(&cell.attack), cell.kind);
            let (a, b) = (&a.cell, &b.cell);
            let layer = |cell: &Cell| cell.layer.as_ref().map(LayerName::as_str).unwrap_or_default().to_owned();
            let by_names = names(a).cmp(&names(b)).then_with(|| natural(&a.target_text(), &b.target_text()));
            let by_layer = by_names.then_with(|| natural(&layer(a), &layer(b)));
            by_layer
                .then_with(|| natural(&a.unit_text(), &b.unit_text()))
                .then_with(|| (a.norm, a.epsilon).cmp(&(b.norm, b.epsilon)))
        });
        let health = health::signs(&self.cells, &self.models, &self.unconfirmed_hits);
        let cells = self.cells.iter().zip(health).map(|(tally, health)| {
            let median = distances
                .iter()
                .filter(|known| known.model == tally.cell.model && known.norm == tally.cell.norm)
                .filter_map(|known| known.median)
                .min_by(|a, b| a.point.total_cmp(&b.point));
            CellSummary { distance_median: median, health, ..cell_summary(tally) }
        });
        let cells = cells.collect();
        self.models.sort_by_key(|model| model_rank(&model.name));
        let inside = self.inside.finish(&model_rank, &attack_rank);
        let transfers = self.transfers.finish(model_rank, attack_rank);
        let attacked = self.models.iter().filter(|model| !model.samples.is_empty());
        RunSummary { cells, models: attacked.map(model_summary).collect(), distances, transfers, left_out: 0, inside }
    }

    /// The summary of the run of `manifest`, with what the trials of its models told.
    pub fn finish_run(self, manifest: &Manifest) -> RunSummary {
        let models: Vec<String> = manifest.models.iter().map(|model| model.name.clone()).collect();
        let mut summary = self.finish(&models, &manifest.attack_names());
        summary.add_trials(&manifest.models, &manifest.evidence);
        summary.left_out = manifest.skipped.len() as u64;
        summary
    }

    fn distance_summaries(&mut self, model_rank: &impl Fn(&str) -> (usize, String)) -> Vec<DistanceSummary> {
        let mut summaries = Vec::new();
        let known = std::mem::take(&mut self.distances);
        for tally in &self.models {
            for (norm, envelope) in tally.envelope.observations() {
                for ((model, method, distance_norm), observations) in known
                    .iter()
                    .filter(|((model, _, distance_norm), _)| **model == *tally.name && *distance_norm == norm)
                {
                    let optimality = optimality(observations, &envelope);
                    summaries.push(distance_summary(
                        ((model.clone(), method.clone(), *distance_norm), observations.clone()),
                        optimality,
                    ));
                }
                let key = (Arc::from(tally.name.as_str()), Arc::from(tally.envelope.name()), norm);
                summaries.push(distance_summary((key, envelope), 1.0));
            }
        }
        summaries.sort_by_key(|summary| (model_rank(&summary.model), summary.method.clone(), summary.norm));
        summaries
    }
}

/// Where a name stands in a list; those that are not in it come after, by name.
fn rank(names: &[String]) -> impl Fn(&str) -> (usize, String) {
    move |name| match names.iter().position(|known| known == name) {
        Some(place) => (place, String::new()),
        None => (names.len(), name.to_owned()),
    }
}

fn cell_summary(tally: &CellTally) -> CellSummary {
    let of_correct = |count: u64| (tally.clean_correct > 0).then(|| wilson(count, tally.clean_correct));
    CellSummary {
        cell: tally.cell.clone(),
        n: tally.n,
        n_clean_correct: tally.clean_correct,
        clean_accuracy: wilson(tally.clean_correct, tally.n),
        robust_accuracy: wilson(tally.clean_correct - tally.flips, tally.n),
        flip_rate: of_correct(tally.flips),
        flip_rate_all: wilson(tally.flips_all, tally.n),
        flip_rate_u8: of_correct(tally.flips_u8),
        target_rate: (tally.has_target && tally.targets > 0).then(|| wilson(tally.target_hits, tally.targets)),
        distance_median: None,
        gain_z_mean: (tally.gain_z_n > 0).then(|| tally.gain_z.value() / tally.gain_z_n as f64),
        forwards: tally.forwards,
        backwards: tally.backwards,
        seconds: tally.seconds.value(),
        health: Vec::new(),
    }
}

fn model_summary(tally: &ModelTally) -> ModelSummary {
    let worst_case = tally.broken().map(|(norm, epsilon, threat, flipped)| {
        let robust = |sample: &u32| tally.correct.contains(*sample) && !flipped.contains(*sample);
        let estimate: Estimate = wilson(threat.samples.iter().filter(robust).count() as u64, threat.samples.len());
        (norm, epsilon, estimate)
    });
    let n = tally.samples.len();
    ModelSummary {
        model: tally.name.clone(),
        n,
        clean_accuracy: wilson(tally.correct.len(), n),
        worst_case: worst_case.collect(),
        all_norms: over_all_norms(tally),
        health: Vec::new(),
    }
}

fn distance_summary(
    ((model, method, norm), mut observations): ((Arc<str>, Arc<str>, Norm), Vec<Observation>),
    optimality: f64,
) -> DistanceSummary {
    let n = observations.len() as u64;
    let censored = observations.iter().filter(|observation| !observation.event).count() as u64;
    let steps = kaplan_meier(&mut observations);
    let point = |step: &crate::stats::Step| SurvivalPoint {
        distance: step.distance,
        survival: step.survival,
        at_risk: step.at_risk,
    };
    DistanceSummary {
        model: model.to_string(),
        method: method.to_string(),
        norm,
        n,
        censored,
        median: median_distance(&steps),
        optimality: Some(optimality),
        curve: steps.iter().map(point).collect(),
    }
}

#[cfg(test)]
#[path = "summarizer_tests.rs"]
mod tests;
