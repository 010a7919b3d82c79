//! `[[visualize]]`.

use std::path::Path;

use super::attack::{chosen_models, fixed_selection};
use super::distinct;
use crate::suite::choices::CanvasWord;
use crate::suite::config::Direction;
use crate::suite::picture::{CanvasForm, Motion, PictureConfig, PicturePreset, Start, VisualizeConfig};
use crate::suite::raw::visualize::RawVisualize;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;

/// Real samples beside a unit if the suite says nothing.
pub const DEFAULT_SAMPLES: usize = 5;

/// The visualizations; `names` are the names of all models. Image files are relative to `base`.
pub(super) fn resolve(
    raw: Vec<At<RawVisualize>>,
    names: &[At<String>],
    base: &Path,
    problems: &mut Problems,
) -> Vec<VisualizeConfig> {
    let own_names: Vec<At<String>> = raw
        .iter()
        .filter_map(|table| table.value.name.as_ref())
        .map(|name| At { value: name.value.0.clone(), span: name.span.clone() })
        .collect();
    distinct("visualization name", &own_names, problems);
    raw.into_iter().filter_map(|table| one(table.value, names, base, problems)).collect()
}

fn one(raw: RawVisualize, names: &[At<String>], base: &Path, problems: &mut Problems) -> Option<VisualizeConfig> {
    let preset = raw.preset.as_ref().map_or(PicturePreset::default(), |preset| preset.value);
    let picture = picture(&raw, preset, problems);
    let models = chosen_models(raw.models, names, problems);
    let units = raw.units.as_ref().and_then(|units| fixed_selection(units, base, problems));
    if let Some(layers) = raw.layers.as_ref().filter(|layers| layers.value.is_empty())
        && problems.none_within(&layers.span)
    {
        problems
            .add(layers.span.clone(), "`layers` is empty", "no layer")
            .help("add the layers, such as `layers = [\"25%\"]`");
    }
    let start = match raw.start.as_ref().map(|start| start.value.0.as_str()) {
        None | Some("noise") => Start::Noise,
        Some("grey" | "gray") => Start::Grey,
        Some("mean") => Start::Mean,
        Some(path) => Start::Image(base.join(path)),
    };
    if let (Some(keep), Start::Noise) = (&raw.keep, &start) {
        problems
            .add(
                keep.span.clone(),
                "`keep` holds a picture near its start, which here is noise",
                "no image to stay near",
            )
            .help("add `start` with an image file, `mean` or `grey`");
    }
    Some(VisualizeConfig {
        name: raw.name?.value.0,
        models,
        layers: raw.layers?.value.into_iter().map(|layer| layer.value.0).collect(),
        units: units?,
        direction: raw.direction.map_or(Direction::default(), |direction| direction.value),
        preset,
        picture,
        start,
        seeds: raw.seeds.map_or(1, |seeds| seeds.value.size()),
        samples: raw.samples.map_or(DEFAULT_SAMPLES, |samples| samples.value.size()),
    })
}

/// The preset's settings with the table's own.
fn picture(raw: &RawVisualize, preset: PicturePreset, problems: &mut Problems) -> PictureConfig {
    let mut picture = preset.config();
    if let Some(word) = &raw.canvas {
        picture.canvas = match (word.value, picture.canvas) {
            (CanvasWord::Pixel, _) => CanvasForm::Pixel,
            (CanvasWord::Fourier, form @ CanvasForm::Fourier { .. }) => form,
            (CanvasWord::Fourier, _) => CanvasForm::Fourier { decay: 1.0 },
            (CanvasWord::Maco, _) => CanvasForm::Maco,
        };
    }
    match (&mut picture.canvas, &raw.decay) {
        (CanvasForm::Fourier { decay }, Some(value)) => *decay = value.value.0,
        (_, Some(value)) => {
            problems
                .add(value.span.clone(), "`decay` belongs to a Fourier canvas", "no such canvas")
                .help("add `canvas = \"fourier\"`, or leave `decay` out");
        }
        _ => {}
    }
    picture.side = raw.side.as_ref().map(|side| side.value.size()).or(picture.side);
    picture.steps = raw.steps.as_ref().map_or(picture.steps, |steps| steps.value.size());
    picture.optimizer.rate = raw.rate.as_ref().map_or(picture.optimizer.rate, |rate| rate.value.0);
    picture.views.copies = raw.views.as_ref().map_or(picture.views.copies, |views| views.value.size());
    if let Some(noise) = &raw.noise {
        picture.views.noise = [noise.value.0; 2];
    }
    motion(raw, &mut picture.views.motion, problems);
    let penalties = &mut picture.penalties;
    for (value, weight) in [
        (&raw.tv, &mut penalties.tv),
        (&raw.l2, &mut penalties.l2),
        (&raw.blur, &mut penalties.blur),
        (&raw.keep, &mut penalties.keep),
        (&raw.diversity, &mut picture.diversity),
    ] {
        *weight = value.as_ref().map_or(*weight, |value| value.value.0);
    }
    picture
}

fn motion(raw: &RawVisualize, motion: &mut Motion, problems: &mut Problems) {
    let keys = [
        ("jitter", raw.jitter.as_ref().map(|value| (value.span.clone(), value.value.0))),
        ("scale", raw.scale.as_ref().map(|value| (value.span.clone(), value.value.0))),
        ("rotate", raw.rotate.as_ref().map(|value| (value.span.clone(), value.value.0))),
    ];
    for (key, value) in keys {
        let Some((span, value)) = value else { continue };
        match (&mut *motion, key) {
            (Motion::Warp { jitter, .. }, "jitter") => *jitter = [value, 0.0],
            (Motion::Warp { scale, .. }, "scale") => *scale = value.min(0.9),
            (Motion::Warp { degrees, .. }, "rotate") => *degrees = value,
            (Motion::Roll { share }, "jitter") => *share = value,
            _ => {
                problems
                    .add(span, format!("`{key}` does not apply to the views of this preset"), "not used")
                    .help("presets `lucid` and `pixel` warp their views");
            }
        }
    }
}
