//! Ascent with momentum: MI-FGSM (Dong et al. 2018, <https://arxiv.org/abs/1710.06081>), and with Nesterov's look ahead NI-FGSM (Lin et
//! al. 2020, <https://arxiv.org/abs/1908.06281>).
//!
//! `v <- v + g / mean|g|`, then a step of steepest ascent along `v`. Flat directions and sharp turns of single gradients average out, which
//! is worth little on the attacked model and much on others: its images transfer better.

use tch::{Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen};
use crate::region::Region;
use crate::rows::{Entrants, rows};

/// What is left of the velocity after a step: all of it, as both papers have it.
const DECAY: f64 = 1.0;

rows! {
    /// Each step goes `share` of the region's size along the velocity, and back into the region.
    struct Momentum {
        each {
            image: Tensor,
            velocity: Tensor,
            share: Tensor,
            /// What is looked at: the image, or where the velocity alone would take it.
            query: Tensor,
        }
        all { ahead: bool }
    }
}

/// Rows that begin at `first`.
pub(super) fn momentum(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    enter(pace, entrants, first, false)
}

/// Rows that begin at `first` and look ahead.
pub(super) fn nesterov(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    enter(pace, entrants, first, true)
}

fn enter(pace: Pace, entrants: &Entrants, first: Tensor, ahead: bool) -> Box<dyn Optimizer> {
    let share = Tensor::full([entrants.rows.len() as i64, 1, 1, 1], pace.share, (Kind::Float, entrants.device()));
    Box::new(Momentum { velocity: first.zeros_like(), query: first.shallow_clone(), image: first, share, ahead })
}

impl Optimizer for Momentum {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.query.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let Some(gradient) = observed.gradient else { return };
        let scale = gradient.flatten(1, -1).abs().mean_dim([1i64].as_slice(), false, None).view([-1, 1, 1, 1]);
        // Tiny gradients count as much as large ones; a zero one leaves the velocity as it is.
        self.velocity = &self.velocity * DECAY + gradient / scale.clamp_min(1e-30);
        self.image = region.project(&region.ascend(&self.image, &self.velocity, &self.share));
        self.query = if self.ahead {
            region.project(&region.ascend(&self.image, &self.velocity, &(&self.share * DECAY)))
        } else {
            self.image.shallow_clone()
        };
    }

    fn best(&self) -> Option<Tensor> {
        self.ahead.then(|| self.image.shallow_clone())
    }
}
