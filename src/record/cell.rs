//! What a record belongs to: model, attack, what was driven, ball.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::suite::{FeatureObjective, Target};
use crate::terms::{CellKind, Epsilon, LayerName, Norm, Unit};

/// One row of the summary: (model, attack, unit or target, epsilon).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// The model's name in the suite.
    pub model: String,
    /// The data set's name.
    pub dataset: String,
    /// The attack's name in the suite; controls carry the name of the attack that they stand beside.
    pub attack: String,
    /// Attack or control.
    pub kind: CellKind,
    /// The target rule of a class-logit attack, written as `least-likely` or `class:3`; none, written as nothing, for others.
    #[serde(with = "target_text")]
    pub target: Option<Target>,
    /// The layer of a unit attack; none for class logits.
    pub layer: Option<LayerName>,
    /// What was driven in the layer, what was made of all its features, or the draw of a noise control; none for class logits.
    pub unit: Option<CellUnit>,
    /// The ball's norm.
    pub norm: Norm,
    /// The ball's radius.
    pub epsilon: Epsilon,
}

impl Cell {
    /// The target rule as tables write it: empty for none.
    pub fn target_text(&self) -> String {
        self.target.map(|target| target.to_string()).unwrap_or_default()
    }

    /// What was driven as tables write it: empty for none.
    pub fn unit_text(&self) -> String {
        self.unit.as_ref().map(CellUnit::to_string).unwrap_or_default()
    }
}

/// What tells cells of one layer, or of one control, apart. Written `17`, `17@3,5`, `draw:3`, or `fia`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CellUnit {
    /// A unit.
    Unit(Unit),
    /// One of a noise control's draws.
    Draw(usize),
    /// What is made of all features of the layer.
    Objective(FeatureObjective),
}

/// How the draws of noise controls are written, before their number.
const DRAW: &str = "draw:";

impl fmt::Display for CellUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CellUnit::Unit(unit) => unit.fmt(f),
            CellUnit::Draw(draw) => write!(f, "{DRAW}{draw}"),
            CellUnit::Objective(objective) => f.write_str(objective.as_str()),
        }
    }
}

impl FromStr for CellUnit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(objective) = FeatureObjective::ALL.into_iter().find(|objective| objective.as_str() == text) {
            return Ok(CellUnit::Objective(objective));
        }
        match text.strip_prefix(DRAW) {
            Some(draw) => draw.parse().map(CellUnit::Draw).map_err(|_| format!("`{text}` is no draw, like {DRAW}0")),
            None => text.parse().map(CellUnit::Unit),
        }
    }
}

impl TryFrom<String> for CellUnit {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CellUnit> for String {
    fn from(unit: CellUnit) -> String {
        unit.to_string()
    }
}

impl From<Unit> for CellUnit {
    fn from(unit: Unit) -> Self {
        CellUnit::Unit(unit)
    }
}

/// A target rule as text, which is empty for none.
pub(crate) mod target_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::suite::Target;

    pub fn serialize<S: Serializer>(target: &Option<Target>, serializer: S) -> Result<S::Ok, S::Error> {
        match target {
            Some(target) => serializer.collect_str(target),
            None => serializer.serialize_str(""),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Target>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(de::Error::custom) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{cell, unit_cell};

    #[test]
    fn cells_keep_the_text_that_they_always_had() {
        let targeted = Cell { target: Some(Target::Class(3)), ..cell(0.5) };
        let text = r#"{"model":"m","dataset":"synthetic","attack":"a","kind":"class-logit","target":"class:3","layer":null,"unit":null,"norm":"linf","epsilon":0.5}"#;
        assert_eq!(serde_json::to_string(&targeted).unwrap(), text);
        for unit in ["17", "17@3,5", "draw:12", "fia"] {
            let cell = unit_cell(CellKind::Unit, unit, 0.5);
            let text = serde_json::to_string(&cell).unwrap();
            assert!(text.contains(&format!(r#""target":"","layer":"layer1","unit":"{unit}""#)), "{text}");
            assert_eq!(serde_json::from_str::<Cell>(&text).unwrap(), cell);
        }
    }

    #[test]
    fn what_is_no_unit_is_an_error() {
        for text in ["draw:", "draw:-1", "draw:x", "seventeen", "17@3"] {
            assert!(text.parse::<CellUnit>().is_err(), "{text}");
        }
        let text = serde_json::to_string(&cell(0.5)).unwrap().replace("untargeted", "most-likely");
        let error = serde_json::from_str::<Cell>(&text).unwrap_err().to_string();
        assert!(error.contains("most-likely"), "{error}");
    }
}
