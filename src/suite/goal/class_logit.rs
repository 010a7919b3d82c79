//! `kind = "class-logit"` and the compositions: a function of the logits.

use serde::{Deserialize, Serialize};

use super::{Goal, GoalKind};
use crate::suite::boundary::LINEARIZED_CLASSES;
use crate::suite::choices::Loss;
use crate::suite::presets::Preset;
use crate::suite::row_passes::{Passes, linearized};
use crate::suite::target::Target;
use crate::terms::CellKind;

/// Drives the logit of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassLogitGoal {
    /// Which class.
    pub target: Target,
    /// The function of the logits that is maximized.
    pub loss: Loss,
    /// The composition of attacks that runs instead of one; each of its parts has a loss of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
}

impl GoalKind for ClassLogitGoal {
    fn cell_kind(&self) -> CellKind {
        CellKind::ClassLogit
    }

    fn target(&self) -> Option<Target> {
        Some(self.target)
    }

    fn composition(&self) -> Option<Preset> {
        self.preset
    }

    /// Some losses need more classes, a class index may not be there, and the parts of a composition are for more.
    fn on_two_classes(&self) -> Option<Goal> {
        let needs_more = self.preset.is_some() || self.loss.classes(true) > 2;
        let loss = if needs_more { Loss::Margin } else { self.loss };
        let target = if matches!(self.target, Target::Class(_)) { Target::RunnerUp } else { self.target };
        Some(Goal::ClassLogit(ClassLogitGoal { target, loss, preset: None }))
    }

    fn needed_classes(&self) -> (usize, &'static str) {
        let of_loss = (self.loss.classes(!self.target.is_any()), "loss");
        match self.target {
            Target::Class(class) if class >= of_loss.0 => (class + 1, "target"),
            _ => of_loss,
        }
    }

    fn drives_plain_logit(&self) -> bool {
        self.loss == Loss::Logit && self.preset.is_none()
    }

    fn can_be_longer(&self) -> bool {
        true
    }

    /// A composition has several.
    fn has_one_way(&self) -> bool {
        self.preset.is_none()
    }

    fn ranking(&self, classes: u64) -> Passes {
        match self.target {
            Target::Nearest => linearized(classes.min(LINEARIZED_CLASSES)),
            _ => Passes::default(),
        }
    }
}
