//! Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>) and NAdam (Dozat 2016), element by element: rows do not see each other.

use tch::Tensor;

use crate::rows::per_row;
use crate::suite::PictureOptimizer;

/// Where square roots of mean squares vanish.
const FLOOR: f64 = 1e-8;

/// How fast the momentum of NAdam nears its final value.
const MOMENTUM_DECAY: f64 = 0.004;

/// The state of the parameters of some pictures.
pub struct Adam {
    config: PictureOptimizer,
    steps: usize,
    age: usize,
    mean: Option<Tensor>,
    square: Option<Tensor>,
    /// Product of NAdam's momenta so far.
    product: f64,
}

impl Adam {
    /// An optimizer for so many steps in all.
    pub fn new(config: PictureOptimizer, steps: usize) -> Self {
        Adam { config, steps, age: 0, mean: None, square: None, product: 1.0 }
    }

    /// Takes what is remembered of each row `factors` `[R]` times as large: as if its gradients so far had been. Where they come from elsewhere
    /// from now on, steps would otherwise stay as small, or large, as the old ones make them for hundreds of steps.
    pub fn rescale(&mut self, factors: &Tensor) {
        for (memory, squared) in [(&mut self.mean, false), (&mut self.square, true)] {
            let Some(memory) = memory else { continue };
            let factors = if squared { factors.square() } else { factors.shallow_clone() };
            *memory *= per_row(&factors, memory);
        }
    }

    /// The parameters after a step of descent.
    pub fn step(&mut self, parameters: &Tensor, gradient: &Tensor) -> Tensor {
        let PictureOptimizer { nesterov, rate, beta1, beta2, cosine } = self.config;
        // In place and in few passes: the parameters of a batch do not fit a cache.
        let blend = |old: Option<Tensor>, new: &Tensor, decay: f64| match old {
            Some(mut old) => old.lerp_(new, 1.0 - decay),
            None => new * (1.0 - decay),
        };
        let mean = blend(self.mean.take(), gradient, beta1);
        let square = blend(self.square.take(), &gradient.square(), beta2);
        let progress = self.age as f64 / self.steps.max(1) as f64;
        let rate = if cosine { rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) } else { rate };
        self.age += 1;
        let age = self.age as i32;
        // Square roots of mean squares are this factor times those of their running sums.
        let correction = 1.0 / (1.0 - beta2.powi(age)).sqrt();
        let mut size = square.sqrt().g_add_scalar_(FLOOR / correction);
        let next = if nesterov {
            let momentum = |step: i32| beta1 * (1.0 - 0.5 * 0.96f64.powf(f64::from(step) * MOMENTUM_DECAY));
            let (now, next) = (momentum(age), momentum(age + 1));
            self.product *= now;
            let momentum = next / (1.0 - self.product * next);
            let direction = &mean * momentum + gradient * ((1.0 - now) / (1.0 - self.product));
            parameters - direction / size * (rate / correction)
        } else {
            let step = rate / correction / (1.0 - beta1.powi(age));
            parameters.addcdiv(&mean, &size.g_mul_scalar_(-1.0 / step))
        };
        (self.mean, self.square) = (Some(mean), Some(square));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(nesterov: bool) -> PictureOptimizer {
        PictureOptimizer { nesterov, rate: 0.1, beta1: 0.9, beta2: 0.999, cosine: false }
    }

    // As PyTorch 2.11 gives them.
    const ADAM: [f64; 4] = [0.9000000005, 0.8004122286917927, 0.7015862729460302, 0.6039390605737459];
    const NADAM: [f64; 4] = [0.8943548213947469, 0.8199730691399016, 0.7527292651416537, 0.6877160500298019];

    /// The square of a parameter that begins at 1, four steps; `torch.optim.Adam` and `NAdam` of PyTorch with lr 0.1.
    fn path(nesterov: bool) -> Vec<f64> {
        let mut adam = Adam::new(config(nesterov), 4);
        let mut parameter = Tensor::from_slice(&[1.0f64]);
        (0..4)
            .map(|_| {
                parameter = adam.step(&parameter, &(&parameter * 2.0));
                parameter.double_value(&[0])
            })
            .collect()
    }

    #[test]
    fn steps_are_pytorchs() {
        let near = |found: Vec<f64>, expected: [f64; 4]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        near(path(false), ADAM);
        near(path(true), NADAM);
    }

    #[test]
    fn a_rescaled_row_steps_as_if_its_gradients_had_been_of_that_size() {
        let steps = |early: [f64; 2], factors: Option<[f64; 2]>| {
            let mut adam = Adam::new(config(false), 100);
            let mut parameters = Tensor::from_slice(&[0.0f64; 2]).view([2, 1]);
            for _ in 0..10 {
                parameters = adam.step(&parameters, &Tensor::from_slice(&early).view([2, 1]));
            }
            factors.iter().for_each(|factors| adam.rescale(&Tensor::from_slice(factors)));
            let moved = adam.step(&parameters, &Tensor::from_slice(&[1.0f64; 2]).view([2, 1])) - parameters;
            Vec::<f64>::try_from(moved.flatten(0, -1)).unwrap()
        };
        let (known, rescaled) = (steps([1.0, 1.0], None), steps([1000.0, 1.0], Some([0.001, 1.0])));
        assert!((known[0] - rescaled[0]).abs() < 1e-9 && known[1] == rescaled[1], "{known:?} {rescaled:?}");
    }

    #[test]
    fn a_cosine_ends_at_rest() {
        let mut adam = Adam::new(PictureOptimizer { cosine: true, ..config(false) }, 100);
        let mut parameter = Tensor::from_slice(&[0.0f64]);
        let mut lengths = Vec::new();
        for _ in 0..100 {
            let next = adam.step(&parameter, &Tensor::from_slice(&[1.0f64]));
            lengths.push((&next - &parameter).double_value(&[0]).abs());
            parameter = next;
        }
        assert!((lengths[0] - 0.1).abs() < 1e-6 && lengths[99] < 1e-4, "{} {}", lengths[0], lengths[99]);
    }
}
