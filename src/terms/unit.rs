//! Units: what a suite, an attack or a picture can drive inside a network, and how that is written.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A unit of a layer: a part of its activation, read at some places. Written `part@place`; without a place its mean over positions.
///
/// | written | what it is |
/// |---|---|
/// | `17` | a channel of `[N, C, H, W]`, a feature of `[N, T, D]` or `[N, D]`, a head of attention scores |
/// | `q:17`, `k:17`, `v:17` | a feature of the queries, keys or values |
/// | `normed:17` | a feature of the residual stream behind the network's final normalization |
/// | `head:3` | the squared length of what an attention head gives |
/// | `direction:FILE` | the length along a direction that a file holds |
/// | `direction:3-5`, `direction:3` | that along the difference of class means: of class 3 and 5, of class 3 and all others |
/// | `layer` | the mean square of the whole layer |
/// | `sensitive:1` | of each sample another channel or feature: the one that must move least to change the prediction |
///
/// Places: `@3,5` is a single neuron at row and column (of the grid of patches for tokens; of queries and keys for attention scores),
/// `@class` the class token, `@prefix:1` another token before the patches, `@max` the largest position, `@top:10` the mean of the
/// largest tenth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Unit {
    /// What of the activation.
    pub part: Part,
    /// Where it is read.
    pub place: Place,
}

/// What of an activation a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A channel or feature.
    Channel(usize),
    /// A feature of the queries in a layer of queries, keys and values.
    Query(usize),
    /// A feature of the keys.
    Key(usize),
    /// A feature of the values.
    Value(usize),
    /// A feature behind the network's final normalization.
    Normed(usize),
    /// The squared length of an attention head's output; for attention scores the head's scores.
    Head(usize),
    /// The length along a direction.
    Direction(DirectionName),
    /// The mean square of all features.
    Layer,
    /// Of each sample the channel or feature of this rank, from 1 on, by how little it has to move to change the prediction.
    Sensitive(usize),
}

/// Where a unit is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The mean over positions; of tokens over those of patches.
    Mean,
    /// The largest of them.
    Max,
    /// The mean of the largest of them, as so many percent.
    Top(u8),
    /// One position: row and column.
    At(usize, usize),
    /// A token before those of the patches, by its place; 0 is the class token.
    Prefix(usize),
}

/// A direction as it is written: a file, or two classes. Names live as long as the program, so that units can be copied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectionName(&'static str);

/// What a direction's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectionSource<'a> {
    /// The mean of a class less that of another, or of all others.
    Classes(usize, Option<usize>),
    /// A file with a vector.
    File(&'a str),
}

static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl DirectionName {
    /// The direction that is written so.
    pub fn new(text: &str) -> Self {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(text).copied();
        let name = known.unwrap_or_else(|| {
            let name: &'static str = Box::leak(text.to_owned().into_boxed_str());
            names.insert(name);
            name
        });
        DirectionName(name)
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The text without the folders of a file.
    pub fn short(self) -> &'static str {
        match self.source() {
            DirectionSource::File(path) => path.rsplit(['/', '\\']).next().unwrap_or(path),
            DirectionSource::Classes(..) => self.0,
        }
    }

    /// The same, with a file looked for in `folder` if it is not told from the root.
    pub fn within(self, folder: &Path) -> Self {
        match self.source() {
            DirectionSource::File(path) => DirectionName::new(&folder.join(path).to_string_lossy()),
            DirectionSource::Classes(..) => self,
        }
    }

    /// What it means.
    pub fn source(self) -> DirectionSource<'static> {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        match self.0.split_once('-') {
            Some((a, b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => DirectionSource::Classes(a, Some(b)),
                _ => DirectionSource::File(self.0),
            },
            None => number(self.0).map_or(DirectionSource::File(self.0), |class| DirectionSource::Classes(class, None)),
        }
    }
}

impl fmt::Debug for DirectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl Unit {
    /// The channel or feature `index`, averaged over positions.
    pub fn channel(index: usize) -> Self {
        Unit { part: Part::Channel(index), place: Place::Mean }
    }

    /// The channel or feature `index` at one row and column.
    pub fn neuron(index: usize, row: usize, column: usize) -> Self {
        Unit { part: Part::Channel(index), place: Place::At(row, column) }
    }

    /// The channel of a unit that is the mean over positions of a channel, and nothing else.
    pub fn mean_of(self) -> Option<usize> {
        match self {
            Unit { part: Part::Channel(index), place: Place::Mean } => Some(index),
            _ => None,
        }
    }

    /// The channel or feature that the unit is, wherever it is read.
    pub fn index(self) -> Option<usize> {
        match self.part {
            Part::Channel(index) => Some(index),
            _ => None,
        }
    }

    /// The direction that the unit is, if it is one.
    pub fn direction(self) -> Option<DirectionName> {
        match self.part {
            Part::Direction(name) => Some(name),
            _ => None,
        }
    }

    /// The same, with a direction's file looked for in `folder`.
    pub fn within(self, folder: &Path) -> Self {
        match self.part {
            Part::Direction(name) => Unit { part: Part::Direction(name.within(folder)), ..self },
            _ => self,
        }
    }

    /// Whether it is another channel or feature for each sample.
    pub fn is_chosen_by_sample(self) -> bool {
        matches!(self.part, Part::Sensitive(_))
    }

    /// Whether where it is read depends on the size of images.
    pub fn has_position(self) -> bool {
        matches!(self.place, Place::At(..))
    }
}

impl TryFrom<String> for Unit {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// With the whole path of a direction's file.
impl From<Unit> for String {
    fn from(unit: Unit) -> String {
        match unit.part {
            Part::Direction(name) => unit.to_string().replacen(name.short(), name.as_str(), 1),
            _ => unit.to_string(),
        }
    }
}

/// With the mere name of a direction's file.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Channel(index) => write!(f, "{index}")?,
            Part::Query(index) => write!(f, "q:{index}")?,
            Part::Key(index) => write!(f, "k:{index}")?,
            Part::Value(index) => write!(f, "v:{index}")?,
            Part::Normed(index) => write!(f, "normed:{index}")?,
            Part::Head(index) => write!(f, "head:{index}")?,
            Part::Direction(name) => write!(f, "direction:{}", name.short())?,
            Part::Layer => f.write_str("layer")?,
            Part::Sensitive(rank) => write!(f, "sensitive:{rank}")?,
        }
        match self.place {
            Place::Mean => Ok(()),
            Place::Max => f.write_str("@max"),
            Place::Top(percent) => write!(f, "@top:{percent}"),
            Place::At(row, column) => write!(f, "@{row},{column}"),
            Place::Prefix(0) => f.write_str("@class"),
            Place::Prefix(place) => write!(f, "@prefix:{place}"),
        }
    }
}

/// How units are written, for messages.
pub const UNIT_GRAMMAR: &str = "an index like 17, or \"q:17\", \"k:17\", \"v:17\", \"normed:17\", \"head:3\", \"direction:FILE\", \
                                \"direction:3-5\", \"layer\" or \"sensitive:1\"; behind it a place, as in \"17@3,5\" (row, column), \"17@class\", \
                                \"17@prefix:1\", \"17@max\" or \"17@top:10\"";

impl FromStr for Unit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a unit; write {UNIT_GRAMMAR}");
        let number = |part: &str| part.trim().parse::<usize>().map_err(|_| wrong());
        let place = |place: &str| {
            Ok(match place.trim() {
                "mean" => Place::Mean,
                "max" => Place::Max,
                "class" => Place::Prefix(0),
                other => match (other.split_once(':'), other.split_once(',')) {
                    (Some(("top", percent)), _) => match percent.trim_end_matches('%').trim().parse() {
                        Ok(percent) if (1..=100).contains(&percent) => Place::Top(percent),
                        _ => return Err(wrong()),
                    },
                    (Some(("prefix", place)), _) => Place::Prefix(number(place)?),
                    (None, Some((row, column))) => Place::At(number(row)?, number(column)?),
                    _ => return Err(wrong()),
                },
            })
        };
        let (part, place) = match text.rsplit_once('@') {
            None => (text, Place::Mean),
            // A file's name may hold the sign too.
            Some((part, behind)) => match place(behind) {
                Ok(place) => (part, place),
                Err(_) if text.trim_start().starts_with("direction:") => (text, Place::Mean),
                Err(error) => return Err(error),
            },
        };
        let part = match part.trim().split_once(':') {
            Some(("q", index)) => Part::Query(number(index)?),
            Some(("k", index)) => Part::Key(number(index)?),
            Some(("v", index)) => Part::Value(number(index)?),
            Some(("normed", index)) => Part::Normed(number(index)?),
            Some(("head", index)) => Part::Head(number(index)?),
            Some(("sensitive", rank)) if place == Place::Mean && number(rank)? > 0 => Part::Sensitive(number(rank)?),
            Some(("direction", name)) if !name.trim().is_empty() => Part::Direction(DirectionName::new(name.trim())),
            Some(_) => return Err(wrong()),
            None if part.trim() == "layer" => Part::Layer,
            None => Part::Channel(number(part)?),
        };
        Ok(Unit { part, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_reads_back_what_it_prints() {
        let texts = [
            "0",
            "17",
            "17@3,5",
            "17@max",
            "17@top:10",
            "17@class",
            "17@prefix:2",
            "q:3",
            "k:3@class",
            "v:3",
            "normed:8",
            "head:2",
            "head:2@class",
            "direction:v.npy",
            "direction:a@b.txt",
            "direction:3-5",
            "direction:3@max",
            "layer",
            "sensitive:1",
        ];
        for text in texts {
            assert_eq!(text.parse::<Unit>().unwrap().to_string(), text);
        }
        assert_eq!("17@mean".parse::<Unit>(), Ok(Unit::channel(17)));
        for text in [
            "",
            "-1",
            "3@",
            "3@1",
            "x",
            "q:",
            "q:x",
            "head:-1",
            "direction:",
            "layers",
            "3@top:0",
            "3@top:101",
            "z:3",
            "sensitive:0",
        ] {
            assert!(text.parse::<Unit>().unwrap_err().contains("is not a unit"), "{text}");
        }
    }

    #[test]
    fn files_of_directions_are_told_by_name_and_stored_by_path() {
        let unit = "direction:v.npy@max".parse::<Unit>().unwrap().within(Path::new("a/b"));
        assert_eq!(unit.to_string(), "direction:v.npy@max");
        assert_eq!(serde_json::to_value(unit).unwrap(), "direction:a/b/v.npy@max");
        let classes: Unit = "direction:1-2".parse().unwrap();
        assert_eq!(classes.within(Path::new("a")), classes);
    }

    #[test]
    fn directions_are_files_or_classes() {
        let source = |text: &str| DirectionName::new(text).source();
        assert_eq!(source("3-5"), DirectionSource::Classes(3, Some(5)));
        assert_eq!(source("3"), DirectionSource::Classes(3, None));
        assert_eq!(source("a-b.npy"), DirectionSource::File("a-b.npy"));
        assert_eq!(DirectionName::new("x").as_str().as_ptr(), DirectionName::new("x").as_str().as_ptr());
    }
}
