//! The nearest flip that the Fast Minimum-Norm attack finds (Pintor et al. 2021, <https://arxiv.org/abs/2102.12827>).

use super::{BoundaryBlock, Method, Ray};
use crate::suite::OptimizerName;

/// A ball of the row's own that shrinks around the nearest flip; see [`crate::optimizer`].
pub(super) struct NearestFlip;

impl Method for NearestFlip {
    fn rays(&self, block: &BoundaryBlock, samples: &[usize]) -> (Vec<Ray>, u64) {
        block.nearest(OptimizerName::Fmn, "boundary/fmn", samples)
    }
}
