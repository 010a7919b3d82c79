//! Bias-corrected and accelerated bootstrap intervals (Efron 1987), the same on any number of threads.

use rayon::prelude::*;

use super::normal::{normal_cdf, normal_quantile};
use super::{Estimate, Z95};
use crate::random::Stream;

/// Groups left out in turn to estimate the acceleration; with fewer observations each is a group.
const JACKKNIFE_GROUPS: usize = 500;

/// The statistic of `n` observations, with its 95 % BCa interval over `resamples` resamples.
///
/// `statistic` gets indices of observations, in no particular order, with repetitions. Resample i is drawn from stream i
/// of a ChaCha generator seeded with `seed`. None if there is nothing to resample (`n` or `resamples` is 0) or the
/// statistic is not finite on the observations or on a resample.
pub fn bootstrap(
    n: usize,
    resamples: usize,
    seed: u64,
    statistic: impl Fn(&[usize]) -> f64 + Sync,
) -> Option<Estimate> {
    if n == 0 || resamples == 0 {
        return None;
    }
    let all: Vec<usize> = (0..n).collect();
    let point = statistic(&all);
    let mut values: Vec<f64> = (0..resamples)
        .into_par_iter()
        .map_init(
            || vec![0; n],
            |indices, resample| {
                let mut stream = Stream::numbered(seed, resample as u64);
                for index in indices.iter_mut() {
                    *index = stream.below(n);
                }
                statistic(indices)
            },
        )
        .collect();
    if !point.is_finite() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);

    let below = values.partition_point(|&value| value < point);
    let equal = values.partition_point(|&value| value <= point) - below;
    // Half a resample away from 0 and 1, where the normal quantile is infinite.
    let least = 0.5 / resamples as f64;
    let share = ((below as f64 + 0.5 * equal as f64) / resamples as f64).clamp(least, 1.0 - least);
    let bias = normal_quantile(share);
    let acceleration = acceleration(n, &statistic);
    let end = |z: f64| {
        let shifted = bias + z;
        let scale = 1.0 - acceleration * shifted;
        let level = if scale > 0.0 { normal_cdf(bias + shifted / scale) } else { normal_cdf(z.signum() * 40.0) };
        quantile(&values, level)
    };
    let (lo, hi) = (end(-Z95), end(Z95));
    Some(Estimate { point, lo: lo.min(point), hi: hi.max(point) })
}

/// Skewness of the jackknife values over six (Efron 1987, eq. 6.6), leaving out one observation, or one of
/// [`JACKKNIFE_GROUPS`] groups, at a time.
fn acceleration(n: usize, statistic: &(impl Fn(&[usize]) -> f64 + Sync)) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let groups = n.min(JACKKNIFE_GROUPS);
    let values: Vec<f64> = (0..groups)
        .into_par_iter()
        .map(|left_out| statistic(&(0..n).filter(|index| index % groups != left_out).collect::<Vec<_>>()))
        .collect();
    let mean = values.iter().sum::<f64>() / groups as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in values {
        let deviation = mean - value;
        squares += deviation * deviation;
        cubes += deviation * deviation * deviation;
    }
    let acceleration = cubes / (6.0 * f64::powf(squares, 1.5));
    if acceleration.is_finite() { acceleration } else { 0.0 }
}

/// Linear interpolation between order statistics (Hyndman and Fan's type 7).
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    if part == 0.0 { sorted[low] } else { sorted[low] + part * (sorted[high] - sorted[low]) }
}
