//! `[[attack]]` of kind `features`.

use super::{ball, chosen_models, no_target, optimizer, views};
use crate::suite::config::{AttackConfig, FeaturesGoal, Goal, OptimizerName, Stop, Sweep};
use crate::suite::raw::attack::{Around, AttackTable, RawFeatures};
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::Name;
use crate::terms::LayerName;

impl AttackTable for RawFeatures {
    fn name(&self) -> Option<&At<Name>> {
        self.name.as_ref()
    }

    fn resolve(self: Box<Self>, suite: Around, problems: &mut Problems) -> Option<AttackConfig> {
        let applies = chosen_models(self.models, suite.names, problems);
        no_target(self.stop.as_ref(), "an attack on features", problems);
        let (norm, epsilons) = ball(self.norm, self.epsilons, problems);
        let momentum = OptimizerName::Momentum;
        let optimizer = optimizer(self.optimizer.as_ref(), momentum, norm, self.step_size.as_ref(), problems);
        let views = views(self.views, optimizer, problems);
        Some(AttackConfig {
            name: self.name?.value.0,
            models: applies,
            goal: Goal::Features(FeaturesGoal {
                objective: self.objective?.value,
                layer: LayerName::from(self.layer?.value.0.as_str()),
            }),
            norm: norm?,
            epsilons: epsilons?,
            steps: self.steps?.value.size(),
            step_size: self.step_size.map(|size| size.value.0),
            restarts: self.restarts.map_or(1, |restarts| restarts.value.size()),
            stop: self.stop.map_or(Stop::Budget, |stop| stop.value),
            optimizer,
            views,
            sweep: Sweep::Each,
        })
    }
}
