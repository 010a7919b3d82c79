//! The one radius that first screens speak about.

use crate::stats::Estimate;
use crate::summary::{ModelSummary, RunSummary};
use crate::terms::{Epsilon, Norm};

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
    let usual = |norm: Norm| match norm {
        Norm::Linf => vec![8.0 / 255.0, 4.0 / 255.0],
        Norm::L2 => vec![0.5],
        Norm::L1 => vec![12.0],
    };
    let mut headlines = Vec::new();
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let all = summary.models.iter().flat_map(|model| &model.worst_case);
        let radii: Vec<Epsilon> = all.filter(|(of, _, _)| *of == norm).map(|(_, epsilon, _)| *epsilon).collect();
        let near = |wish: f64| radii.iter().copied().find(|radius| (radius.value() - wish).abs() < 1e-9);
        if let Some(epsilon) = usual(norm).into_iter().find_map(near).or(radii.iter().copied().max()) {
            headlines.push(Headline { norm, epsilon });
        }
    }
    headlines
}

/// The model's worst case at `at`, if it was attacked there.
pub fn worst_case_at(model: &ModelSummary, at: Headline) -> Option<Estimate> {
    let mut all = model.worst_case.iter();
    all.find(|(norm, epsilon, _)| *norm == at.norm && *epsilon == at.epsilon).map(|(_, _, estimate)| *estimate)
}
