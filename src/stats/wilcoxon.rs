//! Wilcoxon's signed-rank test of paired numbers.

use super::normal::normal_cdf;

/// Up to this many differences without ties the distribution is enumerated.
const EXACT_UP_TO: usize = 50;

/// The outcome of Wilcoxon's signed-rank test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    /// Sum of the ranks of the positive differences.
    pub positive_ranks: f64,
    /// Differences that are not zero.
    pub n: usize,
    /// Two-sided p value: exact without ties up to 50 differences, else normal with correction for ties.
    pub two_sided: f64,
    /// Whether the p value is exact.
    pub exact: bool,
}

/// The test on the differences `first - second` of pairs; zero differences are left out, as Wilcoxon did, and so are
/// pairs whose difference is undefined. Without differences the p value is 1.
pub fn wilcoxon(pairs: impl IntoIterator<Item = (f64, f64)>) -> Wilcoxon {
    let mut differences: Vec<f64> =
        pairs.into_iter().map(|(first, second)| first - second).filter(|d| *d != 0.0 && !d.is_nan()).collect();
    differences.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = differences.len();
    let mut positive_ranks = 0.0;
    let mut tie_term = 0.0;
    let mut start = 0;
    for group in differences.chunk_by(|a, b| a.abs() == b.abs()) {
        let size = group.len() as f64;
        let rank = start as f64 + (size + 1.0) / 2.0;
        positive_ranks += rank * group.iter().filter(|d| **d > 0.0).count() as f64;
        tie_term += size * (size * size - 1.0);
        start += group.len();
    }
    let exact = n <= EXACT_UP_TO && tie_term == 0.0;
    let two_sided = match n {
        0 => 1.0,
        _ if exact => exact_p(positive_ranks, n),
        _ => normal_p(positive_ranks, n as f64, tie_term),
    };
    Wilcoxon { positive_ranks, n, two_sided, exact }
}

fn normal_p(positive_ranks: f64, n: f64, tie_term: f64) -> f64 {
    let mean = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - tie_term / 48.0;
    if variance <= 0.0 {
        return 1.0;
    }
    (2.0 * normal_cdf(-((positive_ranks - mean).abs() / variance.sqrt()))).min(1.0)
}

/// Counts the sign patterns whose positive ranks sum to each value.
fn exact_p(positive_ranks: f64, n: usize) -> f64 {
    let largest = n * (n + 1) / 2;
    let mut shares = vec![0.0; largest + 1];
    shares[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..=largest).rev() {
            let with = if sum >= rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = 0.5 * (shares[sum] + with);
        }
    }
    let sum = positive_ranks as usize;
    let tail: f64 = shares[..=sum.min(largest - sum)].iter().sum();
    (2.0 * tail).min(1.0)
}
