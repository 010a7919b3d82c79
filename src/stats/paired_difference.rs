//! The score interval of a difference between paired proportions (Tango 1998, Statistics in Medicine 17:891-908).

use super::normal::bisect;
use super::{Estimate, Z95};

/// The difference `(first - second) / n` with its 95 % interval, where of `n` pairs `first` are yes-no and `second` are
/// no-yes. With `n = 0` nothing is known: 0 in [-1, 1].
pub fn paired_difference(first: u64, second: u64, n: u64) -> Estimate {
    if n == 0 {
        return Estimate { point: 0.0, lo: -1.0, hi: 1.0 };
    }
    let (b, c, n) = (first as f64, second as f64, n.max(first + second) as f64);
    let point = (b - c) / n;
    let score = |difference: f64| score(b, c, n, difference);
    let lo = if point <= -1.0 { -1.0 } else { bisect(-1.0, point, |difference| score(difference) > Z95) };
    let hi = if point >= 1.0 { 1.0 } else { bisect(point, 1.0, |difference| score(difference) > -Z95) };
    Estimate { point, lo: lo.min(point), hi: hi.max(point) }
}

/// Tango's statistic for the hypothesis that the true difference is `d`: standard normal under it.
fn score(b: f64, c: f64, n: f64, d: f64) -> f64 {
    // Maximum-likelihood estimate of the no-yes share under the hypothesis.
    let linear = -b - c + (2.0 * n - b + c) * d;
    let constant = -c * d * (1.0 - d);
    let q = ((linear * linear - 8.0 * n * constant).max(0.0).sqrt() - linear) / (4.0 * n);
    let variance = n * (2.0 * q + d * (1.0 - d));
    let excess = b - c - n * d;
    if variance > 0.0 {
        excess / variance.sqrt()
    } else if excess == 0.0 {
        0.0
    } else {
        excess.signum() * f64::INFINITY
    }
}
