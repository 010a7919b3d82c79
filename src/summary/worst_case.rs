//! The worst case per sample: in each ball, and over the balls of all norms together.

use std::path::Path;

use super::csv::write_table;
use super::sample_set::SampleSet;
use super::tally::{ModelTally, Threat};
use super::{AllNorms, RunSummary};
use crate::record::{StoreError, float_text};
use crate::stats::{Estimate, wilson};
use crate::terms::{Epsilon, Norm, SampleId, headline_radius};

/// The word for all norms together.
pub const ALL: &str = "all";

/// What a run says of one sample in the balls of one norm.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleWorst {
    /// The model.
    pub model: String,
    /// The sample.
    pub sample_id: SampleId,
    /// Whether the clean prediction is the label.
    pub clean_correct: bool,
    /// The norm; none for the headline balls of all norms together.
    pub norm: Option<Norm>,
    /// The largest radius at which nothing of the run flips it.
    pub robust_at: Option<Epsilon>,
    /// The smallest radius at which something does.
    pub broken_at: Option<Epsilon>,
    /// Whether it holds at the norm's headline radius; over all norms, at all of them.
    pub robust: bool,
}

/// A ball that attacks searched, with the samples that they saw and those that anything flipped.
struct Ball {
    norm: Norm,
    epsilon: Epsilon,
    samples: SampleSet,
    flipped: SampleSet,
}

impl Ball {
    fn holds(&self, model: &ModelTally, sample: u32) -> bool {
        model.correct.contains(sample) && !self.flipped.contains(sample)
    }
}

fn balls(model: &ModelTally) -> Vec<Ball> {
    let ball = |(norm, epsilon, threat, flipped): (Norm, Epsilon, &Threat, SampleSet)| Ball {
        norm,
        epsilon,
        samples: threat.samples.clone(),
        flipped,
    };
    model.broken().map(ball).collect()
}

/// The ball of each norm that first screens speak about.
fn headlines(balls: &[Ball]) -> Vec<&Ball> {
    let radii = |norm: Norm| balls.iter().filter(move |ball| ball.norm == norm).map(|ball| ball.epsilon);
    let headline = |norm: Norm| {
        let radius = headline_radius(norm, radii(norm))?;
        balls.iter().find(|ball| ball.norm == norm && ball.epsilon == radius)
    };
    Norm::ALL.into_iter().filter_map(headline).collect()
}

/// Samples that every one of these balls' attacks saw.
fn seen_by_all(balls: &[&Ball]) -> SampleSet {
    let first = balls.first().map(|ball| ball.samples.clone()).unwrap_or_default();
    balls.iter().fold(first, |common, ball| common.and(&ball.samples))
}

/// The worst case over the headline balls of all norms; none if there is one norm only.
pub(super) fn over_all_norms(model: &ModelTally) -> Option<AllNorms> {
    let balls = balls(model);
    let headlines = headlines(&balls);
    let common = seen_by_all(&headlines);
    if headlines.len() < 2 || common.is_empty() {
        return None;
    }
    let holds = |sample: &u32| headlines.iter().all(|ball| ball.holds(model, *sample));
    let estimate = wilson(common.iter().filter(holds).count() as u64, common.len());
    Some(AllNorms { balls: headlines.iter().map(|ball| (ball.norm, ball.epsilon)).collect(), estimate })
}

/// Each sample that attacks saw: once for each norm, and once for all of them if there are several. `ids` has the samples by number.
pub(super) fn of_samples(model: &ModelTally, ids: &[&SampleId]) -> Vec<SampleWorst> {
    let balls = balls(model);
    let headlines = headlines(&balls);
    let worst = |sample: u32, norm: Option<Norm>| SampleWorst {
        model: model.name.clone(),
        sample_id: ids[sample as usize].clone(),
        clean_correct: model.correct.contains(sample),
        norm,
        robust_at: None,
        broken_at: None,
        robust: false,
    };
    let mut rows = Vec::new();
    for headline in &headlines {
        for sample in headline.samples.iter() {
            let same_norm = || balls.iter().filter(|ball| ball.norm == headline.norm && ball.samples.contains(sample));
            rows.push(SampleWorst {
                robust_at: same_norm().filter(|ball| ball.holds(model, sample)).map(|ball| ball.epsilon).max(),
                broken_at: same_norm().filter(|ball| ball.flipped.contains(sample)).map(|ball| ball.epsilon).min(),
                robust: headline.holds(model, sample),
                ..worst(sample, Some(headline.norm))
            });
        }
    }
    if headlines.len() > 1 {
        let all = seen_by_all(&headlines);
        let holds = |sample: u32| headlines.iter().all(|ball| ball.holds(model, sample));
        rows.extend(all.iter().map(|sample| SampleWorst { robust: holds(sample), ..worst(sample, None) }));
    }
    rows
}

/// The columns of `worst_case.csv`, in order.
pub fn worst_case_columns() -> Vec<String> {
    let columns = ["model", "norm", "epsilon", "robust_accuracy", "robust_accuracy_lo", "robust_accuracy_hi"];
    columns.map(String::from).into()
}

/// The columns of `worst_case_samples.csv`, in order.
pub fn worst_sample_columns() -> Vec<String> {
    ["model", "sample_id", "clean_correct", "norm", "robust_at", "broken_at", "robust"].map(String::from).into()
}

/// Write `worst_case.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
pub fn write_worst_case(path: &Path, summary: &RunSummary) -> Result<String, StoreError> {
    let row = |model: &str, norm: &str, epsilon: String, estimate: &Estimate| {
        let [point, lo, hi] = [estimate.point, estimate.lo, estimate.hi].map(float_text);
        vec![model.to_owned(), norm.to_owned(), epsilon, point, lo, hi]
    };
    let rows = summary.models.iter().flat_map(|model| {
        let balls = model.worst_case.iter();
        let balls =
            balls.map(|(norm, epsilon, estimate)| row(&model.model, norm.as_str(), epsilon_text(*epsilon), estimate));
        let all = model.all_norms.iter().map(|all| row(&model.model, ALL, all.to_string(), &all.estimate));
        balls.chain(all).collect::<Vec<_>>()
    });
    write_table(path, worst_case_columns(), rows)
}

/// Write `worst_case_samples.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
pub fn write_worst_samples(path: &Path, samples: &[SampleWorst]) -> Result<String, StoreError> {
    let radius = |radius: Option<Epsilon>| radius.map(epsilon_text).unwrap_or_default();
    let rows = samples.iter().map(|worst| {
        vec![
            worst.model.clone(),
            worst.sample_id.to_string(),
            worst.clean_correct.to_string(),
            worst.norm.map_or(ALL, Norm::as_str).to_owned(),
            radius(worst.robust_at),
            radius(worst.broken_at),
            worst.robust.to_string(),
        ]
    });
    write_table(path, worst_sample_columns(), rows)
}

fn epsilon_text(epsilon: Epsilon) -> String {
    float_text(epsilon.value())
}
