//! `[[attack]]` of the kinds `standard` and `am-standard`: compositions.

use super::{ball, chosen_models};
use crate::suite::config::{AttackConfig, ClassLogitGoal, Goal, Loss, OptimizerName, Stop, Sweep, Target};
use crate::suite::presets::{Preset, WHOLE_BUDGET};
use crate::suite::raw::attack::{Around, AttackTable, RawAmStandard, RawStandard};
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Count, FormVersion, Name, Radius, Text};
use crate::suite::read::words::BallNorm;

impl AttackTable for RawStandard {
    fn name(&self) -> Option<&At<Name>> {
        self.name.as_ref()
    }

    fn resolve(self: Box<Self>, suite: Around, problems: &mut Problems) -> Option<AttackConfig> {
        let RawStandard { name, models, norm, epsilons, budget, sweep, .. } = *self;
        let sweep = sweep.map_or(Sweep::Each, |sweep| sweep.value);
        composed((Preset::Standard, sweep), (name, models, norm, epsilons, budget), suite.names, problems)
    }
}

impl AttackTable for RawAmStandard {
    fn name(&self) -> Option<&At<Name>> {
        self.name.as_ref()
    }

    fn resolve(self: Box<Self>, suite: Around, problems: &mut Problems) -> Option<AttackConfig> {
        let RawAmStandard { name, models, norm, epsilons, budget, sweep, .. } = *self;
        let sweep = sweep.map_or(usual_sweep(suite.form), |sweep| sweep.value);
        composed((Preset::AmStandard, sweep), (name, models, norm, epsilons, budget), suite.names, problems)
    }
}

/// How the own composition settles several radii where the suite does not say.
fn usual_sweep(form: FormVersion) -> Sweep {
    match form {
        FormVersion::First => Sweep::Each,
        FormVersion::Second => Sweep::Nearest,
    }
}

/// The keys that both compositions have: name, models, norm, radii and budget.
type Shared = (
    Option<At<Name>>,
    Option<At<Vec<At<Text>>>>,
    Option<At<BallNorm>>,
    Option<At<Vec<At<Radius>>>>,
    Option<At<Count<1, 100>>>,
);

/// A composition, in the keys that both have.
fn composed(
    (preset, sweep): (Preset, Sweep),
    (name, models, norm, epsilons, budget): Shared,
    names: &[At<String>],
    problems: &mut Problems,
) -> Option<AttackConfig> {
    let applies = chosen_models(models, names, problems);
    let place = norm.as_ref().map(|norm| norm.span.clone());
    let (norm, epsilons) = ball(norm, epsilons, problems);
    if let (Some(norm), Some(place)) = (norm, place)
        && let Some(part) = preset.parts(norm, 10).iter().find(|part| !part.optimizer.norms().contains(&norm))
    {
        let (word, part) = (preset.as_str(), part.name);
        problems
            .add(place, format!("`{word}` is not defined in {norm}: its part `{part}` is not"), "not in this norm")
            .help("use the norm `linf` or `l2`, or the kind `am-standard`");
    }
    let (name, epsilons) = (name?.value.0, epsilons?);
    Some(AttackConfig {
        name,
        models: applies,
        goal: Goal::ClassLogit(ClassLogitGoal { target: Target::Untargeted, loss: Loss::Margin, preset: Some(preset) }),
        norm: norm?,
        epsilons,
        steps: budget.map_or(WHOLE_BUDGET, |budget| budget.value.size()),
        step_size: None,
        restarts: 1,
        stop: Stop::Flip,
        optimizer: OptimizerName::default(),
        views: None,
        sweep,
    })
}
