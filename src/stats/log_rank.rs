//! The log-rank test: do two groups of right-censored distances come from one distribution (Mantel 1966)?

use statrs::function::erf::erfc;

use super::Observation;

/// The outcome of the log-rank test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRank {
    /// Chi-squared statistic with one degree of freedom.
    pub chi_squared: f64,
    /// Its p value.
    pub p: f64,
    /// Events in the first group, minus those expected if both were alike: positive if its boundaries are nearer.
    pub excess: f64,
}

/// The test on two independent groups; sorts them. Without events it finds no difference (p = 1).
pub fn log_rank(first: &mut [Observation], second: &mut [Observation]) -> LogRank {
    for group in [&mut *first, &mut *second] {
        group.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
    }
    let (mut i, mut j) = (0, 0);
    let (mut excess, mut variance) = (0.0, 0.0);
    while i < first.len() || j < second.len() {
        let next = |group: &[Observation], at: usize| group.get(at).map_or(f64::INFINITY, |o| o.distance);
        let distance = next(first, i).min(next(second, j));
        let (at_risk_first, at_risk_second) = ((first.len() - i) as f64, (second.len() - j) as f64);
        let events_first = pass(first, &mut i, distance);
        let events = events_first + pass(second, &mut j, distance);
        let n = at_risk_first + at_risk_second;
        excess += events_first - events * at_risk_first / n;
        if n > 1.0 {
            variance += events * (n - events) * at_risk_first * at_risk_second / (n * n * (n - 1.0));
        }
        if distance.is_nan() || distance == f64::INFINITY {
            break;
        }
    }
    let chi_squared = if variance > 0.0 { excess * excess / variance } else { 0.0 };
    LogRank { chi_squared, p: erfc((chi_squared / 2.0).sqrt()), excess }
}

/// Moves past the observations at `distance` and counts the events among them.
fn pass(group: &[Observation], at: &mut usize, distance: f64) -> f64 {
    let mut events = 0.0;
    while let Some(observation) = group.get(*at).filter(|observation| observation.distance <= distance) {
        events += f64::from(u8::from(observation.event));
        *at += 1;
    }
    events
}
