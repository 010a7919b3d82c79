//! Distances to the decision boundary. A method finds rays from clean images through points that flip; what follows is shared: bisection
//! of the bracket, measuring after clipping, a second verification, and the distance to first order.
//!
//! A new method is one file that implements [`Method`], one line in [`METHODS`], and one word in [`BoundaryMethod`].

mod linearized;
mod nearest;
mod path;
mod ray;

pub use linearized::linearized;
pub use ray::{BoundaryBlock, Ray};

use crate::suite::BoundaryMethod;

/// A way to find the boundary.
pub trait Method: Sync {
    /// Rays from these samples' clean images, one each, with the bracket of a flip if there is one; and the number of hits of the search
    /// that the f32 pass did not confirm.
    fn rays(&self, block: &BoundaryBlock, samples: &[usize]) -> (Vec<Ray>, u64);
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
];

/// The method of this name.
pub fn method(name: BoundaryMethod) -> &'static dyn Method {
    match METHODS.iter().find(|(known, _)| *known == name) {
        Some((_, method)) => *method,
        None => unreachable!("every name has its line"),
    }
}
