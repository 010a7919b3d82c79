//! What a paired comparison can see: power of McNemar's test (Miettinen 1968, Connor 1987; normal approximation).

use super::normal::{bisect, normal_cdf, normal_quantile};

/// The chance that the one-sided test at level `alpha` finds a true drop of `drop` (share of all pairs) among `n` pairs
/// of which the share `discordant` differs. A drop cannot exceed the discordant share; 0 without pairs.
pub fn paired_power(n: u64, discordant: f64, drop: f64, alpha: f64) -> f64 {
    if n == 0 || discordant <= 0.0 || drop <= 0.0 {
        return 0.0;
    }
    let drop = drop.min(discordant);
    let shift = drop * (n as f64).sqrt() + normal_quantile(alpha) * discordant.sqrt();
    let spread = (discordant - drop * drop).max(0.0).sqrt();
    if spread == 0.0 {
        return if shift > 0.0 { 1.0 } else { 0.0 };
    }
    normal_cdf(shift / spread)
}

/// The smallest drop that the one-sided test at level `alpha` finds with probability `power`, as a share of the `n`
/// pairs. None if even the largest drop that the discordant share allows is too small.
pub fn smallest_detectable_drop(n: u64, discordant: f64, alpha: f64, power: f64) -> Option<f64> {
    if paired_power(n, discordant, discordant, alpha) < power {
        return None;
    }
    Some(bisect(0.0, discordant, |drop| paired_power(n, discordant, drop, alpha) < power))
}
