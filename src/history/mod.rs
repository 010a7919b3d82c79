//! Many runs of one suite in their order: how each number moved, which step was significant, and whether a trend is there that no
//! single step shows.
//!
//! Runs are compared by the gate's own measures and conditions. What was made under other conditions (data, attacks, engine, seed) stands
//! in a [`Group`] of its own. Nothing is left out silently: [`Unusable`] names what could not be read, and why.

mod csv;
mod group;
mod series;

use std::path::PathBuf;

use serde::Serialize;

pub use csv::write_history;

use crate::gate::Snapshot;
use crate::stats::{Estimate, Trend};
use crate::suite::gate::{Metric, Subject};

/// Version of the history's form as JSON.
pub const HISTORY_FORMAT: u32 = 1;

/// Adjusted p values below this are called significant.
pub const ALPHA: f64 = 0.05;

/// Where a run stands in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since 1970 (UTC): when the run was started, or when its commit was made.
    pub seconds: u64,
    /// Whether the run says so itself; else it is the time of its file.
    pub certain: bool,
}

/// One run, in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The run's folder.
    pub folder: PathBuf,
    /// Its identity.
    pub run: String,
    /// By what it was ordered.
    pub moment: Moment,
    /// The commit that was checked out.
    pub commit: Option<String>,
    /// The device.
    pub device: String,
}

/// A run that is not in the history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unusable {
    /// Its folder.
    pub folder: PathBuf,
    /// Why.
    pub why: String,
}

/// A difference from the state before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The difference, with its 95 % interval (Tango's for rates, BCa bootstrap for medians).
    pub difference: Estimate,
    /// Two-sided p value (McNemar's exact test; Wilcoxon's for distances).
    pub p: f64,
    /// The same, adjusted by Holm over the steps of the series.
    pub p_adjusted: f64,
}

/// One number of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The run's number in its group.
    pub run: usize,
    /// The value, with its 95 % interval.
    pub estimate: Estimate,
    /// Samples.
    pub n: u64,
    /// Signs by which the model may be less robust than this says.
    pub doubts: Vec<String>,
    /// Whether the model has other weights than in the run before.
    pub changed: bool,
    /// The step to it; none for the first, and for the same weights again.
    pub step: Option<Step>,
}

/// What was found of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Too few states of the model for a trend, and no significant step.
    TooFew,
    /// No significant step, no trend.
    Steady,
    /// A significant step for the worse, the last of them at this point.
    Fell(usize),
    /// A significant step for the better, the last of them at this point.
    Rose(usize),
    /// A trend for the worse that no single step shows.
    DriftsDown,
    /// A trend for the better that no single step shows.
    DriftsUp,
}

/// One number of one model over the runs of a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What it is about.
    pub subject: Subject,
    /// What is measured.
    pub metric: Metric,
    /// In the group's order; runs without the number have no point.
    pub points: Vec<Point>,
    /// The trend over the model's last states; none of fewer than [`crate::stats::FEWEST`].
    pub trend: Option<Trend>,
    /// Its p value, adjusted by Holm over the group; 1 without a trend.
    pub p_trend: f64,
    /// What was found.
    pub finding: Finding,
}

/// Runs that were made under the same conditions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The suite's name.
    pub suite: String,
    /// The data set's name.
    pub dataset: String,
    /// Samples.
    pub samples: usize,
    /// The seed.
    pub seed: u64,
    /// What differs from the group of the same suite before it.
    pub differs: Vec<String>,
    /// Its runs.
    pub runs: Vec<Entry>,
    /// Its numbers: clean accuracy, worst cases, distances, by model.
    pub series: Vec<Series>,
}

/// All of it: `history.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// Version of this form.
    pub format: u32,
    /// States of a model that a trend looks back on at most.
    pub last: usize,
    /// By the order of their first runs.
    pub groups: Vec<Group>,
    /// What is not in them.
    pub unusable: Vec<Unusable>,
}

impl History {
    /// The history of `runs`, which stand in their order. A trend looks back on `last` states of a model. The same run found twice
    /// counts once.
    pub fn from_runs(runs: Vec<(Entry, Snapshot)>, mut unusable: Vec<Unusable>, last: usize) -> Self {
        let groups = group::group(runs, &mut unusable);
        let groups = groups.into_iter().map(|bench| bench.finish(last)).collect();
        History { format: HISTORY_FORMAT, last, groups, unusable }
    }

    /// Whether a number drifts or has fallen with the last step of its model, for the worse.
    pub fn worsens(&self) -> bool {
        self.groups.iter().flat_map(|group| &group.series).any(Series::worsens)
    }
}

impl Series {
    /// Whether it drifts for the worse, or its last step was significant and for the worse.
    pub fn worsens(&self) -> bool {
        match self.finding {
            Finding::DriftsDown => true,
            Finding::Fell(place) => self.points.iter().rposition(|point| point.changed) == Some(place),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
