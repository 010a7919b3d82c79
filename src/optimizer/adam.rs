//! Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>) for rows of different ages.

use tch::{Kind, Tensor};

use crate::rows::rows;

const FIRST: f64 = 0.9;
const SECOND: f64 = 0.999;
const FLOOR: f64 = 1e-8;

rows! {
    /// Moments of R rows.
    pub(super) struct Adam {
        each {
            first: Tensor,
            second: Tensor,
            /// Steps `[R, 1, 1, 1]`.
            age: Tensor,
        }
    }
}

impl Adam {
    /// For parameters like `values` `[R, C, H, W]`.
    pub fn new(values: &Tensor) -> Self {
        let age = Tensor::zeros([values.size()[0], 1, 1, 1], (Kind::Float, values.device()));
        Adam { first: values.zeros_like(), second: values.zeros_like(), age }
    }

    /// The direction of one step against `gradient`; its values are about 1 while gradients agree.
    pub fn direction(&mut self, gradient: &Tensor) -> Tensor {
        self.age = &self.age + 1.0;
        self.first = &self.first * FIRST + gradient * (1.0 - FIRST);
        self.second = &self.second * SECOND + gradient.square() * (1.0 - SECOND);
        let corrected = |moment: &Tensor, rate: f64| -> Tensor { moment / (1.0 - (&self.age * rate.ln()).exp()) };
        -corrected(&self.first, FIRST) / (corrected(&self.second, SECOND).sqrt() + FLOOR)
    }

    /// The rows that `again` `[R, 1, 1, 1]` names begin again.
    pub fn restart(&mut self, again: &Tensor) {
        for state in [&mut self.first, &mut self.second, &mut self.age] {
            *state = state.masked_fill(again, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_pytorchs_adam() {
        // torch.optim.Adam([1.0], lr=0.1) on gradients 0.5, -2.0, 0.25: parameters after each step.
        let mut adam = Adam::new(&Tensor::zeros([1, 1, 1, 1], (Kind::Double, tch::Device::Cpu)));
        let mut x = 1.0;
        let expected = [0.900_000_002, 0.955_950_351, 0.991_190_828];
        for (gradient, expected) in [0.5, -2.0, 0.25].into_iter().zip(expected) {
            let gradient = Tensor::from_slice(&[gradient]).view([1, 1, 1, 1]);
            x += 0.1 * f64::try_from(adam.direction(&gradient)).unwrap();
            assert!((x - expected).abs() < 1e-5, "{x} {expected}");
        }
    }
}
