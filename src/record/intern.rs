//! One allocation for each distinct name, however often it is read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::terms::SampleId;

/// Names and sample ids that were read before.
#[derive(Default)]
pub(super) struct Interner {
    names: HashMap<Box<str>, Arc<str>>,
    samples: HashMap<Box<str>, SampleId>,
}

impl Interner {
    pub(super) fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        let name: Arc<str> = text.into();
        self.names.insert(text.into(), name.clone());
        name
    }

    pub(super) fn sample(&mut self, text: &str) -> SampleId {
        if let Some(known) = self.samples.get(text) {
            return known.clone();
        }
        let sample = SampleId::from(text);
        self.samples.insert(text.into(), sample.clone());
        sample
    }
}
