//! Random numbers of one image, and a sine that is the same on every platform.

use crate::random::Stream;

/// A stream of random numbers that depends on its key alone.
pub(super) struct Dice(Stream);

impl Dice {
    /// The stream of sample `index` of the split called `split`.
    pub(super) fn new(version: u32, split: &str, index: u64) -> Self {
        let key: [&[u8]; 5] = [b"synthetic\0", &version.to_le_bytes(), split.as_bytes(), &[0], &index.to_le_bytes()];
        Dice(Stream::new(&key))
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f32 {
        self.0.unit()
    }

    /// Uniform in [`low`, `high`).
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..`count`.
    pub(super) fn pick(&mut self, count: usize) -> usize {
        ((u64::from(self.0.bits()) * count as u64) >> 32) as usize
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Mean 0, standard deviation 1: the sum of four uniform bytes, close enough to normal for sensor noise.
    pub(super) fn noise(&mut self) -> f32 {
        let sum: u32 = self.0.bits().to_le_bytes().iter().map(|byte| u32::from(*byte)).sum();
        (sum as f32 - 510.0) / 147.8
    }

    /// A direction: the cosine and sine of a uniform angle.
    pub(super) fn direction(&mut self) -> [f32; 2] {
        let turn = self.unit();
        [sine(turn + 0.25), sine(turn)]
    }
}

/// The sine of `turns` full turns, within 0.002. Only additions and multiplications, which IEEE 754 fixes to the bit, so that
/// images do not depend on a platform's mathematical library.
pub(super) fn sine(turns: f32) -> f32 {
    let x = 2.0 * (turns - turns.floor()) - 1.0;
    let parabola = -4.0 * x * (1.0 - x.abs());
    parabola * (0.775 + 0.225 * parabola.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_follows_the_true_one() {
        for step in -300..300 {
            let turns = step as f32 / 100.0;
            let exact = (f64::from(turns) * std::f64::consts::TAU).sin();
            assert!((f64::from(sine(turns)) - exact).abs() < 0.002, "{turns}: {} {exact}", sine(turns));
        }
    }

    #[test]
    fn noise_has_unit_variance() {
        let mut dice = Dice::new(0, "test", 1);
        let draws: Vec<f32> = (0..20_000).map(|_| dice.noise()).collect();
        let mean = draws.iter().sum::<f32>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
