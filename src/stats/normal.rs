//! The standard normal distribution.

use statrs::function::erf::erfc;

/// Quantile 0.975: half the width of a 95 % interval, in standard deviations.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Probability of a value up to `z`.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
}

/// The value that is not exceeded with probability `p`; infinite at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    // Bisection of the same function that gives probabilities: the two agree far into the tails.
    bisect(-40.0, 40.0, |z| normal_cdf(z) < p)
}

/// The point in `[lo, hi]` up to which `below` holds, to the last bits.
pub(super) fn bisect(mut lo: f64, mut hi: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (lo + hi);
        if middle <= lo || middle >= hi {
            break;
        }
        if below(middle) { lo = middle } else { hi = middle }
    }
    0.5 * (lo + hi)
}
