//! `[data]`.

use std::path::Path;

use crate::suite::config::{DataConfig, DataSource, OnDataError, Preprocess, Split};
use crate::suite::problem::Problems;
use crate::suite::raw::{RawData, RawImageFolder, RawSynthetic};
use crate::suite::read::At;
use crate::suite::values::Count;

/// Size of the synthetic split if the suite says nothing.
const DEFAULT_SIZE: usize = 2000;

type Samples = Option<At<Count<1, 100_000_000>>>;

pub(super) fn resolve(raw: At<RawData>, base: &Path, problems: &mut Problems) -> Option<DataConfig> {
    let (source, samples, on_error) = match raw.value {
        RawData::Synthetic(raw) => synthetic(raw, problems),
        RawData::Cifar10(raw) => {
            let root = base.join(raw.root?.value.0);
            let split = raw.split.map_or(Split::default(), |split| split.value);
            (DataSource::Cifar10 { root, split }, raw.samples, raw.on_error)
        }
        RawData::ImageFolder(raw) => image_folder(raw, base, problems)?,
    };
    Some(DataConfig {
        source,
        samples: samples.map(|samples| samples.value.size()),
        on_error: on_error.map_or(OnDataError::default(), |word| word.value),
    })
}

fn synthetic(raw: RawSynthetic, problems: &mut Problems) -> (DataSource, Samples, Option<At<OnDataError>>) {
    let size = raw.size.as_ref().map_or(DEFAULT_SIZE, |size| size.value.size());
    if let Some(samples) = raw.samples.as_ref().filter(|samples| samples.value.size() > size) {
        let problem = problems.add(
            samples.span.clone(),
            format!("{} samples cannot be drawn from {size} images", samples.value.0),
            "too many",
        );
        problem.help("lower `samples` or raise `size`");
        if let Some(size) = &raw.size {
            problem.note(size.span.clone(), "the split's size");
        }
    }
    let split = raw.split.map_or(Split::default(), |split| split.value);
    (DataSource::Synthetic { split, size }, raw.samples, raw.on_error)
}

fn image_folder(
    raw: RawImageFolder,
    base: &Path,
    problems: &mut Problems,
) -> Option<(DataSource, Samples, Option<At<OnDataError>>)> {
    if let (Some(resize), Some(crop)) = (&raw.resize, &raw.crop)
        && crop.value.0 > resize.value.0
    {
        problems
            .add(crop.span.clone(), "`crop` is larger than the resized image", "too large")
            .note(resize.span.clone(), "the shorter side after resizing")
            .help(format!("crop at most {} pixels", resize.value.0));
    }
    if let (Some(interpolation), None) = (&raw.interpolation, &raw.resize) {
        problems
            .add(interpolation.span.clone(), "`interpolation` without `resize` has no effect", "no effect")
            .help("add `resize`, or leave `interpolation` out");
    }
    let side = |count: Option<At<Count<1, 16_384>>>| count.map(|count| count.value.0 as u32);
    let (resize, crop) = (side(raw.resize), side(raw.crop));
    let interpolation = raw.interpolation.map_or_else(Default::default, |word| word.value);
    let preprocess = (resize.is_some() || crop.is_some()).then_some(Preprocess { resize, crop, interpolation });
    let root = base.join(raw.root?.value.0);
    Some((DataSource::ImageFolder { root, preprocess }, raw.samples, raw.on_error))
}
