//! McNemar's exact test of paired yes-or-no outcomes: are changes in one direction more frequent than in the other?

use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

/// p values of McNemar's exact test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// Two-sided, conservative.
    pub two_sided: f64,
    /// Two-sided with the mid-p correction (Fagerland, Lydersen and Laake 2013): less conservative.
    pub two_sided_mid: f64,
    /// One-sided: pairs of the first kind are no more frequent than those of the second.
    pub greater: f64,
}

/// The test on the discordant pairs: `first` changed in one direction, `second` in the other. Without discordant pairs
/// every p value is 1.
pub fn mcnemar(first: u64, second: u64) -> McNemar {
    let n = first + second;
    if n == 0 {
        return McNemar { two_sided: 1.0, two_sided_mid: 1.0, greater: 1.0 };
    }
    let low = at_most(first.min(second), n);
    let two_sided = (2.0 * low).min(1.0);
    let two_sided_mid =
        if first == second { 1.0 - exactly(first, n) } else { 2.0 * low - exactly(first.min(second), n) };
    // Of n fair coins, as many heads as `first` or more: as many tails as `second` or fewer.
    McNemar { two_sided, two_sided_mid: two_sided_mid.clamp(0.0, 1.0), greater: at_most(second, n) }
}

/// Probability that a binomial variable with `n` fair trials is at most `k`.
fn at_most(k: u64, n: u64) -> f64 {
    if k >= n { 1.0 } else { beta_reg((n - k) as f64, k as f64 + 1.0, 0.5) }
}

fn exactly(k: u64, n: u64) -> f64 {
    let (k, n) = (k as f64, n as f64);
    (ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) - n * std::f64::consts::LN_2).exp()
}
