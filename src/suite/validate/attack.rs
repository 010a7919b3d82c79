//! `[[attack]]`.

mod features;
mod views;

use std::path::Path;

use self::views::views;
use super::{distinct, repeated};
use crate::suite::config::{
    AttackConfig, ClassLogitGoal, Control, Direction, Goal, Loss, ModelConfig, OptimizerName, Stop, Suite, Sweep,
    Target, UnitGoal, UnitSelection,
};
use crate::suite::places::Place;
use crate::suite::presets::{Preset, WHOLE_BUDGET};
use crate::suite::raw::{RawAmStandard, RawAttack, RawClassLogit, RawStandard, RawUnit, RawUnits};
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{FormVersion, Name, Positive, Radius, Text};
use crate::suite::read::words::BallNorm;
use crate::suite::read::{At, Written};
use crate::terms::{Epsilon, LayerName, Norm};
use crate::wording::suggest::{did_you_mean, excerpt};

/// The attacks; files are relative to `base`, `names` are the names of all models, `models` those that can be used.
pub(super) fn resolve(
    raw: Vec<At<RawAttack>>,
    form: FormVersion,
    names: &[At<String>],
    models: &[ModelConfig],
    base: &Path,
    problems: &mut Problems,
) -> Vec<AttackConfig> {
    let own_names: Vec<At<String>> = raw
        .iter()
        .filter_map(|attack| match &attack.value {
            RawAttack::ClassLogit(raw) => raw.name.as_ref(),
            RawAttack::Unit(raw) => raw.name.as_ref(),
            RawAttack::Features(raw) => raw.name.as_ref(),
            RawAttack::Standard(raw) => raw.name.as_ref(),
            RawAttack::AmStandard(raw) => raw.name.as_ref(),
        })
        .map(|name| At { value: name.value.0.clone(), span: name.span.clone() })
        .collect();
    distinct("attack name", &own_names, problems);
    raw.into_iter()
        .filter_map(|attack| match attack.value {
            RawAttack::ClassLogit(raw) => class_logit(raw, form, names, models, problems),
            RawAttack::Unit(raw) => unit(raw, names, base, problems),
            RawAttack::Features(raw) => features::resolve(raw, names, problems),
            RawAttack::Standard(RawStandard { name, models, norm, epsilons, sweep, .. }) => {
                let sweep = sweep.map_or(Sweep::Each, |sweep| sweep.value);
                composed((Preset::Standard, sweep), (name, models, norm, epsilons), names, problems)
            }
            RawAttack::AmStandard(RawAmStandard { name, models, norm, epsilons, sweep, .. }) => {
                let sweep = sweep.map_or(usual_sweep(form), |sweep| sweep.value);
                composed((Preset::AmStandard, sweep), (name, models, norm, epsilons), names, problems)
            }
        })
        .collect()
}

impl Suite {
    /// Attacks that are weak because of a default that the suite did not choose, one sentence each.
    pub fn attack_warnings(&self) -> Vec<String> {
        let weak = |(index, attack): (usize, &AttackConfig)| {
            let plain =
                matches!(&attack.goal, Goal::ClassLogit(goal) if goal.loss == Loss::Logit && goal.preset.is_none());
            (plain && !self.places.written(Place::Attack(index, "loss"))).then(|| {
                format!(
                    "attack `{}` drives the plain logit, the default of suites of form 1, which reads some points too robust; \
                     `schema = 2` drives the margin at equal cost",
                    attack.name
                )
            })
        };
        self.attacks.iter().enumerate().filter_map(weak).collect()
    }
}

/// What a class-logit attack maximizes, and how its rows move, where the suite does not say.
fn usual(form: FormVersion) -> (Loss, OptimizerName) {
    match form {
        FormVersion::First => (Loss::Logit, OptimizerName::Steepest),
        FormVersion::Second => (Loss::Margin, OptimizerName::Apgd),
    }
}

/// How the own composition settles several radii where the suite does not say.
fn usual_sweep(form: FormVersion) -> Sweep {
    match form {
        FormVersion::First => Sweep::Each,
        FormVersion::Second => Sweep::Nearest,
    }
}

fn class_logit(
    raw: RawClassLogit,
    form: FormVersion,
    names: &[At<String>],
    models: &[ModelConfig],
    problems: &mut Problems,
) -> Option<AttackConfig> {
    let target = raw.target.as_ref().map_or(Target::Untargeted, |target| target.value.0);
    let (usual_loss, usual_optimizer) = usual(form);
    let loss = raw.loss.as_ref().map_or(usual_loss, |loss| loss.value);
    let applies = chosen_models(raw.models, names, problems);
    let runs_on = |name: &str| applies.as_ref().is_none_or(|chosen| chosen.iter().any(|other| other == name));
    for model in models.iter().filter(|model| runs_on(&model.name)) {
        let Some(classes) = model.classes else { continue };
        if let (Target::Class(index), Some(at)) = (target, &raw.target)
            && index >= classes
        {
            problems
                .add(at.span.clone(), format!("model `{}` has no class {index}", model.name), "no such class")
                .help(format!("its classes are 0 to {}", classes - 1));
        }
        // The targeted ratio looks at the fourth logit too.
        let (needed, targeted) = if target == Target::Untargeted { (3, "") } else { (4, "targeted ") };
        if let (Loss::Dlr, Some(at)) = (loss, &raw.loss)
            && classes < needed
        {
            let problem = format!("{targeted}loss `dlr` needs at least {needed} classes");
            problems
                .add(at.span.clone(), problem, format!("`{}` has {classes}", model.name))
                .help("use the loss `margin`");
        }
    }
    let default = if target == Target::Untargeted { Stop::Flip } else { Stop::Target };
    if let Some(stop) = raw.stop.as_ref().filter(|stop| stop.value == Stop::Target)
        && target == Target::Untargeted
    {
        problems
            .add(stop.span.clone(), "an untargeted attack has no target to stop at", "no target")
            .help("use `stop = \"flip\"` or `stop = \"budget\"`, or choose a `target`");
    }
    if let Some(sweep) = raw.sweep.as_ref().filter(|sweep| sweep.value == Sweep::Nearest) {
        let square = raw.optimizer.as_ref().is_some_and(|optimizer| optimizer.value.0 == Some(OptimizerName::Square));
        let stays = raw.stop.as_ref().is_some_and(|stop| stop.value != Stop::Flip);
        let hinders = [
            (target != Target::Untargeted, "the nearest flip is of any class, and this attack has a target"),
            (stays, "the nearest flip ends the search of its radii, and rows of this attack stay beyond their flip"),
            (square, "the search for the nearest flip follows gradients, which `square` does without"),
        ];
        for (_, why) in hinders.into_iter().filter(|(hinders, _)| *hinders) {
            problems.add(sweep.span.clone(), why, "not with this attack").help("leave `sweep` out");
        }
    }
    let (norm, epsilons) = ball(raw.norm, raw.epsilons, problems);
    let optimizer = optimizer(raw.optimizer.as_ref(), usual_optimizer, norm, raw.step_size.as_ref(), problems);
    let views = views(raw.views, optimizer, problems);
    Some(AttackConfig {
        name: raw.name?.value.0,
        models: applies,
        goal: Goal::ClassLogit(ClassLogitGoal { target, loss, preset: None }),
        norm: norm?,
        epsilons: epsilons?,
        steps: raw.steps?.value.size(),
        step_size: raw.step_size.map(|size| size.value.0),
        restarts: raw.restarts.map_or(1, |restarts| restarts.value.size()),
        stop: raw.stop.map_or(default, |stop| stop.value),
        optimizer,
        views,
        sweep: raw.sweep.map_or(Sweep::Each, |sweep| sweep.value),
    })
}

/// The keys that both compositions have: name, models, norm and radii.
type Shared = (Option<At<Name>>, Option<At<Vec<At<Text>>>>, Option<At<BallNorm>>, Option<At<Vec<At<Radius>>>>);

/// A composition, in the keys that both have.
fn composed(
    (preset, sweep): (Preset, Sweep),
    (name, models, norm, epsilons): Shared,
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
        steps: WHOLE_BUDGET,
        step_size: None,
        restarts: 1,
        stop: Stop::Flip,
        optimizer: OptimizerName::default(),
        views: None,
        sweep,
    })
}

fn unit(raw: RawUnit, names: &[At<String>], base: &Path, problems: &mut Problems) -> Option<AttackConfig> {
    let applies = chosen_models(raw.models, names, problems);
    let units = raw.units.as_ref().and_then(|units| selection(units, base, problems));
    if let (Some(UnitSelection::Listed(listed)), Some(direction)) = (&units, &raw.direction)
        && direction.value == Direction::Suppress
        && listed.iter().any(|unit| unit.is_chosen_by_sample())
    {
        problems
            .add(
                direction.span.clone(),
                "units chosen for each sample go the way that changes its prediction",
                "not used",
            )
            .help("leave `direction` out");
    }
    let controls = controls(raw.controls, units.as_ref(), problems);
    if let Some(stop) = raw.stop.as_ref().filter(|stop| stop.value == Stop::Target) {
        problems
            .add(stop.span.clone(), "a unit attack has no target class to stop at", "no target class")
            .help("use `stop = \"budget\"` or `stop = \"flip\"`");
    }
    let (norm, epsilons) = ball(raw.norm, raw.epsilons, problems);
    let steepest = OptimizerName::Steepest;
    let optimizer = optimizer(raw.optimizer.as_ref(), steepest, norm, raw.step_size.as_ref(), problems);
    let views = views(raw.views, optimizer, problems);
    let goal = Goal::Unit(UnitGoal {
        layer: LayerName::from(raw.layer?.value.0),
        units: units?,
        direction: raw.direction.map_or(Direction::default(), |direction| direction.value),
        controls,
    });
    Some(AttackConfig {
        name: raw.name?.value.0,
        models: applies,
        goal,
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

/// How rows move, where the attack's balls allow it.
fn optimizer(
    raw: Option<&At<Written<OptimizerName>>>,
    usual: OptimizerName,
    norm: Option<Norm>,
    step_size: Option<&At<Positive>>,
    problems: &mut Problems,
) -> OptimizerName {
    let Some(At { value: Written(optimizer), span }) = raw else {
        if let Some(size) = step_size.filter(|_| usual.adapts()) {
            let problem = format!("optimizer `{}`, the default, chooses its steps itself", usual.as_str());
            problems
                .add(size.span.clone(), problem, "not used")
                .help("leave `step_size` out, or add `optimizer = \"steepest\"`");
        }
        return usual;
    };
    let Some(optimizer) = optimizer else { return usual };
    let word = optimizer.as_str();
    if optimizer.is_nearest() {
        problems
            .add(
                span.clone(),
                format!("optimizer `{word}` looks for the nearest flip"),
                "not for the best image of a ball",
            )
            .help(format!("use it in `[boundary]`, with `methods = [\"path\", \"{word}\"]`"));
        return *optimizer;
    }
    if let Some(norm) = norm.filter(|norm| !optimizer.norms().contains(norm)) {
        let norms: Vec<String> = optimizer.norms().iter().map(|norm| format!("`{norm}`")).collect();
        problems
            .add(span.clone(), format!("optimizer `{word}` is not defined in {norm} balls"), "not in these balls")
            .help(format!("it is in {}; `apgd` is in {norm} balls too", norms.join(", ")));
    }
    if let Some(size) = step_size.filter(|_| optimizer.adapts()) {
        problems
            .add(size.span.clone(), format!("optimizer `{word}` chooses its steps itself"), "not used")
            .help("leave `step_size` out");
    }
    *optimizer
}

/// The models of an attack, in the order of the suite.
pub(super) fn chosen_models(
    chosen: Option<At<Vec<At<Text>>>>,
    names: &[At<String>],
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let chosen = chosen?;
    if chosen.value.is_empty() {
        problems.add(chosen.span, "`models` is empty", "no model").help("leave `models` out to attack all of them");
        return None;
    }
    let texts: Vec<At<String>> =
        chosen.value.into_iter().map(|name| At { value: name.value.0, span: name.span }).collect();
    for name in texts.iter().filter(|name| !names.iter().any(|known| known.value == name.value)) {
        problems
            .add(name.span.clone(), format!("unknown model `{}`", excerpt(&name.value)), "not a model of this suite")
            .help(did_you_mean(&name.value, names.iter().map(|known| known.value.as_str())));
    }
    for (name, first) in repeated(&texts, String::clone) {
        problems
            .add(name.span.clone(), format!("model `{}` stands twice", excerpt(&name.value)), "again here")
            .note(first.span.clone(), "first here");
    }
    let in_order = names.iter().filter(|known| texts.iter().any(|name| name.value == known.value));
    Some(in_order.map(|known| known.value.clone()).collect())
}

/// The norm and the radii, ascending.
pub(super) fn ball(
    norm: Option<At<BallNorm>>,
    epsilons: Option<At<Vec<At<Radius>>>>,
    problems: &mut Problems,
) -> (Option<Norm>, Option<Vec<Epsilon>>) {
    let norm = norm.map(|norm| norm.value.0);
    let Some(epsilons) = epsilons else { return (norm, None) };
    // An empty list whose elements were all unusable was reported.
    if epsilons.value.is_empty() && problems.none_within(&epsilons.span) {
        problems
            .add(epsilons.span.clone(), "`epsilons` is empty", "no radius")
            .help("add the radii, such as `epsilons = [\"1/255\", \"8/255\"]`");
    }
    let mut radii = epsilons.value;
    for (radius, first) in repeated(&radii, |radius| radius.0) {
        problems
            .add(radius.span.clone(), format!("epsilon {} stands twice", radius.value.0), "again here")
            .note(first.span.clone(), "first here");
    }
    for radius in &radii {
        check_linf_radius(norm, radius, "epsilon", problems);
    }
    radii.sort_by_key(|radius| radius.value.0);
    (norm, Some(radii.into_iter().map(|radius| radius.value.0).collect()))
}

/// An l-inf ball of more than 1 holds every image: such a radius was meant on another scale.
pub(super) fn check_linf_radius(norm: Option<Norm>, radius: &At<Radius>, noun: &str, problems: &mut Problems) {
    let value = radius.value.0.value();
    if norm == Some(Norm::Linf) && value > 1.0 {
        let problem = problems.add(
            radius.span.clone(),
            format!("{noun} {value} is more than the whole range of a pixel"),
            "pixels are in [0, 1]",
        );
        if value <= 255.0 {
            problem.help(format!("did you mean \"{value}/255\"?"));
        }
    }
}

/// The units; files of directions are relative to `base`.
pub(super) fn selection(units: &At<RawUnits>, base: &Path, problems: &mut Problems) -> Option<UnitSelection> {
    if let RawUnits::Listed(listed) = &units.value {
        if listed.is_empty() && problems.none_within(&units.span) {
            problems.add(units.span.clone(), "`units` is empty", "no unit").help("list indices, or write \"all\"");
        }
        for (unit, first) in repeated(listed, |unit| unit.0) {
            problems
                .add(unit.span.clone(), format!("unit {} stands twice", unit.value.0), "again here")
                .note(first.span.clone(), "first here");
        }
    }
    let mut selection = units.value.selection()?;
    if let UnitSelection::Listed(units) = &mut selection {
        units.iter_mut().for_each(|unit| *unit = unit.within(base));
    }
    Some(selection)
}

/// The same, of units that are the same for all samples.
pub(super) fn fixed_selection(units: &At<RawUnits>, base: &Path, problems: &mut Problems) -> Option<UnitSelection> {
    if let RawUnits::Listed(listed) = &units.value
        && let Some(unit) = listed.iter().find(|unit| unit.value.0.is_chosen_by_sample())
    {
        problems
            .add(unit.span.clone(), format!("`{}` is another unit for each sample", unit.value.0), "for attacks alone")
            .help("use it in an `[[attack]]` of kind `unit`, or write `{ top = 4, by = \"sensitivity\" }`");
    }
    selection(units, base, problems)
}

fn controls(raw: Option<At<Vec<At<Control>>>>, units: Option<&UnitSelection>, problems: &mut Problems) -> Vec<Control> {
    let Some(raw) = raw else { return vec![Control::Noise] };
    let mut controls = Vec::new();
    for control in raw.value {
        if controls.contains(&control.value) {
            problems.add(control.span, "this control stands twice", "again here");
            continue;
        }
        if control.value == Control::RandomUnit && units == Some(&UnitSelection::All) {
            problems
                .add(control.span, "control `random-unit` needs units that the attack leaves out", "no unit is left")
                .help("drive fewer units, or leave this control out");
        }
        controls.push(control.value);
    }
    controls
}
