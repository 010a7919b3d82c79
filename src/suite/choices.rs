//! Losses, optimizers and canvases by name.

use serde::{Deserialize, Serialize};

use crate::terms::{Norm, words};

words! {
    /// The function of the logits that a class-logit attack maximizes (for untargeted attacks, with y the clean prediction:
    /// -z_y, max_j z_j - z_y, cross-entropy of y, DLR, max_j p_j - p_y; for targeted ones z_t, z_t - max_j z_j, -cross-entropy of t, targeted DLR,
    /// p_t - max_j p_j).
    #[derive(Default)]
    pub enum Loss {
        /// The logit itself: activation maximization proper.
        #[default]
        Logit = "logit",
        /// Difference to the best other logit.
        Margin = "margin",
        /// Cross-entropy.
        Ce = "ce",
        /// Difference of logits ratio (Croce and Hein 2020).
        Dlr = "dlr",
        /// Difference to the best other class in probabilities (Xie et al. 2024, <https://arxiv.org/abs/2411.15210>).
        Pma = "pma",
    }
}

impl Loss {
    /// Classes that a model must have for it to be defined.
    pub fn classes(self, targeted: bool) -> usize {
        match self {
            Loss::Logit | Loss::Margin | Loss::Ce | Loss::Pma => 2,
            // The targeted ratio looks at the fourth logit too.
            Loss::Dlr => 3 + usize::from(targeted),
        }
    }
}

/// In which order the radii of an attack are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Sweep {
    /// Each for itself, ascending: a flip settles all larger ones.
    #[default]
    Each,
    /// A search for the nearest flip settles all beyond it, and only those below are attacked, the largest first.
    Nearest,
}

impl Sweep {
    /// Whether this is what older suites have.
    pub fn is_each(&self) -> bool {
        *self == Sweep::Each
    }
}

/// The form of a run's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableForm {
    /// `samples.csv`: text that everything reads.
    Csv,
    /// `samples.parquet`: typed columns, compressed, for pandas, polars and databases.
    Parquet,
}

words! {
    /// How rows move.
    #[derive(Default)]
    pub enum OptimizerName {
        /// Steepest ascent in steps of one length, projected (projected gradient ascent).
        #[default]
        Steepest = "steepest",
        /// Ascent with momentum (MI-FGSM): its images transfer better to other models.
        Momentum = "momentum",
        /// Ascent with momentum that looks ahead (NI-FGSM).
        Nesterov = "nesterov",
        /// Auto-PGD: ascent with momentum whose steps are halved when they stop paying (Croce and Hein 2020); sparse steps in l1 balls.
        Apgd = "apgd",
        /// The same, whose first quarter is taken in balls of twice the radius, from which its best image is drawn into the ball: it is
        /// caught less often by images that are the best of their neighbourhood only, above all on its way towards a class.
        ApgdWide = "apgd-wide",
        /// Square Attack: random search that asks for no gradient, in l-inf and l2 balls (Andriushchenko et al. 2020).
        Square = "square",
        /// Fast Minimum-Norm attack: the nearest flip (Pintor et al. 2021). A method of `[boundary]`.
        Fmn = "fmn",
        /// DeepFool: to the nearest boundary of the network's linear likeness (Moosavi-Dezfooli et al. 2016).
        Deepfool = "deepfool",
        /// FAB: projections onto the nearest linear boundary, drawn towards the clean image (Croce and Hein 2020).
        Fab = "fab",
        /// DDN: gradient steps on a sphere that shrinks where the image flips, l2 (Rony et al. 2019).
        Ddn = "ddn",
        /// Carlini and Wagner's l2 attack (2017).
        Cw = "cw",
        /// sigma-zero: descent on a smooth number of changed values, l0 (Cinà et al. 2025).
        SigmaZero = "sigma-zero",
    }
}

/// What an optimizer looks for, and who says how long its steps are.
#[derive(PartialEq)]
enum Family {
    /// The best image of a ball, by steps of the suite's length.
    Ascent,
    /// The same, by steps of its own choice.
    Adaptive,
    /// The nearest flip.
    Nearest,
}

impl OptimizerName {
    /// The norms in whose balls it is defined.
    pub fn norms(self) -> &'static [Norm] {
        match self {
            OptimizerName::Square => &[Norm::Linf, Norm::L2],
            OptimizerName::Ddn | OptimizerName::Cw => &[Norm::L2],
            OptimizerName::SigmaZero => &[Norm::L0],
            OptimizerName::Fmn => &[Norm::Linf, Norm::L2, Norm::L1, Norm::L0],
            OptimizerName::Steepest
            | OptimizerName::Momentum
            | OptimizerName::Nesterov
            | OptimizerName::Apgd
            | OptimizerName::ApgdWide
            | OptimizerName::Deepfool
            | OptimizerName::Fab => &[Norm::Linf, Norm::L2, Norm::L1],
        }
    }

    /// Whether it chooses the length of its steps itself.
    pub fn adapts(self) -> bool {
        self.family() != Family::Ascent
    }

    /// Whether it looks for the nearest flip: then it is a method of `[boundary]`, and no way to the best image of a ball.
    pub fn is_nearest(self) -> bool {
        self.family() == Family::Nearest
    }

    fn family(self) -> Family {
        match self {
            OptimizerName::Steepest | OptimizerName::Momentum | OptimizerName::Nesterov => Family::Ascent,
            OptimizerName::Apgd | OptimizerName::ApgdWide | OptimizerName::Square => Family::Adaptive,
            OptimizerName::Fmn
            | OptimizerName::Deepfool
            | OptimizerName::Fab
            | OptimizerName::Ddn
            | OptimizerName::Cw
            | OptimizerName::SigmaZero => Family::Nearest,
        }
    }

    /// Whether this is what suites get that name none.
    pub fn is_default(&self) -> bool {
        *self == OptimizerName::default()
    }
}

/// What the parameters of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CanvasWord {
    /// Pixels.
    Pixel,
    /// A spectrum.
    Fourier,
    /// Phases.
    Maco,
}
