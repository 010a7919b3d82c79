//! Randomness that depends on what it is for, not on when it is drawn: a counter-based generator keyed by seed and purpose.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws from streams that are named by keys such as `attack/sample/restart`.
#[derive(Debug, Clone)]
pub struct Noise {
    scope: String,
}

impl Noise {
    /// The streams of one suite seed within `scope`.
    pub fn new(seed: u64, scope: &str) -> Self {
        Noise { scope: format!("{seed}/{scope}") }
    }

    fn stream(&self, key: &str) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(*blake3::hash(format!("{}/{key}", self.scope).as_bytes()).as_bytes())
    }

    /// `count` values uniform in [-1, 1).
    pub fn uniform(&self, key: &str, count: usize) -> Vec<f32> {
        let mut stream = self.stream(key);
        (0..count).map(|_| (stream.next_u32() >> 8) as f32 * (2.0 / (1 << 24) as f32) - 1.0).collect()
    }

    /// `count` values of -1 or 1.
    pub fn signs(&self, key: &str, count: usize) -> Vec<f32> {
        let mut stream = self.stream(key);
        let mut bits = 0u32;
        (0..count)
            .map(|index| {
                if index % 32 == 0 {
                    bits = stream.next_u32();
                }
                let bit = bits >> (index % 32) & 1;
                if bit == 1 { 1.0 } else { -1.0 }
            })
            .collect()
    }

    /// A point uniform in the unit ball of `count` dimensions: the first coordinates of a point on the sphere of two more
    /// dimensions (Voelker et al. 2017).
    pub fn in_l2_ball(&self, key: &str, count: usize) -> Vec<f32> {
        let mut point = self.on_l2_sphere(key, count + 2);
        point.truncate(count);
        point
    }

    /// A point uniform on the unit sphere of `count` dimensions.
    pub fn on_l2_sphere(&self, key: &str, count: usize) -> Vec<f32> {
        let mut stream = self.stream(key);
        let mut uniform = || (f64::from(stream.next_u32()) + 0.5) / 4_294_967_296.0;
        let normal: Vec<f64> = (0..count.div_ceil(2))
            .flat_map(|_| {
                let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
                [radius * angle.cos(), radius * angle.sin()]
            })
            .take(count)
            .collect();
        let length = normal.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        normal.iter().map(|value| (value / length) as f32).collect()
    }

    /// A number below `bound`.
    pub fn below(&self, key: &str, bound: usize) -> usize {
        ((u128::from(self.stream(key).next_u64()) * bound as u128) >> 64) as usize
    }

    /// `count` distinct numbers below `bound`, in the order drawn; all of them if there are fewer.
    pub fn choose(&self, key: &str, count: usize, bound: usize) -> Vec<usize> {
        let mut stream = self.stream(key);
        let mut left: Vec<usize> = (0..bound).collect();
        for place in 0..count.min(bound) {
            let other = place + ((u128::from(stream.next_u64()) * (bound - place) as u128) >> 64) as usize;
            left.swap(place, other);
        }
        left.truncate(count);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_the_key_alone() {
        let noise = Noise::new(7, "attack");
        assert_eq!(noise.uniform("a", 10), noise.uniform("a", 10));
        assert_ne!(noise.uniform("a", 10), noise.uniform("b", 10));
        assert_ne!(noise.uniform("a", 10), Noise::new(8, "attack").uniform("a", 10));
    }

    #[test]
    fn draws_have_their_distributions() {
        let noise = Noise::new(1, "test");
        let uniform = noise.uniform("u", 20_000);
        let mean = uniform.iter().sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.02 && uniform.iter().all(|value| (-1.0..1.0).contains(value)), "{mean}");
        let signs = noise.signs("s", 20_000);
        assert!(signs.iter().sum::<f32>().abs() < 600.0 && signs.iter().all(|value| value.abs() == 1.0));
        let sphere = noise.on_l2_sphere("n", 3001);
        let length = sphere.iter().map(|value| value * value).sum::<f32>();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
        let inside = noise.in_l2_ball("n", 3).iter().map(|value| value * value).sum::<f32>();
        assert!(inside <= 1.0);
        let mut chosen = noise.choose("c", 5, 9);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 5);
        assert_eq!(noise.choose("c", 20, 9).len(), 9);
    }
}
