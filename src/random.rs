//! Randomness that depends on what it is for, not on when it is drawn: a counter-based generator keyed by seed and purpose.
//!
//! A [`Stream`] is named by the bytes of its key; everything random in this crate comes from one. [`Noise`] names the streams of
//! attacks.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The numbers that belong to one key.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream named by `key`, whose parts are read as one run of bytes.
    pub fn new(key: &[&[u8]]) -> Self {
        Stream(ChaCha8Rng::from_seed(digest(key)))
    }

    /// A second stream of the same key, which shares no number with the first.
    pub fn second(key: &[&[u8]]) -> Self {
        let mut seed = digest(key);
        seed[31] ^= 1;
        Stream(ChaCha8Rng::from_seed(seed))
    }

    /// One of the streams of a seed, by number.
    pub fn numbered(seed: u64, number: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(number);
        Stream(generator)
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A whole number below `bound`: the high half of a product of 64 by 64 bits, uniform up to `bound` / 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Uniform in [0, 1), in steps of 2^-24.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in [0, 1), in steps of 2^-53.
    pub fn fine_unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fisher and Yates' shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// `count` values of the standard normal distribution.
fn normal(stream: &mut Stream, count: usize) -> impl Iterator<Item = f64> {
    let mut uniform = || (f64::from(stream.bits()) + 0.5) / 4_294_967_296.0;
    (0..count.div_ceil(2))
        .flat_map(move |_| {
            let (u, v) = (uniform(), uniform());
            normal_pair(u, v)
        })
        .take(count)
}

/// Two independent normal values of mean 0 and deviation 1, of `u` in (0, 1] and `v` in [0, 1] (Box and Muller 1958).
pub fn normal_pair(u: f64, v: f64) -> [f64; 2] {
    let (radius, angle) = ((-2.0 * u.ln()).sqrt(), std::f64::consts::TAU * v);
    [radius * angle.cos(), radius * angle.sin()]
}

fn digest(key: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    key.iter().for_each(|part| {
        hasher.update(part);
    });
    *hasher.finalize().as_bytes()
}

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

    /// The stream of a key.
    pub fn stream(&self, key: &str) -> Stream {
        Stream::new(&[self.scope.as_bytes(), b"/", key.as_bytes()])
    }

    /// `count` values uniform in [-1, 1).
    pub fn uniform(&self, key: &str, count: usize) -> Vec<f32> {
        let mut stream = self.stream(key);
        (0..count).map(|_| (stream.bits() >> 8) as f32 * (2.0 / (1 << 24) as f32) - 1.0).collect()
    }

    /// `count` values of -1 or 1.
    pub fn signs(&self, key: &str, count: usize) -> Vec<f32> {
        let mut stream = self.stream(key);
        let mut bits = 0u32;
        (0..count)
            .map(|index| {
                if index % 32 == 0 {
                    bits = stream.bits();
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

    /// `count` values of the standard normal distribution.
    pub fn normal(&self, key: &str, count: usize) -> Vec<f32> {
        normal(&mut self.stream(key), count).map(|value| value as f32).collect()
    }

    /// A point uniform on the unit sphere of `count` dimensions.
    pub fn on_l2_sphere(&self, key: &str, count: usize) -> Vec<f32> {
        let normal: Vec<f64> = normal(&mut self.stream(key), count).collect();
        let length = normal.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        normal.iter().map(|value| (value / length) as f32).collect()
    }

    /// A number below `bound`.
    pub fn below(&self, key: &str, bound: usize) -> usize {
        self.stream(key).below(bound)
    }

    /// `count` distinct numbers below `bound`, in the order drawn; all of them if there are fewer.
    pub fn choose(&self, key: &str, count: usize, bound: usize) -> Vec<usize> {
        let mut stream = self.stream(key);
        let mut left: Vec<usize> = (0..bound).collect();
        for place in 0..count.min(bound) {
            let other = place + stream.below(bound - place);
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
