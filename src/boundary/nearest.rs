//! The boundary by methods that look for the nearest flip themselves: their optimizer runs in the ball of the largest radius, and the
//! nearest image that flipped is drawn towards the clean one.

use super::{BoundaryBlock, Method, Ray, Searched};
use crate::search::Criterion;
use crate::suite::{Loss, OptimizerName};

/// A minimal-norm attack.
pub(super) struct Nearest {
    optimizer: OptimizerName,
    loss: Loss,
    /// Whether its first flip is its answer.
    first: bool,
    /// Whether it drives towards the class that is nearest to first order, not away from the clean one.
    towards: bool,
}

impl Nearest {
    const fn new(optimizer: OptimizerName, loss: Loss) -> Self {
        Nearest { optimizer, loss, first: false, towards: false }
    }
}

/// Fast Minimum-Norm attack.
pub(super) const FMN: Nearest = Nearest::new(OptimizerName::Fmn, Loss::Margin);
/// DeepFool, which ends at its first flip.
pub(super) const DEEPFOOL: Nearest = Nearest { first: true, ..Nearest::new(OptimizerName::Deepfool, Loss::Margin) };
/// FAB.
pub(super) const FAB: Nearest = Nearest::new(OptimizerName::Fab, Loss::Margin);
/// DDN.
pub(super) const DDN: Nearest = Nearest::new(OptimizerName::Ddn, Loss::Ce);
/// Carlini and Wagner's attack. The class with the next highest logit, to which it would be drawn, need not be the nearest.
pub(super) const CW: Nearest = Nearest { towards: true, ..Nearest::new(OptimizerName::Cw, Loss::Margin) };
/// sigma-zero.
pub(super) const SIGMA_ZERO: Nearest = Nearest::new(OptimizerName::SigmaZero, Loss::Margin);

impl Method for Nearest {
    fn rays(&self, block: &BoundaryBlock, searched: &Searched) -> (Vec<Ray>, u64) {
        let level = searched.level();
        let criterion = if self.first { Criterion::first(level) } else { Criterion::nearest_of(level) };
        block.nearest((self.optimizer, self.loss, criterion), searched, self.towards)
    }
}
