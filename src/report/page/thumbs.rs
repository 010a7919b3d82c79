//! Small clean images of samples that changed.

use serde::Serialize;

use super::encode::data_uri;
use crate::record::Thumbnails;
use crate::terms::SampleId;

/// One sample.
#[derive(Debug, Serialize)]
pub struct Thumb {
    /// The sample.
    pub sample: String,
    /// Its picture as an address; none where the run kept none.
    pub source: Option<String>,
    /// What is said of it.
    pub caption: String,
}

/// Gives out pictures while there is room for them in a page.
pub struct Album<'t> {
    thumbnails: &'t Thumbnails,
    /// Bytes that are left.
    room: usize,
}

impl<'t> Album<'t> {
    /// Pictures of at most `room` bytes in all.
    pub fn new(thumbnails: &'t Thumbnails, room: usize) -> Self {
        Album { thumbnails, room }
    }

    /// The sample with its picture, if there is one and room for it.
    pub fn thumb(&mut self, sample: &SampleId, caption: String) -> Thumb {
        let fits = |png: &&[u8]| png.len().div_ceil(3) * 4 <= self.room;
        let source = self.thumbnails.get(sample).filter(fits).map(data_uri);
        self.room -= source.as_ref().map_or(0, |source| source.len().min(self.room));
        Thumb { sample: sample.to_string(), source, caption }
    }
}
