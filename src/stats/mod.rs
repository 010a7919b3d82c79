//! Pure statistics: an estimate always travels with its interval.

use serde::{Deserialize, Serialize};

mod bootstrap;
mod clopper_pearson;
mod exact_sum;
mod holm;
mod kaplan_meier;
mod log_rank;
mod mcnemar;
mod normal;
mod paired_difference;
mod paired_median;
mod power;
mod trend;
mod wilcoxon;
mod wilson;

pub use bootstrap::bootstrap;
pub use clopper_pearson::clopper_pearson;
pub use exact_sum::ExactSum;
pub use holm::holm;
pub use kaplan_meier::{Observation, Step, kaplan_meier, median_distance};
pub use log_rank::{LogRank, log_rank};
pub use mcnemar::{McNemar, mcnemar};
pub use normal::{Z95, normal_cdf, normal_quantile};
pub use paired_difference::paired_difference;
pub use paired_median::paired_median_difference;
pub use power::{paired_power, smallest_detectable_drop};
pub use trend::{FEWEST, Trend, trend};
pub use wilcoxon::{Wilcoxon, wilcoxon};
pub use wilson::wilson;

/// A number with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub point: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod reference;
