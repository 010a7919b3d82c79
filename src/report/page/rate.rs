//! A rate as pages show it.

use serde::Serialize;

use crate::stats::Estimate;
use crate::wording::format;

/// A rate with its interval, as text and as numbers for bars and sorting.
#[derive(Debug, Serialize)]
pub struct Rate {
    point: f64,
    lo: f64,
    hi: f64,
    text: String,
    interval: String,
}

impl Rate {
    /// The rate with its interval.
    pub fn new(estimate: &Estimate) -> Self {
        let finite = |share: f64| if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        Rate {
            point: finite(estimate.point),
            lo: finite(estimate.lo),
            hi: finite(estimate.hi),
            text: format::percent(estimate.point),
            interval: format::interval(estimate),
        }
    }
}
