//! `[data]`.

use std::path::{Path, PathBuf};

use crate::suite::data_config::{ClassNames, DataConfig, DataSource, OnDataError, Preprocess, Split};
use crate::suite::raw::data::{RawCommon, RawCsv, RawData, RawWebdataset};
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Count, Text};

/// Size of the synthetic split if the suite says nothing.
const DEFAULT_SIZE: usize = 2000;

/// The word of `class_names` that is no file.
const IMAGENET: &str = "imagenet";

pub(super) fn resolve(raw: At<RawData>, base: &Path, problems: &mut Problems) -> Option<DataConfig> {
    let path = |text: At<Text>| base.join(text.value.0);
    let split_of = |split: Option<At<Split>>| split.map_or(Split::default(), |split| split.value);
    let (source, common) = match raw.value {
        RawData::Synthetic(mut raw) => {
            let common = raw.common();
            let size = raw.size.as_ref().map_or(DEFAULT_SIZE, |size| size.value.size());
            too_many(common.samples.as_ref(), size, raw.size.as_ref(), problems);
            (Some(DataSource::Synthetic { split: split_of(raw.split), size }), common)
        }
        RawData::Cifar10(mut raw) => {
            let (common, split) = (raw.common(), split_of(raw.split));
            (raw.root.map(|root| DataSource::Cifar10 { root: path(root), split }), common)
        }
        RawData::Cifar100(mut raw) => {
            let (common, split) = (raw.common(), split_of(raw.split));
            let labels = raw.labels.map_or_else(Default::default, |word| word.value);
            (raw.root.map(|root| DataSource::Cifar100 { root: path(root), split, labels }), common)
        }
        RawData::Mnist(mut raw) => {
            let (common, split) = (raw.common(), split_of(raw.split));
            (raw.root.map(|root| DataSource::Mnist { root: path(root), split }), common)
        }
        RawData::FashionMnist(mut raw) => {
            let (common, split) = (raw.common(), split_of(raw.split));
            (raw.root.map(|root| DataSource::FashionMnist { root: path(root), split }), common)
        }
        RawData::Idx(mut raw) => {
            let files = raw.images.take().zip(raw.labels.take());
            let idx = |(images, labels)| DataSource::Idx { images: path(images), labels: path(labels) };
            (files.map(idx), raw.common())
        }
        RawData::ImageFolder(mut raw) => {
            let root = raw.root.take();
            (root.map(|root| DataSource::ImageFolder { root: path(root) }), raw.common())
        }
        RawData::ImagenetVal(mut raw) => {
            let (common, synsets) = (raw.common(), raw.synsets.take().map(path));
            let places = raw.root.take().zip(raw.labels.take());
            let val = |(root, labels)| DataSource::ImagenetVal { root: path(root), labels: path(labels), synsets };
            (places.map(val), common)
        }
        RawData::Csv(mut raw) => {
            let common = raw.common();
            (csv(raw, base), common)
        }
        RawData::Webdataset(mut raw) => {
            let common = raw.common();
            (Some(webdataset(raw, base)), common)
        }
    };
    let preprocess = preprocess(&common, problems);
    let class_names = common.class_names.map(|text| match text.value.0.as_str() {
        IMAGENET => ClassNames::Imagenet,
        file => ClassNames::File(base.join(file)),
    });
    Some(DataConfig {
        source: source?,
        preprocess,
        class_names,
        samples: common.samples.map(|samples| samples.value.size()),
        on_error: common.on_error.map_or(OnDataError::default(), |word| word.value),
    })
}

fn too_many(
    samples: Option<&At<Count<1, 100_000_000>>>,
    size: usize,
    written: Option<&At<Count<1, 100_000_000>>>,
    problems: &mut Problems,
) {
    let Some(samples) = samples.filter(|samples| samples.value.size() > size) else { return };
    let problem = problems.add(
        samples.span.clone(),
        format!("{} samples cannot be drawn from {size} images", samples.value.0),
        "too many",
    );
    problem.help("lower `samples` or raise `size`");
    if let Some(size) = written {
        problem.note(size.span.clone(), "the split's size");
    }
}

fn csv(raw: RawCsv, base: &Path) -> Option<DataSource> {
    let file = base.join(raw.file?.value.0);
    let folder_of_table = || file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let root = raw.root.map_or_else(folder_of_table, |root| base.join(root.value.0));
    Some(DataSource::Csv { file, root })
}

fn webdataset(raw: RawWebdataset, base: &Path) -> DataSource {
    let root = raw.root.map_or_else(|| base.to_path_buf(), |root| base.join(root.value.0));
    let label_field = raw.label_field.map_or_else(|| "label".to_owned(), |field| field.value.0);
    DataSource::Webdataset { root, shards: raw.shards.map_or_else(Vec::new, |shards| shards.value.0), label_field }
}

fn preprocess(raw: &RawCommon, problems: &mut Problems) -> Preprocess {
    let side = |count: &Option<At<Count<1, 16_384>>>| count.as_ref().map(|count| count.value.0 as u32);
    let (mut resize, crop) = (side(&raw.resize), side(&raw.crop));
    match (&raw.crop_pct, &raw.resize, crop) {
        (Some(share), Some(written), _) => {
            problems
                .add(share.span.clone(), "`crop_pct` and `resize` say the same thing twice", "`resize` is there too")
                .note(written.span.clone(), "`resize`")
                .help("leave one of them out: with `crop_pct`, `resize` is crop / crop_pct, rounded down");
        }
        (Some(share), None, None) => {
            problems
                .add(share.span.clone(), "`crop_pct` without `crop` has no effect", "no effect")
                .help("add `crop`, such as `crop = 224`");
        }
        // As timm computes it: floor(crop / crop_pct).
        (Some(share), None, Some(crop)) => resize = Some((f64::from(crop) / share.value.0).floor() as u32),
        (None, ..) => {}
    }
    if let (Some(written), Some(crop)) = (&raw.resize, &raw.crop)
        && crop.value.0 > written.value.0
    {
        problems
            .add(crop.span.clone(), "`crop` is larger than the resized image", "too large")
            .note(written.span.clone(), "the shorter side after resizing")
            .help(format!("crop at most {} pixels", written.value.0));
    }
    if let (Some(interpolation), None, None) = (&raw.interpolation, &raw.resize, &raw.crop_pct) {
        problems
            .add(interpolation.span.clone(), "`interpolation` without `resize` has no effect", "no effect")
            .help("add `resize`, or leave `interpolation` out");
    }
    let interpolation = raw.interpolation.as_ref().map_or_else(Default::default, |word| word.value);
    Preprocess { channels: raw.channels.as_ref().map(|channels| channels.value.0), resize, crop, interpolation }
}
