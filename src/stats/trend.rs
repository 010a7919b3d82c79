//! A trend over several measurements of the same samples.

use statrs::function::beta::beta_reg;

use super::Estimate;

/// Fewest measurements of which a trend is told: two parameters are fitted, and two degrees of freedom are left.
pub const FEWEST: usize = 4;

/// A straight line through several measurements of the same samples, one step apart.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Trend {
    /// Change of the mean with each measurement, with its 95 % interval: the wider one of both errors.
    pub slope: Estimate,
    /// Measurements.
    pub measurements: usize,
    /// Samples.
    pub samples: usize,
    /// Two-sided p value by the scatter of the samples' own slopes: whether other samples would show a trend too.
    pub p_samples: f64,
    /// Two-sided p value by the scatter of the measurements about the line: whether it stands out from what varies from one
    /// measurement to the next.
    pub p_measurements: f64,
}

impl Trend {
    /// The p value of the trend: the larger one, as both have to be small (an intersection-union test, Berger 1982).
    pub fn p(&self) -> f64 {
        self.p_samples.max(self.p_measurements)
    }
}

/// The trend of `samples`, each with a value for every measurement, all of the same number. Least squares: the mean of the samples'
/// slopes is the slope of their means. None of fewer than [`FEWEST`] measurements or two samples.
pub fn trend(samples: &[Vec<f64>]) -> Option<Trend> {
    let (n, k) = (samples.len(), samples.first()?.len());
    if n < 2 || k < FEWEST || samples.iter().any(|values| values.len() != k) {
        return None;
    }
    let middle = (k - 1) as f64 / 2.0;
    let place = |index: usize| index as f64 - middle;
    let spread: f64 = (0..k).map(|index| place(index).powi(2)).sum();
    let slope_of =
        |values: &[f64]| values.iter().enumerate().map(|(index, value)| place(index) * value).sum::<f64>() / spread;
    let slopes: Vec<f64> = samples.iter().map(|values| slope_of(values)).collect();
    let count = n as f64;
    let slope = slopes.iter().sum::<f64>() / count;
    let variance = slopes.iter().map(|sample_slope| (sample_slope - slope).powi(2)).sum::<f64>() / (count - 1.0);
    let means: Vec<f64> = (0..k).map(|index| samples.iter().map(|values| values[index]).sum::<f64>() / count).collect();
    let level = means.iter().sum::<f64>() / k as f64;
    let rest = |(index, mean): (usize, &f64)| (mean - level - slope * place(index)).powi(2);
    let residual: f64 = means.iter().enumerate().map(rest).sum::<f64>() / (k - 2) as f64;
    // Means of so many samples are no finer than rounding.
    let residual = if residual < 1e-24 * (1.0 + level * level) { 0.0 } else { residual };
    let (by_samples, by_measurements) = ((variance / count).sqrt(), (residual / spread).sqrt());
    let half = (quantile(count - 1.0) * by_samples).max(quantile((k - 2) as f64) * by_measurements);
    Some(Trend {
        slope: Estimate { point: slope, lo: slope - half, hi: slope + half },
        measurements: k,
        samples: n,
        p_samples: two_sided(slope, by_samples, count - 1.0),
        p_measurements: two_sided(slope, by_measurements, (k - 2) as f64),
    })
}

/// Student's two-sided p value of an estimate with this standard error.
fn two_sided(estimate: f64, error: f64, freedom: f64) -> f64 {
    if estimate.abs() < 1e-15 {
        return 1.0;
    }
    if error <= 0.0 {
        return 0.0;
    }
    tail(estimate.abs() / error, freedom)
}

/// The chance that Student's t exceeds `t` on either side.
fn tail(t: f64, freedom: f64) -> f64 {
    beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t)).clamp(0.0, 1.0)
}

/// The t that is exceeded on either side with a chance of 5 %, by bisection.
fn quantile(freedom: f64) -> f64 {
    let (mut lo, mut hi) = (0.0, 1000.0);
    for _ in 0..80 {
        let middle = (lo + hi) / 2.0;
        if tail(middle, freedom) > 0.05 { lo = middle } else { hi = middle }
    }
    (lo + hi) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, known) in [(2.0, 4.302_653), (3.0, 3.182_446), (8.0, 2.306_004), (199.0, 1.971_957)] {
            assert!((quantile(freedom) - known).abs() < 1e-5, "{freedom}: {}", quantile(freedom));
        }
    }

    /// By hand: the residuals' squares sum to 1.9e-4, so that the slope's error is sqrt(1.9e-4 / 3 / 10) and t is 8.3446; with three
    /// degrees of freedom p is 1 - 2/pi (atan x + x / (1 + x^2)), where x is t / sqrt 3.
    #[test]
    fn the_line_through_the_means_is_that_of_least_squares() {
        let means = [0.80, 0.78, 0.77, 0.73, 0.72];
        let samples: Vec<Vec<f64>> = (0..100)
            .map(|sample| {
                means.iter().map(|mean| f64::from(u8::from(f64::from(sample) < mean * 100.0 - 1e-6))).collect()
            })
            .collect();
        let found = trend(&samples).unwrap();
        assert!((found.slope.point + 0.021).abs() < 1e-12, "{found:?}");
        assert!((found.p_measurements - 0.003_608).abs() < 1e-6, "{found:?}");
        assert!(found.slope.lo < -0.021 && found.slope.hi > -0.021);
        assert!(found.p_samples < 0.01 && found.p() >= found.p_samples);
    }

    #[test]
    fn without_change_there_is_no_trend_and_jumps_up_and_down_are_none() {
        let flat = vec![vec![1.0; 6]; 50];
        assert_eq!(trend(&flat).unwrap().p(), 1.0);
        let jumping: Vec<Vec<f64>> = (0..200)
            .map(|sample| {
                (0..6).map(|run| f64::from(u8::from(sample % 10 < if run % 2 == 0 { 8 } else { 6 }))).collect()
            })
            .collect();
        let found = trend(&jumping).unwrap();
        assert!(found.p() > 0.3, "{found:?}");
        assert_eq!(trend(&flat.iter().map(|values| values[..3].to_vec()).collect::<Vec<_>>()), None);
    }
}
