//! What checks of the attack itself found: counts that blocks add up.

use serde::{Deserialize, Serialize};

use crate::terms::{Epsilon, Norm};

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// Adversarial points that were planted behind the network's features, and those that the suite's attacks found.
    SelfTest,
    /// Random images as far away as the planted points, and those that are adversarial there: how hard the self-test is.
    SelfTestNoise,
    /// Samples that an attack did not flip, and those of them whose best loss still moved in the last tenth of the steps.
    LossStillMoves,
}

/// The counts of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The model.
    pub model: String,
    /// What was checked.
    pub check: CheckKind,
    /// The attack; empty for all of the suite's together.
    pub attack: String,
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub epsilon: Epsilon,
    /// How many were tried.
    pub n: u64,
    /// How many were found.
    pub found: u64,
}

impl Evidence {
    /// Adds `more` to the counts of the same checks in `all`.
    pub fn gather(all: &mut Vec<Evidence>, more: &[Evidence]) {
        for piece in more {
            let same = |known: &&mut Evidence| {
                (&known.model, known.check, &known.attack) == (&piece.model, piece.check, &piece.attack)
                    && (known.norm, known.epsilon) == (piece.norm, piece.epsilon)
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.n += piece.n;
                    known.found += piece.found;
                }
                None => all.push(piece.clone()),
            }
        }
    }
}
