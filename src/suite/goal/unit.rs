//! `kind = "unit"`: single units of a layer.

use serde::{Deserialize, Serialize};

use super::GoalKind;
use crate::suite::row_passes::Passes;
use crate::suite::selection::{Control, Direction, UnitSelection};
use crate::terms::{CellKind, LayerName};

/// Drives units inside the network, one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitGoal {
    /// The layer.
    pub layer: LayerName,
    /// The units.
    pub units: UnitSelection,
    /// Maximize or suppress.
    pub direction: Direction,
    /// Controls of equal norm and budget that run beside the attack.
    pub controls: Vec<Control>,
}

impl GoalKind for UnitGoal {
    fn cell_kind(&self) -> CellKind {
        CellKind::Unit
    }

    fn layer(&self) -> Option<&LayerName> {
        Some(&self.layer)
    }

    fn layer_mut(&mut self) -> Option<&mut LayerName> {
        Some(&mut self.layer)
    }

    fn units(&self) -> Option<&UnitSelection> {
        Some(&self.units)
    }

    fn controls(&self) -> &[Control] {
        &self.controls
    }

    fn ranking(&self, classes: u64) -> Passes {
        self.units.choosing_by_sample(classes)
    }
}
