//! Which model of the reference stands against which of another run.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::CompareError;
use crate::gate::Snapshot;

/// Two models; written `A=B`, or `A` for the same name on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelPair {
    /// The reference's model.
    pub reference: String,
    /// The run's model.
    pub run: String,
}

impl ModelPair {
    fn same(name: &str) -> Self {
        ModelPair { reference: name.to_owned(), run: name.to_owned() }
    }
}

impl FromStr for ModelPair {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (reference, run) = text.split_once('=').unwrap_or((text, text));
        if reference.is_empty() || run.is_empty() || run.contains('=') {
            return Err("must be A=B: a model of the first run and one of the others".to_owned());
        }
        Ok(ModelPair { reference: reference.to_owned(), run: run.to_owned() })
    }
}

/// `resnet20`, or `resnet20 → resnet20-adv`.
impl fmt::Display for ModelPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reference == self.run {
            f.write_str(&self.reference)
        } else {
            write!(f, "{} → {}", self.reference, self.run)
        }
    }
}

/// The pairs that were asked for; or else models of the same name, in the reference's order; or else the only models.
pub(super) fn pairs(
    reference: &Snapshot,
    run: &Snapshot,
    requested: &[ModelPair],
) -> Result<Vec<ModelPair>, CompareError> {
    let (theirs, others) = (names(reference), names(run));
    for pair in requested {
        let sides = [(reference, &theirs, &pair.reference), (run, &others, &pair.run)];
        if let Some((snapshot, known, name)) = sides.into_iter().find(|(_, known, name)| !known.contains(name)) {
            return Err(CompareError::unknown_model(&snapshot.provenance.run, name, known));
        }
    }
    if !requested.is_empty() {
        return Ok(requested.to_vec());
    }
    let shared: Vec<ModelPair> =
        theirs.iter().filter(|name| others.contains(name)).map(|name| ModelPair::same(name)).collect();
    match (theirs.as_slice(), others.as_slice()) {
        _ if !shared.is_empty() => Ok(shared),
        ([one], [other]) => Ok(vec![ModelPair { reference: one.clone(), run: other.clone() }]),
        _ => Err(CompareError::NoModelShared {
            reference: reference.provenance.run.clone(),
            theirs,
            run: run.provenance.run.clone(),
            others,
        }),
    }
}

/// The models that anything was measured of; of a run that only made pictures all of them.
fn names(snapshot: &Snapshot) -> Vec<String> {
    if snapshot.models.is_empty() {
        return snapshot.provenance.models.iter().map(|model| model.name.clone()).collect();
    }
    snapshot.models.iter().map(|model| model.model.clone()).collect()
}
