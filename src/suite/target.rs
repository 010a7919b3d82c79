//! The class that an attack drives.

use serde::{Deserialize, Serialize};

/// The class that a class-logit attack drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The class with the smallest clean logit.
    LeastLikely,
    /// The class with the second-largest clean logit.
    RunnerUp,
    /// The class that is nearest to first order on the clean image (Melamed et al. 2024, <https://arxiv.org/abs/2407.02240>).
    Nearest,
    /// A class drawn by seed and sample id, not the predicted one.
    Random,
    /// A class index.
    Class(usize),
    /// Away from the predicted class.
    Untargeted,
}

/// As the `target` column of `samples.csv` writes it: `least-likely`, `class:3`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::LeastLikely => f.write_str("least-likely"),
            Target::RunnerUp => f.write_str("runner-up"),
            Target::Nearest => f.write_str("nearest"),
            Target::Random => f.write_str("random"),
            Target::Class(index) => write!(f, "class:{index}"),
            Target::Untargeted => f.write_str("untargeted"),
        }
    }
}

impl Target {
    /// Every rule that a word names; class indices are the others.
    pub const NAMED: [Target; 5] =
        [Target::Untargeted, Target::LeastLikely, Target::RunnerUp, Target::Nearest, Target::Random];

    /// Whether no class is driven.
    pub fn is_any(&self) -> bool {
        *self == Target::Untargeted
    }

    /// The rule that a word names.
    pub fn named(word: &str) -> Option<Self> {
        Target::NAMED.into_iter().find(|target| target.to_string() == word)
    }
}

/// What [`Target`]'s text says.
impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let class = text.strip_prefix("class:").and_then(|index| index.parse().ok()).map(Target::Class);
        class.or_else(|| Target::named(text)).ok_or_else(|| {
            let known = Target::NAMED.map(|target| target.to_string()).join(", ");
            format!("`{text}` is no target; known are {known}, class:INDEX")
        })
    }
}
