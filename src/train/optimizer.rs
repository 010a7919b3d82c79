//! SGD with Nesterov momentum, and AdamW, with a state that checkpoints can hold.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::recipe::{OptimizerKind, TrainRecipe};

struct Slot {
    name: String,
    parameter: Tensor,
    first: Tensor,
    second: Option<Tensor>,
    decay: f64,
}

/// Changes parameters by their gradients.
pub struct Optimizer {
    kind: OptimizerKind,
    slots: Vec<Slot>,
    steps: i64,
    clip_norm: f64,
}

const MOMENTUM: f64 = 0.9;
const BETAS: (f64, f64) = (0.9, 0.999);

impl Optimizer {
    /// An optimizer with zero state for `parameters`.
    pub fn new(recipe: &TrainRecipe, parameters: &BTreeMap<String, Tensor>) -> Self {
        let slots = parameters
            .iter()
            .map(|(name, parameter)| Slot {
                name: name.clone(),
                parameter: parameter.shallow_clone(),
                first: parameter.detach().zeros_like(),
                second: (recipe.optimizer == OptimizerKind::Adamw).then(|| parameter.detach().zeros_like()),
                decay: if parameter.dim() >= 2 && name.ends_with("weight") { recipe.weight_decay } else { 0.0 },
            })
            .collect();
        Optimizer { kind: recipe.optimizer, slots, steps: 0, clip_norm: recipe.clip_norm }
    }

    /// One step down the gradient of `loss`.
    pub fn step(&mut self, loss: &Tensor, lr: f64) {
        let parameters: Vec<&Tensor> = self.slots.iter().map(|slot| &slot.parameter).collect();
        let mut gradients = Tensor::run_backward(&[loss], &parameters, false, false);
        self.steps += 1;
        tch::no_grad(|| {
            if self.clip_norm > 0.0 {
                let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
                let factor = (self.clip_norm / (Tensor::stack(&norms, 0).norm() + 1e-6)).clamp_max(1.0);
                for gradient in &mut gradients {
                    *gradient *= &factor;
                }
            }
            for (slot, gradient) in self.slots.iter_mut().zip(&gradients) {
                match self.kind {
                    OptimizerKind::Sgd => slot.sgd(gradient, lr),
                    OptimizerKind::Adamw => slot.adamw(gradient, lr, self.steps),
                }
            }
        });
    }

    /// The state by name, for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::from([("optimizer.steps".to_owned(), Tensor::from(self.steps).view([1]))]);
        for slot in &self.slots {
            state.insert(format!("optimizer.first.{}", slot.name), slot.first.shallow_clone());
            if let Some(second) = &slot.second {
                state.insert(format!("optimizer.second.{}", slot.name), second.shallow_clone());
            }
        }
        state
    }

    /// Takes the state of a checkpoint; false if a tensor is missing.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> bool {
        let Some(steps) = state.get("optimizer.steps") else { return false };
        self.steps = steps.int64_value(&[0]);
        self.slots.iter_mut().all(|slot| {
            let Some(first) = state.get(&format!("optimizer.first.{}", slot.name)) else { return false };
            slot.first.copy_(first);
            match &mut slot.second {
                None => true,
                Some(second) => {
                    state.get(&format!("optimizer.second.{}", slot.name)).map(|saved| second.copy_(saved)).is_some()
                }
            }
        })
    }
}

impl Slot {
    fn sgd(&mut self, gradient: &Tensor, lr: f64) {
        let gradient =
            if self.decay > 0.0 { gradient + &self.parameter * self.decay } else { gradient.shallow_clone() };
        self.first *= MOMENTUM;
        self.first += &gradient;
        let update = gradient + &self.first * MOMENTUM;
        self.parameter -= update * lr;
    }

    fn adamw(&mut self, gradient: &Tensor, lr: f64, step: i64) {
        let Some(second) = &mut self.second else { return };
        self.parameter *= 1.0 - lr * self.decay;
        self.first *= BETAS.0;
        self.first += gradient * (1.0 - BETAS.0);
        *second *= BETAS.1;
        *second += gradient.square() * (1.0 - BETAS.1);
        let (first_bias, second_bias) = (1.0 - BETAS.0.powi(step as i32), 1.0 - BETAS.1.powi(step as i32));
        let spread = (&*second / second_bias).sqrt() + 1e-8;
        self.parameter -= &self.first / spread * (lr / first_bias);
    }
}

/// Cross-entropy with label smoothing, averaged over the batch.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    let log_probabilities = logits.log_softmax(-1, Kind::Float);
    let picked = log_probabilities.gather(1, &labels.unsqueeze(1), false).mean(Kind::Float);
    let spread = log_probabilities.mean(Kind::Float);
    -(picked * (1.0 - smoothing) + spread * smoothing)
}
