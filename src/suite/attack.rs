//! `[[attack]]`: what is driven, in which balls, by which optimizer.

use serde::{Deserialize, Serialize};

use super::choices::{OptimizerName, Sweep};
use super::features::GradientViews;
use super::goal::Goal;
use super::selection::Control;
use crate::terms::{CellKind, Epsilon, Norm};

/// `[[attack]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackConfig {
    /// The name used in records and reports.
    pub name: String,
    /// The models it runs on, by name, in the suite's order; none means all of them.
    pub models: Option<Vec<String>>,
    /// What the attack drives.
    pub goal: Goal,
    /// The norm of the ball.
    pub norm: Norm,
    /// Radii, ascending, without repetition, at least one.
    pub epsilons: Vec<Epsilon>,
    /// Ascent steps for each row.
    pub steps: usize,
    /// Step size over epsilon; none means 2.5 / steps.
    pub step_size: Option<f64>,
    /// Independent starts: the first from the clean image, the others random.
    pub restarts: usize,
    /// When a row may leave.
    pub stop: Stop,
    /// How rows move.
    #[serde(default, skip_serializing_if = "OptimizerName::is_default")]
    pub optimizer: OptimizerName,
    /// Views over which each gradient is averaged; none for the image alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<GradientViews>,
    /// In which order several radii are settled.
    #[serde(default, skip_serializing_if = "Sweep::is_each")]
    pub sweep: Sweep,
}

impl AttackConfig {
    /// Whether the attack runs on this model.
    pub fn applies_to(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|name| name == model))
    }

    /// Whether it runs random noise of equal norm beside itself.
    pub fn has_noise_control(&self) -> bool {
        self.goal.controls().contains(&Control::Noise)
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

/// When a row of an attack may leave before its steps are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// As soon as the prediction flips (the default of untargeted attacks).
    Flip,
    /// As soon as the target class is predicted (the default of targeted attacks).
    Target,
    /// Never: every step is used (the default of unit attacks, so that gains compare).
    Budget,
}
