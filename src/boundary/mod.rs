//! Distances to the decision boundary. A method finds rays from clean images through points that flip; what follows is shared: bisection
//! of the bracket, the nearest point of the boundary's linear likeness, measuring after clipping, a second verification, and the distance
//! to first order.
//!
//! A new method is one file that implements [`Method`], one line in [`method`], and one word in [`BoundaryMethod`].

mod linearized;
mod nearest;
mod path;
mod project;
mod radii;
mod ray;

pub use linearized::linearized;
pub use ray::{BoundaryBlock, Ray};

use crate::rows::Drives;
use crate::search::Finished;
use crate::suite::BoundaryMethod;

/// The samples whose boundary is searched.
pub struct Searched<'a> {
    /// Their places in the block.
    pub samples: &'a [usize],
    /// For every sample of the block its other classes and their distances to first order, the nearest first.
    pub linear: &'a [Vec<(i64, f64)>],
    /// For every sample of the block the class that has to be reached; none if any other than the predicted one may be.
    pub targets: &'a [Option<i64>],
}

impl Searched<'_> {
    /// The distance to first order: to the class that has to be reached, if there is one; infinite where there is no gradient.
    pub fn linearized(&self, sample: usize) -> f64 {
        let target = self.targets[sample];
        let counts = |(class, _): &&(i64, f64)| target.is_none_or(|target| *class == target);
        self.linear[sample].iter().find(counts).map_or(f64::INFINITY, |(_, distance)| *distance)
    }

    /// Where a sample's rows are driven, of a method that goes away from the predicted class or, if `nearest`, to the nearest other.
    fn drives(&self, sample: usize, nearest: bool) -> Drives {
        let nearest = self.linear[sample].first().map(|(class, _)| *class).filter(|_| nearest);
        self.targets[sample].or(nearest).map_or(Drives::Away, Drives::Towards)
    }

    /// The level of an image that counts: 1 a flip, 2 the target.
    fn level(&self) -> i64 {
        if self.targets.iter().any(Option::is_some) { 2 } else { 1 }
    }

    /// Whether a finished row reached what counts.
    fn reached(&self, row: &Finished) -> bool {
        if self.targets[row.row.sample].is_some() { row.hit } else { row.is_confirmed() }
    }
}

/// A way to find the boundary.
pub trait Method: Sync {
    /// Rays from the samples' clean images, one each, with the bracket of a flip if there is one; and the number of hits of the search
    /// that the f32 pass did not confirm.
    fn rays(&self, block: &BoundaryBlock, searched: &Searched) -> (Vec<Ray>, u64);
}

/// The method of this name. One line each.
pub fn method(name: BoundaryMethod) -> &'static dyn Method {
    match name {
        BoundaryMethod::Path => &path::AlongPath,
        BoundaryMethod::Fmn => &nearest::FMN,
        BoundaryMethod::Deepfool => &nearest::DEEPFOOL,
        BoundaryMethod::Fab => &nearest::FAB,
        BoundaryMethod::Ddn => &nearest::DDN,
        BoundaryMethod::Cw => &nearest::CW,
        BoundaryMethod::SigmaZero => &nearest::SIGMA_ZERO,
        BoundaryMethod::Apgd => &radii::OverRadii,
    }
}
