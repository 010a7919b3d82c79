//! `kind = "features"`: a layer's features as a whole.

use serde::{Deserialize, Serialize};

use super::GoalKind;
use crate::suite::features::FeatureObjective;
use crate::suite::row_passes::Passes;
use crate::terms::{CellKind, LayerName};

/// Drives what is made of a layer's features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeaturesGoal {
    /// What is made of them.
    pub objective: FeatureObjective,
    /// The layer.
    pub layer: LayerName,
}

impl GoalKind for FeaturesGoal {
    fn cell_kind(&self) -> CellKind {
        CellKind::Features
    }

    fn layer(&self) -> Option<&LayerName> {
        Some(&self.layer)
    }

    fn layer_mut(&mut self) -> Option<&mut LayerName> {
        Some(&mut self.layer)
    }

    fn is_followed_unasked(&self) -> bool {
        false
    }

    fn objective_word(&self) -> Option<&'static str> {
        Some(self.objective.as_str())
    }

    fn follows_readout(&self) -> bool {
        self.objective == FeatureObjective::Readout
    }

    fn follows_guides(&self) -> bool {
        self.objective == FeatureObjective::Guided
    }

    fn preparation(&self) -> Passes {
        self.objective.preparation()
    }
}
