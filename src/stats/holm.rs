//! Holm's step-down adjustment of p values (Holm 1979): controls the chance of any false alarm among several tests.

/// The adjusted p values, in the order of `p`. Comparing each with 0.05 keeps the family's error below 0.05. A NaN
/// counts as 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let value = |index: usize| if p[index].is_nan() { 1.0 } else { p[index] };
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    let mut adjusted = vec![1.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * value(index)).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}
