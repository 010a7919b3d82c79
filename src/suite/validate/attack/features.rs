//! `[[attack]]` of kind `features`.

use super::{ball, chosen_models, optimizer, views};
use crate::suite::config::{AttackConfig, FeaturesGoal, Goal, OptimizerName, Stop, Sweep};
use crate::suite::raw::RawFeatures;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::terms::LayerName;

pub(super) fn resolve(raw: RawFeatures, names: &[At<String>], problems: &mut Problems) -> Option<AttackConfig> {
    let applies = chosen_models(raw.models, names, problems);
    if let Some(stop) = raw.stop.as_ref().filter(|stop| stop.value == Stop::Target) {
        problems
            .add(stop.span.clone(), "an attack on features has no target class to stop at", "no target class")
            .help("use `stop = \"budget\"` or `stop = \"flip\"`");
    }
    let (norm, epsilons) = ball(raw.norm, raw.epsilons, problems);
    let optimizer = match raw.optimizer {
        None => OptimizerName::Momentum,
        some => optimizer(some.as_ref(), OptimizerName::Momentum, norm, raw.step_size.as_ref(), problems),
    };
    let views = views(raw.views, optimizer, problems);
    Some(AttackConfig {
        name: raw.name?.value.0,
        models: applies,
        goal: Goal::Features(FeaturesGoal {
            objective: raw.objective?.value,
            layer: LayerName::from(raw.layer?.value.0.as_str()),
        }),
        norm: norm?,
        epsilons: epsilons?,
        steps: raw.steps?.value.size(),
        step_size: raw.step_size.map(|size| size.value.0),
        restarts: raw.restarts.map_or(1, |restarts| restarts.value.size()),
        stop: raw.stop.map_or(Stop::Budget, |stop| stop.value),
        optimizer,
        views,
        sweep: Sweep::Each,
    })
}
