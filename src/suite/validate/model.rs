//! Models: what the suite says of them, and what a model's folder adds.

use std::path::Path;

use crate::suite::models::{FolderError, ModelFolder};
use crate::suite::raw::{RawModel, RawNormalize};
use crate::suite::read::problem::Problems;
use crate::suite::read::{At, example};
use crate::suite::{ModelConfig, Normalize, Preprocess};

/// A model, and how its folder says that images are prepared for it.
pub type Resolved = (ModelConfig, Result<Option<Preprocess>, FolderError>);

/// The model, or none after a problem was found. Its weights lie in `weights_root` under their own name, if there is such a folder,
/// or else where the suite says, relative to `base`.
pub fn resolve(
    raw: At<RawModel>,
    base: &Path,
    weights_root: Option<&Path>,
    problems: &mut Problems,
) -> Option<Resolved> {
    let At { value: raw, span } = raw;
    let stated = (raw.arch.is_some(), raw.normalize.is_some());
    let normalize = raw.normalize.and_then(|raw| normalize(raw, problems));
    let weights = raw.weights?;
    let stated_path = Path::new(&weights.value.0);
    let path = match (weights_root, stated_path.file_name()) {
        (Some(root), Some(name)) => root.join(name),
        _ => base.join(stated_path),
    };
    let folder = match ModelFolder::at(&path) {
        Ok(folder) => folder,
        Err(error) => {
            problems.add(weights.span, error.problem, "not a model that can be read").help(error.help);
            return None;
        }
    };
    let arch = raw.arch.map(|arch| arch.value.0).or(folder.arch);
    let normalize = match folder.normalize {
        Err(error) if !stated.1 => {
            problems.add(weights.span, error.problem, "its normalization cannot be used").help(error.help);
            return None;
        }
        folder => normalize.or(folder.unwrap_or_default()),
    };
    for (key, stated, known) in [("arch", stated.0, arch.is_some()), ("normalize", stated.1, normalize.is_some())] {
        // A misspelling of the key was told.
        if !stated && !known && problems.none_within(&span) {
            let help = match path.exists() {
                true => example(key).to_owned(),
                false => {
                    format!("{}; a model's folder would tell it, but there is none at {}", example(key), path.display())
                }
            };
            problems
                .add(span.clone(), format!("missing key `{key}` in `[[model]]`"), format!("`{key}` is missing"))
                .help(help);
        }
    }
    let model = ModelConfig {
        name: raw.name?.value.0,
        arch: arch?,
        weights: folder.weights,
        normalize: normalize?,
        classes: raw.classes.map(|classes| classes.value.size()),
        layer_norm_epsilon: folder.layer_norm_epsilon,
    };
    Some((model, folder.preprocess))
}

/// How the models' folders say that images are prepared, if the suite leaves them as they are and the folders agree.
pub fn told_preprocessing(
    stated: Preprocess,
    folders: &[Result<Option<Preprocess>, FolderError>],
) -> Result<Preprocess, String> {
    if stated.resize.is_some() || stated.crop.is_some() {
        return Ok(stated);
    }
    if let Some(error) = folders.iter().find_map(|known| known.as_ref().err()) {
        return Err(format!("{}; {}", error.problem, error.help));
    }
    let mut known = folders.iter().flatten().flatten();
    let Some(first) = known.next() else { return Ok(stated) };
    if known.any(|other| other != first) {
        return Err("the models' folders ask for different sizes or filters".to_owned());
    }
    Ok(Preprocess { channels: stated.channels, ..*first })
}

fn normalize(raw: At<RawNormalize>, problems: &mut Problems) -> Option<Normalize> {
    let (mean, std) = (raw.value.mean?, raw.value.std?);
    let channels = mean.value.len();
    let readable = problems.none_within(&mean.span) && problems.none_within(&std.span);
    if readable && channels != 1 && channels != 3 {
        problems
            .add(mean.span.clone(), format!("`mean` has {channels} values"), "1 or 3 values")
            .help("images have 1 or 3 colour channels");
    }
    if readable && std.value.len() != channels {
        problems
            .add(
                std.span.clone(),
                format!("`std` has {} values but `mean` has {channels}", std.value.len()),
                "another length",
            )
            .note(mean.span, "`mean`")
            .help("give both one value per channel");
    }
    for value in mean.value.iter().filter(|value| !(0.0..=1.0).contains(&value.value.0)) {
        problems
            .add(value.span.clone(), format!("mean {} is not a pixel value in [0, 1]", value.value.0), "outside [0, 1]")
            .help("if it was measured in [0, 255], divide mean and std by 255");
    }
    for value in std.value.iter().filter(|value| (value.value.0 as f32) <= 0.0 || !(value.value.0 as f32).is_finite()) {
        problems.add(value.span.clone(), "`std` is not a positive f32", "too small or too large");
    }
    Some(Normalize {
        mean: mean.value.iter().map(|value| value.value.0 as f32).collect(),
        std: std.value.iter().map(|value| value.value.0 as f32).collect(),
    })
}
