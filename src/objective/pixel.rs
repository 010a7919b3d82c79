//! An objective as it is named on the command line, for input gradients.

use std::fmt;
use std::str::FromStr;

use crate::terms::{LayerName, Unit};

/// What the pixels' gradient is taken of. Written `class:3`, `unit:layer2.1.conv1:5`, or with a neuron's row and column
/// `unit:layer2.1.conv1:5@0,7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PixelObjective {
    /// The logit of a class.
    Class(usize),
    /// The activation of a unit: the mean over positions, or one neuron.
    Unit {
        /// Its layer.
        layer: LayerName,
        /// The unit.
        unit: Unit,
    },
}

impl fmt::Display for PixelObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PixelObjective::Class(class) => write!(f, "class:{class}"),
            PixelObjective::Unit { layer, unit } => write!(f, "unit:{layer}:{unit}"),
        }
    }
}

/// A text that names no objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an objective{why}; write class:K, unit:LAYER:I, or unit:LAYER:I@ROW,COLUMN")]
pub struct ObjectiveError {
    text: String,
    why: String,
}

impl FromStr for PixelObjective {
    type Err = ObjectiveError;
    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let wrong = |why: &str| ObjectiveError { text: text.to_owned(), why: why.to_owned() };
        match text.split_once(':') {
            Some(("class", class)) => {
                class.parse().map(PixelObjective::Class).map_err(|_| wrong(": the class must be an index"))
            }
            Some(("unit", rest)) => {
                let (layer, unit) = rest.rsplit_once(':').ok_or_else(|| wrong(": the unit is missing"))?;
                if layer.is_empty() {
                    return Err(wrong(": the layer is missing"));
                }
                let unit = unit.parse().map_err(|error| wrong(&format!(": {error}")))?;
                Ok(PixelObjective::Unit { layer: layer.into(), unit })
            }
            _ => Err(wrong("")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_read_back_what_they_print() {
        for text in ["class:0", "class:12", "unit:conv1:5", "unit:blocks.2.attn.qkv:5@2,6"] {
            assert_eq!(text.parse::<PixelObjective>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_explained() {
        let wrong =
            ["", "class", "class:", "class:-1", "class:cat", "logit:3", "unit:conv1", "unit::3", "unit:conv1:x"];
        let errors = wrong.map(|text| text.parse::<PixelObjective>().unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"));
    }
}
