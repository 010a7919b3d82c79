//! `[boundary]`: how the distance to the decision boundary is measured.

use serde::{Deserialize, Serialize};

use super::choices::Loss;
use super::target::Target;
use crate::terms::{Epsilon, Norm, words};

/// `[boundary]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoundaryConfig {
    /// The norm in which distance is measured.
    pub norm: Norm,
    /// The search methods.
    pub methods: Vec<BoundaryMethod>,
    /// Largest radius searched, in pixel units of [0, 1]; beyond it a distance is censored.
    pub max_radius: Epsilon,
    /// Steps of each method.
    pub steps: usize,
    /// What the path's ascent maximizes.
    pub loss: Loss,
    /// Bisection steps after the bracket is found.
    pub bisections: usize,
    /// The class that counts as flipped; every class but the predicted one unless the suite says so.
    #[serde(default = "any_class", skip_serializing_if = "Target::is_any")]
    pub target: Target,
}

fn any_class() -> Target {
    Target::Untargeted
}

words! {
    /// How the boundary is searched.
    pub enum BoundaryMethod {
        /// Along the direction that activation maximization takes: a geometric grid, then bisection.
        Path = "path",
        /// The nearest flip of the Fast Minimum-Norm attack, then bisection (Pintor et al. 2021).
        Fmn = "fmn",
        /// DeepFool (Moosavi-Dezfooli et al. 2016), for linf, l2 and l1.
        Deepfool = "deepfool",
        /// FAB (Croce and Hein 2020), for linf, l2 and l1.
        Fab = "fab",
        /// DDN (Rony et al. 2019), for l2.
        Ddn = "ddn",
        /// Carlini and Wagner's attack (2017), for l2.
        Cw = "cw",
        /// sigma-zero (Cinà et al. 2025), for l0.
        SigmaZero = "sigma-zero",
        /// Auto-PGD in balls whose radius is searched, for linf, l2 and l1.
        Apgd = "apgd",
    }
}

impl BoundaryMethod {
    /// Whether its rays in `norm` may be replaced by nearer ones through the boundary's linear likeness.
    pub fn projects(self, norm: Norm) -> bool {
        let is_own_measure = match self {
            // It measures how good a direction activation maximization finds.
            BoundaryMethod::Path => true,
            BoundaryMethod::Fmn
            | BoundaryMethod::Deepfool
            | BoundaryMethod::Fab
            | BoundaryMethod::Ddn
            | BoundaryMethod::Cw
            | BoundaryMethod::SigmaZero
            | BoundaryMethod::Apgd => false,
        };
        let has_likeness = match norm {
            Norm::Linf | Norm::L2 | Norm::L1 => true,
            // The fewest values that reach a plane are no point near it.
            Norm::L0 => false,
        };
        has_likeness && !is_own_measure
    }

    /// The norms in which the method measures.
    pub fn norms(self) -> &'static [Norm] {
        match self {
            BoundaryMethod::Fmn => &[Norm::Linf, Norm::L2, Norm::L1, Norm::L0],
            BoundaryMethod::Path | BoundaryMethod::Deepfool | BoundaryMethod::Fab | BoundaryMethod::Apgd => {
                &[Norm::Linf, Norm::L2, Norm::L1]
            }
            BoundaryMethod::Ddn | BoundaryMethod::Cw => &[Norm::L2],
            BoundaryMethod::SigmaZero => &[Norm::L0],
        }
    }
}

/// Classes, the predicted one included, that the distance to first order looks at: the most likely ones.
pub const LINEARIZED_CLASSES: u64 = 10;
