//! The product-limit estimate of right-censored distances (Kaplan and Meier 1958), with log-log pointwise intervals
//! and the median's interval of Brookmeyer and Crowley (1982).

use super::{Estimate, Z95};

/// A distance: an event if the boundary was found there, censored if it lies farther away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Where the boundary was found, or how far was searched.
    pub distance: f64,
    /// Whether the boundary was found.
    pub event: bool,
}

/// The curve just after a distance at which events happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The distance.
    pub distance: f64,
    /// Share whose boundary is farther away, with its pointwise 95 % interval.
    pub survival: Estimate,
    /// Observations still at risk just before.
    pub at_risk: u64,
    /// Events at the distance.
    pub events: u64,
}

/// The curve of the observations, by ascending distance; sorts them. Observations at NaN are left out. Events precede
/// censorings at the same distance.
pub fn kaplan_meier(observations: &mut Vec<Observation>) -> Vec<Step> {
    observations.retain(|observation| !observation.distance.is_nan());
    observations.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
    let mut at_risk = observations.len() as u64;
    let mut survival = 1.0;
    let mut greenwood = 0.0;
    let mut hi = 1.0;
    let mut steps = Vec::new();
    for group in observations.chunk_by(|a, b| a.distance == b.distance) {
        let events = group.iter().filter(|observation| observation.event).count() as u64;
        if events > 0 {
            let (d, n) = (events as f64, at_risk as f64);
            survival *= (n - d) / n;
            greenwood += d / (n * (n - d));
            let interval = log_log_interval(survival, greenwood, hi);
            hi = interval.hi;
            steps.push(Step { distance: group[0].distance, survival: interval, at_risk, events });
        }
        at_risk -= group.len() as u64;
    }
    steps
}

/// The interval on the scale log(-log S). At S = 0 its variance is undefined; the upper end then stays where it was.
fn log_log_interval(survival: f64, greenwood: f64, last_hi: f64) -> Estimate {
    if survival <= 0.0 {
        return Estimate { point: 0.0, lo: 0.0, hi: last_hi };
    }
    let factor = (Z95 * greenwood.sqrt() / survival.ln().abs()).exp();
    let lo = survival.powf(factor).min(survival);
    Estimate { point: survival, lo, hi: survival.powf(1.0 / factor).clamp(survival, 1.0) }
}

/// The median distance: where the curve first falls to one half. Its interval holds the distances at which the
/// pointwise interval contains one half; the upper end is infinite if the upper curve stays above. None if the curve
/// itself stays above.
pub fn median_distance(steps: &[Step]) -> Option<Estimate> {
    // A product such as 3/4 * 2/3 may miss one half by rounding.
    let half = 0.5 + 1e-12;
    let first =
        |value: fn(&Estimate) -> f64| steps.iter().find(|step| value(&step.survival) <= half).map(|step| step.distance);
    let point = first(|survival| survival.point)?;
    let lo = first(|survival| survival.lo).unwrap_or(point);
    Some(Estimate { point, lo, hi: first(|survival| survival.hi).unwrap_or(f64::INFINITY) })
}
