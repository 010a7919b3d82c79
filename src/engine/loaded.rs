//! The models of a run that are on the device.

use std::collections::HashMap;
use std::rc::Rc;

use super::prepare::Prepared;
use crate::model::{Model, ModelError};

/// Holds the model that searches, and the f32 models that decide: that of the block at hand, and those to which images are shown.
pub(super) struct Loaded<'a> {
    prepared: &'a Prepared,
    search: Option<(usize, Rc<Model>)>,
    verifiers: HashMap<usize, Rc<Model>>,
}

impl<'a> Loaded<'a> {
    pub(super) fn new(prepared: &'a Prepared) -> Self {
        Loaded { prepared, search: None, verifiers: HashMap::new() }
    }

    /// The model that searches and the one that decides.
    pub(super) fn pair(&mut self, index: usize) -> Result<(Rc<Model>, Rc<Model>), ModelError> {
        let verifier = self.verifier(index)?;
        // The one before goes first, so that two are never there at once.
        self.search.take_if(|(loaded, _)| *loaded != index);
        let search = match &self.search {
            Some((_, model)) => model.clone(),
            None => self.prepared.searcher(index, &verifier)?,
        };
        self.search = Some((index, search.clone()));
        Ok((search, verifier))
    }

    /// The model that decides.
    pub(super) fn verifier(&mut self, index: usize) -> Result<Rc<Model>, ModelError> {
        if let Some(loaded) = self.verifiers.get(&index) {
            return Ok(loaded.clone());
        }
        let verifier = self.prepared.verifier(index)?;
        self.verifiers.insert(index, verifier.clone());
        Ok(verifier)
    }

    /// Lets go of all models but this one.
    pub(super) fn keep_only(&mut self, index: usize) {
        self.search.take_if(|(loaded, _)| *loaded != index);
        self.verifiers.retain(|loaded, _| *loaded == index);
    }
}
