//! Steepest ascent with projection, in steps of one length (projected gradient ascent; Madry et al. 2018,
//! <https://arxiv.org/abs/1706.06083>).

use tch::{Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen};
use crate::region::Region;
use crate::rows::{Entrants, rows};

rows! {
    /// Each step goes `share` of the region's size along the direction in which the objective rises most, and back into the region.
    struct Steepest {
        each { image: Tensor, share: Tensor }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    let share = Tensor::full([entrants.rows.len() as i64, 1, 1, 1], pace.share, (Kind::Float, entrants.device()));
    Box::new(Steepest { image: first, share })
}

impl Optimizer for Steepest {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        if let Some(gradient) = observed.gradient {
            self.image = region.project(&region.ascend(&self.image, gradient, &self.share));
        }
    }
}
