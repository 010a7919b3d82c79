//! What a rule looks at, and what a number is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::terms::{CellKind, Epsilon, Norm};

/// What a number is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The model.
    pub model: String,
    /// The attack; none for what spans attacks.
    pub attack: Option<String>,
    /// The kind of cell.
    pub kind: Option<CellKind>,
    /// The layer of a unit.
    pub layer: Option<String>,
    /// The unit.
    pub unit: Option<String>,
    /// The norm.
    pub norm: Option<Norm>,
    /// The radius.
    pub epsilon: Option<Epsilon>,
    /// The method of a distance.
    pub method: Option<String>,
}

impl Subject {
    /// A model as a whole.
    pub fn model(name: &str) -> Self {
        Subject { model: name.to_owned(), ..Subject::default() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        if let Some(attack) = &self.attack {
            write!(f, " · {attack}")?;
        }
        if let Some(kind) = self.kind.filter(|kind| kind.is_control()) {
            write!(f, " ({kind})")?;
        }
        match (&self.layer, &self.unit) {
            (Some(layer), Some(unit)) => write!(f, " · {layer} unit {unit}")?,
            (Some(one), None) | (None, Some(one)) => write!(f, " · {one}")?,
            (None, None) => {}
        }
        match (self.norm, self.epsilon) {
            (Some(norm), Some(epsilon)) => write!(f, " · {norm} {epsilon}")?,
            (Some(norm), None) => write!(f, " · {norm}")?,
            _ => {}
        }
        self.method.as_ref().map_or(Ok(()), |method| write!(f, " · {method}"))
    }
}
