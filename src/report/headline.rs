//! The one radius that first screens speak about.

use crate::stats::Estimate;
use crate::summary::{ModelSummary, RunSummary};
use crate::terms::{Epsilon, Norm, headline_radius};

/// A norm and radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headline {
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub epsilon: Epsilon,
}

/// The first norm of linf, l2, l1 that the run attacked, and in it the radius that RobustBench reports (8/255 or
/// 4/255; 0.5; 12) where the run has it, else the largest. None for a run without attacks.
pub fn headline(summary: &RunSummary) -> Option<Headline> {
    headlines(summary).into_iter().next()
}

/// The same for each norm of the run.
pub fn headlines(summary: &RunSummary) -> Vec<Headline> {
    let radii = |norm: Norm| {
        let all = summary.models.iter().flat_map(|model| &model.worst_case);
        all.filter(move |(known, _, _)| *known == norm).map(|(_, epsilon, _)| *epsilon)
    };
    let headline = |norm: Norm| Some(Headline { norm, epsilon: headline_radius(norm, radii(norm))? });
    Norm::ALL.into_iter().filter_map(headline).collect()
}

/// The model's worst case at `at`, if it was attacked there.
pub fn worst_case_at(model: &ModelSummary, at: Headline) -> Option<Estimate> {
    let mut all = model.worst_case.iter();
    all.find(|(norm, epsilon, _)| *norm == at.norm && *epsilon == at.epsilon).map(|(_, _, estimate)| *estimate)
}
