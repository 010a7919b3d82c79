//! Distances to the decision boundary. A method finds rays from clean images through points that flip; what follows is shared: bisection
//! of the bracket, the nearest point of the boundary's linear likeness, measuring after clipping, a second verification, and the distance
//! to first order.
//!
//! A new method is one file that implements [`Method`], one line in [`METHODS`], and one word in [`BoundaryMethod`].

mod linearized;
mod nearest;
mod path;
mod project;
mod radii;
mod ray;

pub use linearized::linearized;
pub use ray::{BoundaryBlock, Ray};

use crate::suite::BoundaryMethod;

/// The samples whose boundary is searched.
pub struct Searched<'a> {
    /// Their places in the block.
    pub samples: &'a [usize],
    /// For every sample of the block its other classes and their distances to first order, the nearest first.
    pub linear: &'a [Vec<(i64, f64)>],
}

impl Searched<'_> {
    /// The distance to first order; infinite where there is no gradient.
    pub fn linearized(&self, sample: usize) -> f64 {
        self.linear[sample].first().map_or(f64::INFINITY, |(_, distance)| *distance)
    }
}

/// A way to find the boundary.
pub trait Method: Sync {
    /// Rays from the samples' clean images, one each, with the bracket of a flip if there is one; and the number of hits of the search
    /// that the f32 pass did not confirm.
    fn rays(&self, block: &BoundaryBlock, searched: &Searched) -> (Vec<Ray>, u64);

    /// Whether its rays may be replaced by nearer ones through the boundary's linear likeness.
    fn projects(&self) -> bool {
        true
    }
}

/// The methods. One line each.
pub const METHODS: &[(BoundaryMethod, &dyn Method)] = &[
    (BoundaryMethod::Path, &path::AlongPath),
    (BoundaryMethod::Fmn, &nearest::FMN),
    (BoundaryMethod::Deepfool, &nearest::DEEPFOOL),
    (BoundaryMethod::Fab, &nearest::FAB),
    (BoundaryMethod::Ddn, &nearest::DDN),
    (BoundaryMethod::Cw, &nearest::CW),
    (BoundaryMethod::SigmaZero, &nearest::SIGMA_ZERO),
    (BoundaryMethod::Apgd, &radii::OverRadii),
];

/// The method of this name.
pub fn method(name: BoundaryMethod) -> &'static dyn Method {
    match METHODS.iter().find(|(known, _)| *known == name) {
        Some((_, method)) => *method,
        None => unreachable!("every name has its line"),
    }
}
