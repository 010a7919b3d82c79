//! What plans, gates, records and reports ask of an attack, answered once for each kind.

use super::config::{AttackConfig, Control, Goal, Target, UnitSelection};
use crate::terms::{CellKind, LayerName};

/// Rows that an attack drives for each sample and radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driven {
    /// How many.
    pub count: u64,
    /// Whether there may be more: the number of a layer's units is not known.
    pub at_least: bool,
}

impl Goal {
    /// The kind of the attack's own cells; its role says what reports make of them.
    pub fn cell_kind(&self) -> CellKind {
        match self {
            Goal::ClassLogit { .. } => CellKind::ClassLogit,
            Goal::Unit { .. } => CellKind::Unit,
            Goal::Features { .. } => CellKind::Features,
        }
    }

    /// The rule by which each sample has a target; none where no class is driven.
    pub fn target(&self) -> Option<Target> {
        match self {
            Goal::ClassLogit { target, .. } => Some(*target),
            Goal::Unit { .. } | Goal::Features { .. } => None,
        }
    }

    /// The layer that is driven, as the suite writes it; none for the logits.
    pub fn layer(&self) -> Option<&LayerName> {
        match self {
            Goal::ClassLogit { .. } => None,
            Goal::Unit { layer, .. } | Goal::Features { layer, .. } => Some(layer),
        }
    }

    /// The same, to be named anew.
    pub fn layer_mut(&mut self) -> Option<&mut LayerName> {
        match self {
            Goal::ClassLogit { .. } => None,
            Goal::Unit { layer, .. } | Goal::Features { layer, .. } => Some(layer),
        }
    }

    /// The units that are driven one by one; none where something else is.
    pub fn units(&self) -> Option<&UnitSelection> {
        match self {
            Goal::Unit { units, .. } => Some(units),
            Goal::ClassLogit { .. } | Goal::Features { .. } => None,
        }
    }

    /// The controls that the suite asks for beside the attack.
    pub fn controls(&self) -> &[Control] {
        match self {
            Goal::Unit { controls, .. } => controls,
            Goal::ClassLogit { .. } | Goal::Features { .. } => &[],
        }
    }

    /// Whether more steps of the same attack are a control of it. A composition's budgets are its own, and units are not driven to flip.
    pub fn can_be_longer(&self) -> bool {
        matches!(self, Goal::ClassLogit { preset: None, .. })
    }

    /// The rows of a sample at one radius; `layer_units` is the number of the layer's units, if it is known.
    pub fn driven(&self, layer_units: Option<u64>) -> Driven {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let Some(units) = self.units() else { return Driven { count: 1, at_least: false } };
        let requested = match units {
            UnitSelection::TopActivation(top) | UnitSelection::Top { count: top, .. } => count(*top),
            UnitSelection::Random(drawn) => count(*drawn),
            UnitSelection::Listed(listed) => count(listed.len()),
            UnitSelection::All => layer_units.unwrap_or(1),
        };
        // A layer may have fewer units than the suite asks for.
        let count = layer_units.map_or(requested, |layer| requested.min(layer));
        Driven { count, at_least: *units == UnitSelection::All && layer_units.is_none() }
    }
}

impl AttackConfig {
    /// Every kind of cell that a run may have for the attack.
    pub fn cell_kinds(&self) -> Vec<CellKind> {
        let controls = self.goal.controls().iter().map(|control| match control {
            Control::Noise => CellKind::ControlNoise,
            Control::RandomUnit => CellKind::ControlRandomUnit,
        });
        let mut kinds: Vec<CellKind> = std::iter::once(self.goal.cell_kind()).chain(controls).collect();
        if self.goal.cell_kind().seeks_flips() {
            kinds.extend([CellKind::ControlNoise, CellKind::ControlSearch]);
            kinds.extend(self.goal.can_be_longer().then_some(CellKind::ControlLonger));
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::config::Direction;

    fn units(units: UnitSelection, controls: &[Control]) -> Goal {
        Goal::Unit { layer: "layer1".into(), units, direction: Direction::Maximize, controls: controls.to_vec() }
    }

    #[test]
    fn a_layer_may_have_fewer_units_than_are_asked_for() {
        let top = units(UnitSelection::TopActivation(8), &[]);
        assert_eq!(top.driven(Some(5)), Driven { count: 5, at_least: false });
        assert_eq!(top.driven(None), Driven { count: 8, at_least: false });
        let all = units(UnitSelection::All, &[]);
        assert_eq!(
            [all.driven(Some(5)), all.driven(None)].map(|driven| (driven.count, driven.at_least)),
            [(5, false), (1, true)]
        );
    }

    #[test]
    fn attacks_are_no_controls() {
        let goals = [units(UnitSelection::All, &[Control::Noise])];
        assert!(
            goals
                .iter()
                .all(|goal| !goal.cell_kind().is_control() && goal.layer().is_some() && goal.target().is_none())
        );
    }
}
