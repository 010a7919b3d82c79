//! What a rule can see: the chance that it calls a true drop a regression, and the smallest drop that it finds.
//!
//! A rule speaks of a regression if McNemar's exact one-sided test is significant and more than the margin was lost. The
//! chance of both is summed exactly over the number of discordant pairs (Suissa and Shuster 1991, Biometrics 47:361-372);
//! beyond some thousand of them the normal approximation takes over.

use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

use crate::stats::{mcnemar, normal_cdf, normal_quantile};

/// Share of pairs that is assumed to differ between two runs before anything is known.
pub const DISCORDANT: f64 = 0.05;

/// Chance with which the smallest detectable drop is found.
pub const POWER: f64 = 0.8;

/// Expected discordant pairs from which the normal approximation is used.
const MANY: f64 = 2000.0;

/// A rule's test on `n` pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    /// Pairs of samples.
    pub n: u64,
    /// Share of pairs that differ.
    pub discordant: f64,
    /// Significance level of the test.
    pub alpha: f64,
    /// Drop that is tolerated, in [0, 1].
    pub margin: f64,
}

impl Design {
    /// The chance that a true drop of `drop` is called a regression. A drop cannot exceed the share of pairs that differ.
    pub fn power(&self, drop: f64) -> f64 {
        Table::for_design(self).map_or_else(|| self.normal_power(drop), |table| table.power(drop))
    }

    /// The smallest true drop that is called a regression with the chance [`POWER`]; none if not even the largest one is.
    pub fn smallest_drop(&self) -> Option<f64> {
        let table = Table::for_design(self);
        let power = |drop: f64| table.as_ref().map_or_else(|| self.normal_power(drop), |table| table.power(drop));
        if power(self.discordant) < POWER {
            return None;
        }
        let (mut lo, mut hi) = (0.0, self.discordant);
        for _ in 0..20 {
            let middle = 0.5 * (lo + hi);
            if power(middle) < POWER { lo = middle } else { hi = middle }
        }
        Some(hi)
    }

    fn normal_power(&self, drop: f64) -> f64 {
        let n = self.n as f64;
        if n == 0.0 || self.discordant <= 0.0 {
            return 0.0;
        }
        let drop = drop.min(self.discordant);
        let significant = -normal_quantile(self.alpha) * (self.discordant / n).sqrt();
        let spread = ((self.discordant - drop * drop).max(0.0) / n).sqrt();
        let excess = drop - significant.max(self.margin);
        if spread == 0.0 { f64::from(u8::from(excess > 0.0)) } else { normal_cdf(excess / spread) }
    }
}

/// For each likely number of discordant pairs its probability, and how many of them must be for the worse.
struct Table {
    discordant: f64,
    rows: Vec<(u64, f64, u64)>,
}

impl Table {
    /// None if the normal approximation serves.
    fn for_design(design: &Design) -> Option<Self> {
        let Design { n, discordant, alpha, margin } = *design;
        let mean = n as f64 * discordant;
        if mean > MANY {
            return None;
        }
        let reach = 7.0 * (mean * (1.0 - discordant)).max(1.0).sqrt() + 3.0;
        let (first, last) = ((mean - reach).max(0.0) as u64, ((mean + reach) as u64).min(n));
        let mut worse = 0;
        let rows = (first..=last).map(|pairs| {
            // From one row to the next, the least significant count grows by 0 or 1.
            while worse <= pairs && mcnemar(worse, pairs - worse).greater > alpha {
                worse += 1;
            }
            let by_margin = ((margin * n as f64 + pairs as f64) / 2.0 + 1e-9).floor() as u64 + 1;
            (pairs, binomial(n, pairs, discordant), worse.max(by_margin))
        });
        Some(Table { discordant, rows: rows.collect() })
    }

    fn power(&self, drop: f64) -> f64 {
        if self.discordant <= 0.0 {
            return 0.0;
        }
        let worse = ((self.discordant + drop.clamp(0.0, self.discordant)) / (2.0 * self.discordant)).min(1.0);
        self.rows.iter().map(|&(pairs, chance, needed)| chance * at_least(needed, pairs, worse)).sum()
    }
}

/// Probability that a binomial variable of `n` trials with chance `p` is `k`.
fn binomial(n: u64, k: u64, p: f64) -> f64 {
    let (n, k) = (n as f64, k as f64);
    let term = |count: f64, chance: f64| if count == 0.0 { 0.0 } else { count * chance.ln() };
    (ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) + term(k, p) + term(n - k, 1.0 - p)).exp()
}

/// Probability that a binomial variable of `n` trials with chance `p` is `k` or more.
fn at_least(k: u64, n: u64, p: f64) -> f64 {
    match k {
        0 => 1.0,
        _ if k > n => 0.0,
        _ if p >= 1.0 => 1.0,
        _ => beta_reg(k as f64, (n - k) as f64 + 1.0, p),
    }
}

/// About how many samples are needed to find a true drop of `drop` with the chance [`POWER`], rounded up to two digits.
/// None if `drop` is 0.
pub fn samples_for(drop: f64, alpha: f64) -> Option<u64> {
    if drop <= 0.0 {
        return None;
    }
    let discordant = DISCORDANT.max(drop);
    let enough = |n: u64| Design { n, discordant, alpha, margin: 0.0 }.power(drop) >= POWER;
    let mut hi = 16;
    while !enough(hi) {
        hi = u64::checked_mul(hi, 2)?;
    }
    let mut lo = hi / 2;
    while hi - lo > (hi / 200).max(1) {
        let middle = lo + (hi - lo) / 2;
        if enough(middle) { hi = middle } else { lo = middle }
    }
    let unit = 10u64.pow(hi.ilog10().saturating_sub(1));
    Some(hi.div_ceil(unit) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::smallest_detectable_drop;

    fn design(n: u64, margin: f64) -> Design {
        Design { n, discordant: DISCORDANT, alpha: 0.05, margin }
    }

    #[test]
    fn the_exact_sum_agrees_with_a_direct_one() {
        let (n, alpha, drop) = (60, 0.05, 0.04);
        let discordant = DISCORDANT;
        let (broken, fixed) = ((discordant + drop) / 2.0, (discordant - drop) / 2.0);
        let mut direct = 0.0;
        for pairs in 0..=n {
            for worse in 0..=pairs {
                let chance = binomial(n, pairs, discordant) * binomial(pairs, worse, broken / (broken + fixed));
                let lost = worse as f64 - (pairs - worse) as f64;
                if mcnemar(worse, pairs - worse).greater <= alpha && lost > 0.02 * n as f64 {
                    direct += chance;
                }
            }
        }
        let exact = Design { n, discordant, alpha, margin: 0.02 }.power(drop);
        assert!((exact - direct).abs() < 1e-6, "{exact} {direct}");
    }

    #[test]
    fn the_smallest_drop_shrinks_with_samples_and_is_near_the_approximation() {
        let mut last = 1.0;
        for n in [1000, 5000, 20_000, 50_000, 200_000] {
            let exact = design(n, 0.0).smallest_drop().unwrap();
            let approximate = smallest_detectable_drop(n, DISCORDANT, 0.05, POWER).unwrap();
            assert!(exact < last && (exact / approximate - 1.0).abs() < 0.12, "{n}: {exact} {approximate}");
            last = exact;
        }
        assert_eq!(design(50, 0.0).smallest_drop(), None);
    }

    #[test]
    fn a_margin_must_be_exceeded_too() {
        let without = design(5000, 0.0).smallest_drop().unwrap();
        let with = design(5000, 0.02).smallest_drop().unwrap();
        assert!(with > 0.02 && with > without, "{with} {without}");
        assert!(design(5000, 0.02).power(0.01) < 0.01);
    }

    #[test]
    fn as_many_samples_as_are_said_do() {
        for (drop, alpha) in [(0.02, 0.05), (0.005, 0.05), (0.02, 0.01), (0.2, 0.05)] {
            let n = samples_for(drop, alpha).unwrap();
            let found = Design { n, discordant: DISCORDANT.max(drop), alpha, margin: 0.0 }.power(drop);
            assert!((POWER - 0.02..0.95).contains(&found), "{drop} {alpha}: {n} find {found}");
        }
        assert_eq!(samples_for(0.0, 0.05), None);
    }
}
