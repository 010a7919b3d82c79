//! `views` of an attack.

use crate::suite::config::OptimizerName;
use crate::suite::features::GradientViews;
use crate::suite::raw::attack::RawViews;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;

/// How far copies lie around the image, as a share of epsilon.
const RADIUS: f64 = 0.5;

/// The views over which each gradient is averaged; none if the image alone is looked at.
pub(super) fn views(
    raw: Option<At<RawViews>>,
    optimizer: OptimizerName,
    problems: &mut Problems,
) -> Option<GradientViews> {
    let At { value: raw, span } = raw?;
    if optimizer.step().backwards == 0 {
        let word = optimizer.as_str();
        problems
            .add(span.clone(), format!("optimizer `{word}` asks for no gradient"), "nothing to average")
            .help("leave `views` out, or use the optimizer `momentum`");
    }
    let size = |count: Option<usize>| count.unwrap_or(1);
    let views = GradientViews {
        diversity: raw.diversity.map_or(0.0, |share| share.value.0),
        scales: size(raw.scales.map(|scales| scales.value.size())),
        samples: size(raw.samples.as_ref().map(|samples| samples.value.size())),
        radius: raw.radius.as_ref().map_or(RADIUS, |radius| radius.value.0),
        translation: size(raw.translation.as_ref().map(|side| side.value.size())),
        patches: raw.patches.as_ref().map_or(1.0, |share| share.value.0),
        backward: raw.backward.map(|backward| backward.value),
    };
    if let Some(side) = raw.translation.filter(|side| side.value.size().is_multiple_of(2)) {
        let (below, above) = (side.value.size() - 1, side.value.size() + 1);
        problems
            .add(side.span, "the side of a kernel is odd", "an even number")
            .help(format!("write {below} or {above}"));
    }
    if let Some(radius) = raw.radius.filter(|_| views.samples == 1) {
        problems
            .add(radius.span, "`radius` is that of copies around the image, of which there are none", "not used")
            .help("add `samples`, such as `samples = 8`");
    }
    let views = if views.samples == 1 { GradientViews { radius: 0.0, ..views } } else { views };
    if views == GradientViews::PLAIN && problems.none_within(&span) {
        problems
            .add(span, "`views` asks for the image alone", "changes nothing")
            .help("add `diversity`, `scales`, `samples`, `translation`, `patches` or `backward`, or leave `views` out");
    }
    (views != GradientViews::PLAIN).then_some(views)
}
