//! Wilson's score interval of a proportion (Wilson 1927), without continuity correction.

use super::{Estimate, Z95};

/// The share `successes / n` with its 95 % Wilson interval. With `n = 0` nothing is known: 0 in [0, 1].
pub fn wilson(successes: u64, n: u64) -> Estimate {
    if n == 0 {
        return Estimate { point: 0.0, lo: 0.0, hi: 1.0 };
    }
    let (k, n) = (successes.min(n) as f64, n as f64);
    let (share, z2) = (k / n, Z95 * Z95);
    let middle = (k + z2 / 2.0) / (n + z2);
    let half = Z95 / (n + z2) * (k * (n - k) / n + z2 / 4.0).sqrt();
    // Rounding must not push an end over the estimate that it bounds.
    let lo = if k == 0.0 { 0.0 } else { (middle - half).clamp(0.0, share) };
    let hi = if k == n { 1.0 } else { (middle + half).clamp(share, 1.0) };
    Estimate { point: share, lo, hi }
}
