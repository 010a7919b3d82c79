//! Finished runs side by side, sample by sample.
//!
//! The first run is the reference. [`compare`] pairs models, then what was measured of them, and gives each difference
//! with its interval, its test, and the samples that changed. It uses the gate's snapshots, its conditions of
//! comparability and its paired changes; but it judges nothing, so its tests are two-sided.

mod contrast;
mod csv;
mod error;
mod models;

use serde::Serialize;

pub use csv::{write_changed, write_compare};
pub use error::CompareError;
pub use models::ModelPair;

use crate::gate::{Change, Mismatch, Snapshot, Subject};
use crate::record::file_versions;
use crate::stats::{Estimate, holm};
use crate::suite::gate::Metric;
use crate::summary::SampleSet;
use crate::terms::SampleId;
use crate::wording::data_kind;

file_versions! {
    /// Version of the comparison's form as JSON.
    ComparisonFormat = 1;
}

/// The form in which it is written.
pub const COMPARISON_FORMAT: ComparisonFormat = ComparisonFormat::CURRENT;

/// Adjusted p values below this are called significant.
pub const ALPHA: f64 = 0.05;

/// What is compared, and how strictly.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which model of the reference stands against which of the other runs; empty pairs equal names, or the only ones.
    pub models: Vec<ModelPair>,
    /// Compare in spite of differing conditions, sample by sample with the same id.
    pub allow_mismatch: bool,
    /// The runs hold pictures of units: these can be compared where no numbers can.
    pub pictures: bool,
}

/// Runs against a reference.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Version of this form.
    pub format: ComparisonFormat,
    /// The reference.
    pub reference: String,
    /// The data set.
    pub dataset: String,
    /// Samples of the reference.
    pub n: u64,
    /// Whether differing conditions were overridden.
    pub mismatch_allowed: bool,
    /// One for each other run and pair of models.
    pub contrasts: Vec<Contrast>,
    /// Ids of the samples, to which sets of samples refer.
    #[serde(skip)]
    pub samples: Vec<SampleId>,
}

/// A model of one run against a model of the reference.
#[derive(Debug, Clone, Serialize)]
pub struct Contrast {
    /// The run.
    pub run: String,
    /// The models.
    pub models: ModelPair,
    /// Whether both have the same weights.
    pub same_weights: bool,
    /// Conditions that differ and were overridden.
    pub mismatches: Vec<Mismatch>,
    /// Other differences in conditions.
    pub drift: Vec<String>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
    /// Clean accuracy, the worst case in each ball, distances, then the cells.
    pub rows: Vec<Row>,
    /// Cells that only the reference has.
    pub only_reference: Vec<Subject>,
    /// Cells that only the run has.
    pub only_run: Vec<Subject>,
    /// Samples that each side classifies correctly: the reference's, the run's.
    #[serde(skip)]
    pub correct: [SampleSet; 2],
}

/// One number of both sides, over the samples that both measured.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What is measured.
    pub metric: Metric,
    /// Of what, with the reference's name of the model.
    pub subject: Subject,
    /// The reference's value.
    pub reference: Estimate,
    /// The run's value.
    pub run: Estimate,
    /// The run's value minus the reference's; its p values are two-sided.
    pub change: Change,
    /// p value of the log-rank test of both sides' censored distances, which takes them for independent samples; none for
    /// rates.
    pub log_rank: Option<f64>,
    /// Grave health signs that the reference does not have: the attack may have got weaker.
    pub new_signs: Vec<String>,
    /// Samples that are robust in the reference alone; empty for distances.
    #[serde(skip)]
    pub broken: SampleSet,
    /// Samples that are robust in the run alone; empty for distances.
    #[serde(skip)]
    pub fixed: SampleSet,
}

impl Row {
    /// Whether it speaks about the model as a whole, not about one cell.
    pub fn is_headline(&self) -> bool {
        self.metric != Metric::RobustAccuracy
    }

    /// Whether the difference is significant after adjustment.
    pub fn is_significant(&self) -> bool {
        self.change.p_adjusted < ALPHA
    }

    /// Whether it is a control beside an attack.
    pub fn is_control(&self) -> bool {
        self.subject.kind.is_some_and(crate::record::CellKind::is_control)
    }
}

impl Contrast {
    /// The rows about the model as a whole.
    pub fn headline(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_headline())
    }

    /// The rows about single cells.
    pub fn cells(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.is_headline())
    }

    /// What it shows in sum, in words: significant differences of the worst case and of distances, or of the cells where
    /// neither could be compared.
    pub fn finding(&self) -> &'static str {
        if self.rows.is_empty() {
            return "no numbers in common";
        }
        let rows = || self.rows.iter().filter(|row| row.metric != Metric::CleanAccuracy && !row.is_control());
        let headline = rows().any(Row::is_headline);
        let significant = rows().filter(|row| row.is_headline() == headline && row.is_significant());
        let signs = significant.fold((false, false), |(worse, better), row| {
            let point = row.change.estimate.point;
            (worse || point < 0.0, better || point > 0.0)
        });
        match signs {
            (true, true) => "less robust in some respects, more in others",
            (true, false) => "less robust",
            (false, true) => "more robust",
            (false, false) => "no significant difference",
        }
    }

    /// Samples that broke (or were `fixed`), each with the first row that shows it: clean accuracy first, then the worst
    /// case by growing radius; cells count where no worst case could be compared. By that row, then in the reference's
    /// order.
    pub fn changed(&self, fixed: bool) -> Vec<(u32, &Row)> {
        let rates = || self.rows.iter().filter(|row| row.metric != Metric::DistanceMedian && !row.is_control());
        let worst = rates().any(|row| row.metric == Metric::WorstCaseAccuracy);
        let mut counted = SampleSet::default();
        let mut changed = Vec::new();
        for row in rates().filter(|row| row.is_headline() || !worst) {
            let set = if fixed { &row.fixed } else { &row.broken };
            let new = set.and_not(&counted);
            changed.extend(new.iter().map(|sample| (sample, row)));
            counted.add_all(&new);
        }
        changed
    }
}

/// Compares `runs` with `reference`.
///
/// # Errors
/// If a model that was asked for is unknown, if nothing in the runs corresponds, or if they were made under different
/// conditions and this is not allowed.
pub fn compare(reference: &Snapshot, runs: &[Snapshot], options: &Options) -> Result<Comparison, CompareError> {
    let mut contrasts = Vec::new();
    for run in runs {
        for models in models::pairs(reference, run, &options.models)? {
            contrasts.push(contrast::contrast(reference, run, models, options.allow_mismatch)?);
        }
    }
    if contrasts.iter().all(|contrast| contrast.rows.is_empty()) && !options.pictures {
        return Err(CompareError::NothingShared { reference: reference.provenance.run.clone() });
    }
    adjust(contrasts.iter_mut().flat_map(|contrast| &mut contrast.rows));
    Ok(Comparison {
        format: COMPARISON_FORMAT,
        reference: reference.provenance.run.clone(),
        dataset: data_kind(&reference.provenance.dataset).to_owned(),
        n: reference.samples.len() as u64,
        mismatch_allowed: options.allow_mismatch,
        contrasts,
        samples: reference.samples.clone(),
    })
}

/// Adjusts p values by Holm: those about whole models together, and those about cells together, over all contrasts.
fn adjust<'r>(rows: impl Iterator<Item = &'r mut Row>) {
    let (headline, cells): (Vec<&mut Row>, Vec<&mut Row>) = rows.partition(|row| row.is_headline());
    for mut family in [headline, cells] {
        let adjusted = holm(&family.iter().map(|row| row.change.p).collect::<Vec<_>>());
        for (row, p) in family.iter_mut().zip(adjusted) {
            row.change.p_adjusted = p;
        }
    }
}

#[cfg(test)]
mod tests;
