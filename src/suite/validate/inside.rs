//! `[damage]`, `[trajectories]` and `[[universal]]`.

use std::path::Path;

use super::attack::{ball, chosen_models, fixed_selection};
use super::distinct;
use crate::suite::config::{AttackConfig, Direction};
use crate::suite::inside::{DamageConfig, SliceAcross, TrajectoryConfig, UniversalConfig, UniversalSource};
use crate::suite::picture::LayerChoice;
use crate::suite::raw::gate::Glob;
use crate::suite::raw::inside::{RawDamage, RawTrajectories, RawUniversal};
use crate::suite::raw::visualize::LayerText;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::terms::Norm;
use crate::wording::suggest::{did_you_mean, excerpt};

/// Samples of `[damage]` if the suite says nothing.
const DAMAGE_SAMPLES: usize = 200;

/// The damage study; `attacks` are those of the suite.
pub(super) fn damage(
    raw: At<RawDamage>,
    attacks: &[AttackConfig],
    base: &Path,
    problems: &mut Problems,
) -> DamageConfig {
    let At { value: raw, span } = raw;
    if attacks.is_empty() && problems.is_empty() {
        problems
            .add(span, "`[damage]` finds no attack", "nothing to look into")
            .help("add an `[[attack]]`, or leave `[damage]` out");
    }
    if let (Some(units), None) = (&raw.patch_units, &raw.patch) {
        problems
            .add(units.span.clone(), "`patch_units` needs the layers of these units", "in which layer?")
            .help("add `patch` with the layers");
    }
    DamageConfig {
        layers: layers(raw.layers, "*", problems),
        attacks: named(raw.attacks.as_ref(), attacks, |_| true, problems),
        samples: raw.samples.map_or(DAMAGE_SAMPLES, |samples| samples.value.size()),
        patch: raw.patch.map_or_else(Vec::new, |patch| patch.value.into_iter().map(|layer| layer.value.0).collect()),
        patch_units: raw.patch_units.as_ref().and_then(|units| fixed_selection(units, base, problems)),
    }
}

/// The trajectories; `attacks` are those of the suite.
pub(super) fn trajectories(
    raw: At<RawTrajectories>,
    attacks: &[AttackConfig],
    problems: &mut Problems,
) -> TrajectoryConfig {
    let At { value: raw, span } = raw;
    // Features are followed where they are named.
    let named_ones = raw.attacks.is_some();
    let follows = |attack: &AttackConfig| match named_ones {
        true => attack.goal.has_one_way(),
        false => attack.goal.is_followed_unasked(),
    };
    if !attacks.iter().any(follows) && problems.is_empty() {
        problems
            .add(span, "`[trajectories]` finds no attack with a way of its own", "nothing to follow")
            .help("add an `[[attack]]` of kind `class-logit` or `unit`; compositions have several ways");
    }
    TrajectoryConfig {
        attacks: named(raw.attacks.as_ref(), attacks, follows, problems),
        samples: raw.samples.map_or(3, |samples| samples.value.size()),
        frames: raw.frames.map_or(8, |frames| frames.value.size()),
        slice: raw.slice.map_or(61, |slice| slice.value.size()),
        across: raw.across.map_or(SliceAcross::Gradient, |across| across.value),
    }
}

/// The universal perturbations; `names` are the names of all models.
pub(super) fn universal(
    raw: Vec<At<RawUniversal>>,
    names: &[At<String>],
    base: &Path,
    problems: &mut Problems,
) -> Vec<UniversalConfig> {
    let own_names: Vec<At<String>> = raw
        .iter()
        .filter_map(|table| table.value.name.as_ref())
        .map(|name| At { value: name.value.0.clone(), span: name.span.clone() })
        .collect();
    distinct("universal perturbation", &own_names, problems);
    raw.into_iter().filter_map(|table| one(table.value, names, base, problems)).collect()
}

fn one(raw: RawUniversal, names: &[At<String>], base: &Path, problems: &mut Problems) -> Option<UniversalConfig> {
    let source = raw.source.as_ref().map(|source| source.value);
    if let (Some(train), Some(source)) = (&raw.train, source)
        && source != UniversalSource::Images
    {
        problems
            .add(train.span.clone(), format!("`train` takes images, and `source` is `{}`", source.as_str()), "not used")
            .help("use `source = \"images\"`, or leave `train` out");
    }
    if let Some(train) = raw.train.as_ref().filter(|train| train.value.0 >= 1.0) {
        problems
            .add(train.span.clone(), "no image is left to judge the perturbation", "takes all of them")
            .help("write a share below 1, such as `train = 0.5`");
    }
    let models = chosen_models(raw.models, names, problems);
    let units = raw.units.as_ref().and_then(|units| fixed_selection(units, base, problems));
    if let Some(norm) = raw.norm.as_ref().filter(|norm| !matches!(norm.value.0, Norm::Linf | Norm::L2)) {
        let message = format!("universal perturbations are not made in {}", norm.value.0);
        problems.add(norm.span.clone(), message, "not in this norm").help("use the norm `linf` or `l2`");
    }
    let (norm, epsilons) = ball(raw.norm, raw.epsilons, problems);
    Some(UniversalConfig {
        name: raw.name?.value.0,
        models,
        source: source?,
        layers: layers(raw.layers, "logits", problems),
        units: units?,
        direction: raw.direction.map_or(Direction::default(), |direction| direction.value),
        norm: norm?,
        epsilons: epsilons?,
        steps: raw.steps.map_or(200, |steps| steps.value.size()),
        train: raw.train.map_or(0.5, |train| train.value.0),
    })
}

/// The layers, or one that stands for them.
fn layers(raw: Option<At<Vec<At<LayerText>>>>, usual: &str, problems: &mut Problems) -> Vec<LayerChoice> {
    match raw {
        Some(layers) => {
            if layers.value.is_empty() && problems.none_within(&layers.span) {
                problems.add(layers.span, "`layers` is empty", "no layer").help("leave `layers` out, or name some");
            }
            layers.value.into_iter().map(|layer| layer.value.0).collect()
        }
        None => usual.parse().into_iter().collect(),
    }
}

/// The attacks that the patterns mean, in the suite's order.
fn named(
    patterns: Option<&At<Vec<At<Glob>>>>,
    attacks: &[AttackConfig],
    fits: impl Fn(&AttackConfig) -> bool,
    problems: &mut Problems,
) -> Vec<String> {
    let known: Vec<&str> = attacks.iter().filter(|attack| fits(attack)).map(|attack| attack.name.as_str()).collect();
    let Some(patterns) = patterns else { return known.into_iter().map(String::from).collect() };
    for pattern in &patterns.value {
        let text = pattern.value.0.as_str();
        if problems.is_empty() && !known.iter().any(|name| pattern.value.0.matches(name)) {
            problems
                .add(pattern.span.clone(), format!("no attack is called `{}`", excerpt(text)), "no such attack")
                .help(did_you_mean(text, known.iter().copied()));
        }
    }
    let chosen = known.into_iter().filter(|name| patterns.value.iter().any(|glob| glob.value.0.matches(name)));
    chosen.map(String::from).collect()
}
