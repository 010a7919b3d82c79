//! `[[attack]]`: what all kinds share. Each kind has a file of its own.

mod class_logit;
mod composed;
mod features;
mod unit;
mod views;

use std::path::Path;

use self::views::views;
use super::{distinct, repeated};
use crate::suite::config::{AttackConfig, OptimizerName, Stop, Suite, UnitSelection};
use crate::suite::places::Place;
use crate::suite::raw::RawUnits;
use crate::suite::raw::attack::{Around, AttackTable, RawAttack};
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Positive, Radius, Text};
use crate::suite::read::words::BallNorm;
use crate::suite::read::{At, Written};
use crate::terms::{Epsilon, Norm};
use crate::wording::suggest::{did_you_mean, excerpt};

/// The attacks.
pub(super) fn resolve(raw: Vec<At<RawAttack>>, suite: Around, problems: &mut Problems) -> Vec<AttackConfig> {
    let tables: Vec<Box<dyn AttackTable>> = raw.into_iter().map(|attack| attack.value.table()).collect();
    let own_names: Vec<At<String>> = tables
        .iter()
        .filter_map(|table| table.name())
        .map(|name| At { value: name.value.0.clone(), span: name.span.clone() })
        .collect();
    distinct("attack name", &own_names, problems);
    tables.into_iter().filter_map(|table| table.resolve(suite, problems)).collect()
}

impl Suite {
    /// Attacks that are weak because of a default that the suite did not choose, one sentence each.
    pub fn attack_warnings(&self) -> Vec<String> {
        let weak = |(index, attack): (usize, &AttackConfig)| {
            (attack.goal.drives_plain_logit() && !self.places.written(Place::Attack(index, "loss"))).then(|| {
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

/// Refuses to stop at a target, of which an `attack` of this kind has none.
fn no_target(stop: Option<&At<Stop>>, attack: &str, problems: &mut Problems) {
    if let Some(stop) = stop.filter(|stop| stop.value == Stop::Target) {
        problems
            .add(stop.span.clone(), format!("{attack} has no target class to stop at"), "no target class")
            .help("use `stop = \"budget\"` or `stop = \"flip\"`");
    }
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
            format!(
                "{noun} {} is more than the whole range of a pixel",
                if value < 1e6 { value.to_string() } else { format!("{value:e}") }
            ),
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
