//! `[[gate]]` and `[[waiver]]`.

use std::collections::BTreeSet;

use crate::suite::config::{AttackConfig, BoundaryConfig, ModelConfig};
use crate::suite::gate::Subject;
use crate::suite::gate::{DEFAULT_ALPHA, Level, Metric, Rule, Selector, Waiver};
use crate::suite::raw::gate::{RawRule, RawSelect, RawWaiver};
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::Amount;
use crate::terms::{CellKind, Norm};
use crate::wording::suggest::{excerpt, nearest};

/// The rules, each with the place of its `select`, or its own.
pub fn rules(raw: Vec<At<RawRule>>, problems: &mut Problems) -> Vec<At<Rule>> {
    raw.into_iter().filter_map(|rule| self::rule(rule, problems)).collect()
}

/// The waivers.
pub fn waivers(raw: Vec<At<RawWaiver>>, problems: &mut Problems) -> Vec<Waiver> {
    raw.into_iter().filter_map(|waiver| self::waiver(waiver.value, problems)).collect()
}

fn rule(raw: At<RawRule>, problems: &mut Problems) -> Option<At<Rule>> {
    let At { value: raw, span } = raw;
    let bounds = [("max_drop", &raw.max_drop), ("max_rise", &raw.max_rise), ("min", &raw.min), ("max", &raw.max)];
    if bounds.iter().all(|(_, bound)| bound.is_none()) && raw.clean {
        problems
            .add(span.clone(), "the gate has no bound", "nothing to check")
            .help("add `max_drop = 0.02` (against a baseline) or `min = 0.3`");
    }
    let metric = raw.metric.as_ref().map(|metric| metric.value);
    if metric.is_none_or(Metric::is_share) {
        for (key, bound) in bounds {
            check_share(key, bound.as_ref(), problems);
        }
    }
    let (key, misplaced, other) = match metric {
        Some(Metric::FlipRate) => ("min", &raw.min, "max"),
        _ => ("max", &raw.max, "min"),
    };
    if let (Some(metric), Some(bound)) = (metric, misplaced) {
        let better = if metric.more_is_better() { "more" } else { "less" };
        problems
            .add(
                bound.span.clone(),
                format!("`{key}` does not fit {metric}, of which {better} is better"),
                "a wrong end",
            )
            .help(format!("write `{other}`"));
    }
    if let Some(alpha) = raw.alpha.as_ref().filter(|alpha| alpha.value.0 >= 0.5) {
        problems
            .add(
                alpha.span.clone(),
                format!("`alpha` {} is no small chance of a false alarm", alpha.value.0),
                "at least 0.5",
            )
            .help("usual are 0.05 and 0.01");
    }
    let select = raw.select.map(|select| (select.span.clone(), selector(select, problems)));
    if let (Some(metric), Some((span, select))) = (metric, &select) {
        let strange: Vec<&str> = select.keys().into_iter().filter(|key| !metric.keys().contains(key)).collect();
        if !strange.is_empty() {
            problems
                .add(
                    span.clone(),
                    format!("{metric} is not told apart by {}", strange.join(", ")),
                    "cannot be selected",
                )
                .help(format!("{metric} knows {}", metric.keys().join(", ")));
        }
    }
    let place = select.as_ref().map_or(span, |(place, _)| place.clone());
    let amount = |amount: Option<At<Amount>>| amount.map(|amount| amount.value.0);
    let level = |level: Option<At<Level>>, default: Level| level.map_or(default, |level| level.value);
    let rule = Rule {
        metric: metric?,
        select: select.map(|(_, select)| select).unwrap_or_default(),
        max_drop: amount(raw.max_drop),
        max_rise: amount(raw.max_rise),
        min: amount(raw.min),
        max: amount(raw.max),
        alpha: raw.alpha.map_or(DEFAULT_ALPHA, |alpha| alpha.value.0),
        level: level(raw.level, Level::Error),
        inconclusive: level(raw.inconclusive, Level::Warn),
        suspicious: level(raw.suspicious, Level::Warn),
    };
    Some(At { value: rule, span: place })
}

/// A share is at most 1.
fn check_share(key: &str, bound: Option<&At<Amount>>, problems: &mut Problems) {
    let Some(bound) = bound.filter(|bound| bound.value.0 > 1.0) else { return };
    let value = bound.value.0;
    let problem = problems.add(
        bound.span.clone(),
        format!("`{key}` {value} is more than the whole range of a rate"),
        "rates are in [0, 1]",
    );
    if value <= 100.0 {
        problem.help(format!("for {value} % write {}", value / 100.0));
    }
}

fn selector(raw: At<RawSelect>, problems: &mut Problems) -> Selector {
    let raw = raw.value;
    if let Some(kind) = &raw.kind
        && !CellKind::ALL.iter().any(|known| kind.value.0.matches(known.as_str()))
    {
        let known: Vec<&str> = CellKind::ALL.iter().map(|kind| kind.as_str()).collect();
        problems
            .add(kind.span.clone(), format!("unknown kind `{}`", excerpt(kind.value.0.as_str())), "not a kind of cell")
            .help(match nearest(kind.value.0.as_str(), known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? known are {}", known.join(", ")),
                None => format!("known are {}", known.join(", ")),
            });
    }
    let pattern = |glob: Option<At<crate::suite::raw::gate::Glob>>| glob.map(|glob| glob.value.0);
    Selector {
        model: pattern(raw.model),
        attack: pattern(raw.attack),
        kind: pattern(raw.kind),
        norm: raw.norm.map(|norm| norm.value.0),
        epsilon: raw.epsilon.map(|epsilon| epsilon.value.0),
        layer: pattern(raw.layer),
        unit: pattern(raw.unit),
    }
}

fn waiver(raw: RawWaiver, problems: &mut Problems) -> Option<Waiver> {
    let select = raw.select.map(|select| selector(select, problems)).unwrap_or_default();
    Some(Waiver {
        metric: raw.metric.map(|metric| metric.value),
        select,
        reason: raw.reason?.value.0,
        owner: raw.owner?.value.0,
        expires: raw.expires?.value.0,
    })
}

/// Says which rules can select nothing of what the suite measures, whatever the results are.
pub fn check_selections(
    rules: &[At<Rule>],
    models: &[ModelConfig],
    attacks: &[AttackConfig],
    boundary: Option<&BoundaryConfig>,
    problems: &mut Problems,
) {
    for At { value: rule, span } in rules.iter().filter(|rule| rule.value.level != Level::Off) {
        // Which units an attack drives may depend on the weights.
        let select = Selector { unit: None, ..rule.select.clone() };
        let subjects = subjects(rule.metric, models, attacks, boundary);
        if !subjects.iter().any(|subject| select.matches(subject)) {
            let problem = problems.add(span.clone(), "the gate selects nothing of this suite", "selects nothing");
            match rule.metric {
                Metric::DistanceMedian if boundary.is_none() => {
                    problem.help("add `[boundary]`, which measures distances")
                }
                _ => problem.help("compare `select` with the suite's models, attacks, norms and epsilons"),
            };
        }
    }
}

/// What the metric will be measured on, units left open.
fn subjects(
    metric: Metric,
    models: &[ModelConfig],
    attacks: &[AttackConfig],
    boundary: Option<&BoundaryConfig>,
) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for model in models {
        let of_model = Subject::model(&model.name);
        match metric {
            Metric::CleanAccuracy => subjects.push(of_model),
            Metric::AllNormsAccuracy => {
                let applying = attacks.iter().filter(|attack| attack.applies_to(&model.name));
                let norms: BTreeSet<Norm> = applying.map(|attack| attack.norm).collect();
                subjects.extend((norms.len() > 1).then_some(of_model));
            }
            Metric::DistanceMedian => {
                subjects.extend(boundary.map(|boundary| Subject { norm: Some(boundary.norm), ..of_model }));
            }
            Metric::RobustAccuracy | Metric::WorstCaseAccuracy | Metric::FlipRate => {
                for attack in attacks.iter().filter(|attack| attack.applies_to(&model.name)) {
                    subjects.extend(cells(attack, metric, &of_model));
                }
            }
        }
    }
    subjects
}

fn cells(attack: &AttackConfig, metric: Metric, of_model: &Subject) -> Vec<Subject> {
    let kinds = attack.cell_kinds();
    // A pattern or a depth names its layers only once the model is there.
    let layer = attack.goal.layer().filter(|_| attack.goal.units().is_some()).map(|layer| layer.as_str().to_owned());
    let balls = attack.epsilons.iter().map(|epsilon| (attack.norm, *epsilon));
    let subject = |(norm, epsilon)| Subject { norm: Some(norm), epsilon: Some(epsilon), ..of_model.clone() };
    if metric == Metric::WorstCaseAccuracy {
        return balls.map(subject).collect();
    }
    let of_kind = |of_ball: Subject| {
        let (name, layer) = (&attack.name, &layer);
        kinds.iter().map(move |kind| Subject {
            attack: Some(name.clone()),
            kind: Some(*kind),
            layer: layer.clone(),
            ..of_ball.clone()
        })
    };
    balls.map(subject).flat_map(of_kind).collect()
}
