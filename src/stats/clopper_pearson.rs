//! The exact, conservative interval of a proportion (Clopper and Pearson 1934).

use statrs::function::beta::beta_reg;

use super::Estimate;
use super::normal::bisect;

/// The share `successes / n` with its 95 % Clopper-Pearson interval. With `n = 0` nothing is known: 0 in [0, 1].
pub fn clopper_pearson(successes: u64, n: u64) -> Estimate {
    if n == 0 {
        return Estimate { point: 0.0, lo: 0.0, hi: 1.0 };
    }
    let k = successes.min(n);
    let (k_f, n_f) = (k as f64, n as f64);
    let quantile = |a: f64, b: f64, p: f64| bisect(0.0, 1.0, |x| beta_reg(a, b, x) < p);
    let lo = if k == 0 { 0.0 } else { quantile(k_f, n_f - k_f + 1.0, 0.025) };
    let hi = if k == n { 1.0 } else { quantile(k_f + 1.0, n_f - k_f, 0.975) };
    Estimate { point: k_f / n_f, lo, hi }
}
