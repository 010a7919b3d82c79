//! `[transfer]`.

use super::repeated;
use crate::suite::config::{AttackConfig, ModelConfig, TransferConfig};
use crate::suite::raw::RawTransfer;
use crate::suite::raw::gate::Glob;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::wording::suggest::{did_you_mean, excerpt};

/// The attacks whose images are shown to other models. `attacks` and `models` are all of the suite, free of problems.
pub(super) fn resolve(
    raw: At<RawTransfer>,
    attacks: &[AttackConfig],
    models: &[ModelConfig],
    problems: &mut Problems,
) -> TransferConfig {
    check_models(&raw, models, problems);
    let seeks_flips = |attack: &&AttackConfig| attack.goal.cell_kind().seeks_flips();
    let known: Vec<&str> = attacks.iter().filter(seeks_flips).map(|attack| attack.name.as_str()).collect();
    let Some(patterns) = raw.value.attacks else {
        if known.is_empty() {
            problems
                .add(
                    raw.span,
                    "`[transfer]` finds no attack of kind `class-logit` or `features`",
                    "nothing to transfer",
                )
                .help("add such an attack, or leave `[transfer]` out");
        }
        return TransferConfig { attacks: known.into_iter().map(String::from).collect() };
    };
    if patterns.value.is_empty() && problems.none_within(&patterns.span) {
        problems
            .add(patterns.span, "`attacks` is empty", "no attack")
            .help("leave `attacks` out to take all attacks of kind `class-logit` and `features`");
    }
    for (pattern, first) in repeated(&patterns.value, |glob| glob.0.as_str().to_owned()) {
        problems
            .add(pattern.span.clone(), format!("attack `{}` stands twice", text(pattern)), "again here")
            .note(first.span.clone(), "first here");
    }
    for pattern in &patterns.value {
        check_pattern(pattern, attacks, &known, problems);
    }
    let selected = known.into_iter().filter(|name| patterns.value.iter().any(|glob| glob.value.0.matches(name)));
    TransferConfig { attacks: selected.map(String::from).collect() }
}

fn check_models(raw: &At<RawTransfer>, models: &[ModelConfig], problems: &mut Problems) {
    if models.len() < 2 {
        problems
            .add(raw.span.clone(), "`[transfer]` needs at least two models", "the suite has one")
            .help("add a `[[model]]`, or leave `[transfer]` out");
    }
    let mut stated = models.iter().filter_map(|model| Some((&model.name, model.classes?)));
    if let Some((name, classes)) = stated.next()
        && let Some((other, others)) = stated.find(|(_, others)| *others != classes)
    {
        let message =
            format!("`{name}` has {classes} classes and `{other}` has {others}: their predictions do not compare");
        problems
            .add(raw.span.clone(), message, "models with different classes")
            .help("leave `[transfer]` out, or give these models suites of their own");
    }
}

fn check_pattern(pattern: &At<Glob>, attacks: &[AttackConfig], known: &[&str], problems: &mut Problems) {
    let glob = &pattern.value.0;
    if known.iter().any(|name| glob.matches(name)) {
        return;
    }
    let text = text(pattern);
    let near = did_you_mean(glob.as_str(), known.iter().copied());
    if attacks.iter().any(|attack| glob.matches(&attack.name)) {
        let message = format!("`{text}` selects attacks of kind `unit` alone");
        problems
            .add(pattern.span.clone(), message, "no attack of kind `class-logit` or `features`")
            .help(format!("transfer is that of images which attacks on logits or features made; {near}"));
    } else if glob.as_str().contains(['*', '?']) {
        problems
            .add(pattern.span.clone(), format!("`{text}` selects no attack of this suite"), "selects nothing")
            .help(near);
    } else {
        problems
            .add(pattern.span.clone(), format!("unknown attack `{text}`"), "not an attack of this suite")
            .help(near);
    }
}

/// The pattern as messages show it.
fn text(pattern: &At<Glob>) -> String {
    excerpt(pattern.value.0.as_str())
}
