//! WebDataset (Aizman, Maltby and Breuel, "High Performance I/O For Large Scale Deep Learning", 2019): tar files whose
//! members with one base name (`__key__`) are a sample: `0001.jpg` and `0001.cls`, or `0001.png` and `0001.json`.

mod shard;
mod shards;

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::class_names::ClassList;
use super::decode::{bytes_size, decode};
use super::labels::{Labelled, classify};
use super::records::fingerprint;
use super::{DataError, Dataset, Image, Numbering};
use crate::files::open_regular;
use crate::terms::SampleId;
use shard::Found;

/// Bytes of an image in which its header is looked for.
const HEADER: u64 = 1 << 16;

/// Samples in tar files, of which only places and labels are in memory.
#[derive(Debug)]
pub(super) struct Webdataset {
    shards: Vec<PathBuf>,
    classes: Vec<String>,
    samples: Vec<Placed>,
    numbering: Numbering,
}

/// Where a sample's image lies.
#[derive(Debug)]
struct Placed {
    id: SampleId,
    label: u32,
    shard: u32,
    offset: u64,
    length: u64,
}

/// Lists the samples of the tar files that `patterns` name below `root` (all in it, if there are none), in the order of files
/// and members. Ids are keys; where a key is in two shards, all ids begin with the shard's name. A label is the content of the
/// member `cls`, or else the field `label_field` of the member `json`: a class index or a class name (see [`classify`]).
///
/// # Errors
/// If a shard is missing, no tar file, or truncated, or a sample has not exactly one image and a label; each names the shard
/// and the sample.
pub(super) fn open(
    root: &Path,
    patterns: &[String],
    label_field: &str,
    names: Option<&ClassList>,
) -> Result<Webdataset, DataError> {
    let shards = shards::list(root, patterns)?;
    // Collected before they are searched, so that which error is reported does not depend on the threads.
    let found: Vec<Result<Vec<Found>, DataError>> =
        shards.par_iter().map(|path| shard::samples(path, label_field)).collect();
    let found: Vec<Vec<Found>> = found.into_iter().collect::<Result<_, _>>()?;
    let all: Vec<(usize, Found)> = found
        .into_iter()
        .enumerate()
        .flat_map(|(at, found)| found.into_iter().map(move |sample| (at, sample)))
        .collect();
    if all.is_empty() {
        return Err(DataError::content(root, "the tar files have no samples"));
    }
    let texts: Vec<&str> = all.iter().map(|(_, sample)| sample.label.as_str()).collect();
    let wrong = |at: usize, problem: String| {
        let (shard, sample): &(usize, Found) = &all[at];
        DataError::content(&shards[*shard], format!("sample `{}`: {problem}", sample.key))
    };
    let Labelled { labels, classes, numbering } = classify(&texts, names, wrong)?;
    let mut keys = HashSet::with_capacity(all.len());
    let distinct = all.iter().all(|(_, sample)| keys.insert(sample.key.as_str()));
    let id = |shard: usize, key: &str| -> SampleId {
        let name = shards[shard].file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if distinct { key.into() } else { format!("{name}/{key}").into() }
    };
    let placed = |((shard, sample), label): (&(usize, Found), u32)| Placed {
        id: id(*shard, &sample.key),
        label,
        shard: *shard as u32,
        offset: sample.offset,
        length: sample.length,
    };
    let samples = all.iter().zip(labels).map(placed).collect();
    Ok(Webdataset { shards, classes, samples, numbering })
}

impl Webdataset {
    /// The first `most` bytes of a sample's image.
    fn bytes(&self, index: usize, most: u64) -> Result<Vec<u8>, DataError> {
        let sample = &self.samples[index];
        let path = &self.shards[sample.shard as usize];
        let length = sample.length.min(most);
        let mut bytes = Vec::new();
        let mut file = open_regular(path).map_err(DataError::read(path))?;
        file.seek(SeekFrom::Start(sample.offset))
            .and_then(|_| file.take(length).read_to_end(&mut bytes))
            .map_err(DataError::read(path))?;
        if (bytes.len() as u64) < length {
            return Err(DataError::content(path, "has become shorter since it was listed"));
        }
        Ok(bytes)
    }
}

impl Dataset for Webdataset {
    fn name(&self) -> &str {
        "webdataset"
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn id(&self, index: usize) -> SampleId {
        self.samples[index].id.clone()
    }

    fn label(&self, index: usize) -> u32 {
        self.samples[index].label
    }

    fn numbering(&self) -> Numbering {
        self.numbering
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decode(&self.bytes(index, u64::MAX)?, &self.location(index))
    }

    fn size(&self, index: usize) -> Option<(u32, u32)> {
        bytes_size(&self.bytes(index, HEADER).ok()?)
    }

    fn location(&self, index: usize) -> PathBuf {
        let sample = &self.samples[index];
        let mut place = self.shards[sample.shard as usize].clone().into_os_string();
        place.push(format!(" (sample {})", sample.id));
        place.into()
    }

    fn fingerprint(&self, index: usize) -> Result<u64, DataError> {
        Ok(fingerprint(&self.bytes(index, u64::MAX)?))
    }
}

#[cfg(test)]
mod tests;
