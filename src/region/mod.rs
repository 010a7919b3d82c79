//! Where images may go: around each row's centre. A region knows nothing of models, objectives or optimizers.
//!
//! A new norm is one file with a [`BallShape`] and one line in [`shape`]; a region that is no ball implements [`Region`] itself.

mod ball;
mod l0;
mod l1;
mod l2;
mod linf;
mod plane;

pub use ball::{Ball, BallShape, Bounds};
pub use plane::displacement;
use tch::Tensor;

use crate::rows::{Entrants, RowState};
use crate::terms::Norm;

/// Where images may go: around each row's centre, and always inside the box [0, 1].
///
/// Images are `[R, C, H, W]`, f32. The state of a row is the image itself, not the perturbation: only so is the image that is verified
/// and saved inside its region to the last bit.
pub trait Region: RowState {
    /// The centres `[R, C, H, W]`.
    fn center(&self) -> &Tensor;

    /// The sizes `[R, 1, 1, 1]` in f32; for balls the radius, in pixel units of [0, 1].
    fn size(&self) -> &Tensor;

    /// The image inside the region that is nearest to `image`, or near enough for ascent to go on from it.
    fn project(&self, image: &Tensor) -> Tensor;

    /// One step of steepest ascent along `gradient`, `share` `[R, 1, 1, 1]` times the size long, not projected. A zero gradient moves
    /// nothing.
    fn ascend(&self, image: &Tensor, gradient: &Tensor, share: &Tensor) -> Tensor;

    /// Where the rows that `random` names begin: drawn inside the region by their own streams. The others begin at their centre. The
    /// region's rows are those of `entrants`.
    fn start(&self, entrants: &Entrants, random: &[bool]) -> Tensor;

    /// Random noise as large as the region allows. The region's rows are those of `entrants`.
    fn full_noise(&self, entrants: &Entrants) -> Tensor;

    /// What measures perturbations; none where no norm does.
    fn shape(&self) -> Option<&'static dyn BallShape>;
}

/// Makes the regions of rows that enter.
pub trait Regions {
    /// Regions around the centres of `entrants`.
    fn around(&self, entrants: &Entrants) -> Box<dyn Region>;

    /// The norm in which an image of a row is at most the row's size from its centre; none where no norm limits it.
    fn norm(&self) -> Option<Norm>;
}

/// Balls of a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balls(pub Norm);

impl Regions for Balls {
    fn around(&self, entrants: &Entrants) -> Box<dyn Region> {
        Box::new(Ball::new(shape(self.0), entrants))
    }

    fn norm(&self) -> Option<Norm> {
        Some(self.0)
    }
}

/// The shape of the balls of `norm`. One line each.
pub fn shape(norm: Norm) -> &'static dyn BallShape {
    match norm {
        Norm::Linf => &linf::Linf,
        Norm::L2 => &l2::L2,
        Norm::L1 => &l1::L1,
        Norm::L0 => &l0::L0,
    }
}
