//! DeepFool (Moosavi-Dezfooli et al. 2016, <https://arxiv.org/abs/1511.04599>): to the nearest boundary of the network's linear likeness,
//! again and again, until the label changes.

use tch::Tensor;

use super::rivals::Rivals;
use super::{Needs, Optimizer, Pace, Seen};
use crate::region::{Region, displacement};
use crate::rows::{Entrants, rows};

/// How much farther than to the boundary the images go that are looked at.
const OVERSHOOT: f64 = 0.02;
/// Added to each step, as a share of it: the paper's code adds 1e-4 to the distance, which is more than some networks' distances.
const SLACK: f64 = 1e-3;

rows! {
    /// The sum of the steps without the overshoot.
    struct DeepFool {
        each { image: Tensor, walked: Tensor, rivals: Rivals }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
    let walked = &first - region.center();
    Box::new(DeepFool { image: first, walked, rivals: Rivals::new(entrants, pace.level) })
}

impl Optimizer for DeepFool {
    fn needs(&self) -> Needs {
        Needs::Logits
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let (Some(pass), Some(shape)) = (observed.pass, region.shape()) else { return };
        let boundary = self.rivals.nearest(pass, shape);
        // The paper's step ends at the boundary of the linear likeness; where the box cuts it off, the nearest point inside does.
        let gap = boundary.value.abs() * (1.0 + SLACK);
        let step = displacement(shape.norm(), &self.image, &boundary.normal, &gap);
        self.walked = &self.walked + step;
        self.image = region.project(&(region.center() + &self.walked * (1.0 + OVERSHOOT)));
    }
}
