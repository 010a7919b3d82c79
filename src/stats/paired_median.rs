//! How much two medians of the same samples differ.

use super::{Estimate, bootstrap};

/// The median of `first` minus the median of `second`, of the same samples in the same order, with its 95 % BCa
/// interval over resampled pairs. None without samples, or if the lists differ in length, or if a value is not finite
/// (put censored distances at the radius that was searched).
pub fn paired_median_difference(first: &[f64], second: &[f64], resamples: usize, seed: u64) -> Option<Estimate> {
    if first.len() != second.len() || first.iter().chain(second).any(|value| !value.is_finite()) {
        return None;
    }
    let pick = |values: &[f64], indices: &[usize]| median(indices.iter().map(|&index| values[index]).collect());
    bootstrap(first.len(), resamples, seed, |indices| pick(first, indices) - pick(second, indices))
}

/// The middle value, or the mean of the two middle ones; NaN of none.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return f64::NAN;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !even {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    lower + (upper - lower) / 2.0
}
