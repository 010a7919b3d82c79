//! The words that stand in a suite: fixed lists, whose unknown members are shown with the nearest known one.

use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;
use toml::de::DeValue;

use super::problem::Problems;
use super::{FromToml, Value, schema_of, wrong};
use crate::suite::choices::CanvasWord;
use crate::suite::config::{
    BoundaryMethod, Control, Direction, Loss, OptimizerName, SearchPrecision, Stop, Sweep, TableForm, UnitRanking,
};
use crate::suite::data_config::{Cifar100Labels, Interpolation, OnDataError, Split};
use crate::suite::features::{Backward, FeatureObjective};
use crate::suite::gate::{Level, Metric};
use crate::suite::inside::{SliceAcross, UniversalSource};
use crate::suite::picture::PicturePreset;
use crate::terms::Norm;
use crate::wording::suggest::{excerpt, nearest};

/// An error of serde that keeps the list of known variants.
#[derive(Debug)]
struct UnknownVariant(&'static [&'static str]);

impl std::fmt::Display for UnknownVariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unknown word")
    }
}

impl std::error::Error for UnknownVariant {}

impl serde::de::Error for UnknownVariant {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        UnknownVariant(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        UnknownVariant(expected)
    }
}

fn known_words<T: DeserializeOwned>() -> &'static [&'static str] {
    T::deserialize(StrDeserializer::<UnknownVariant>::new("")).err().map_or(&[], |error| error.0)
}

/// One of a fixed list of words, as the enum's serde names say.
fn word<T: DeserializeOwned>(key: &str, value: &Value, problems: &mut Problems) -> Option<T> {
    let known = known_words::<T>();
    let DeValue::String(text) = value.get_ref() else {
        wrong(key, value, "a string", problems).help(format!("known are {}", known.join(", ")));
        return None;
    };
    match T::deserialize(StrDeserializer::<UnknownVariant>::new(text)) {
        Ok(word) => Some(word),
        Err(_) => {
            unknown_word(key, text, value, known, problems);
            None
        }
    }
}

/// What other tools and papers call by another word.
fn foreign(word: &str) -> Option<&'static str> {
    let plain: String = word.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let meant = match plain.as_str() {
        "crossentropy" | "xent" | "nll" => "ce",
        "inf" | "infinity" | "max" | "linfinity" => "linf",
        "euclidean" => "l2",
        "pgd" | "bim" | "fgsm" | "ifgsm" | "sgd" => "steepest",
        "mifgsm" | "mim" => "momentum",
        "nifgsm" => "nesterov",
        "autopgd" => "apgd",
        "autoattack" | "aa" => "standard",
        "carlini" | "carliniwagner" | "cwl2" => "cw",
        "neuron" | "channel" | "units" => "unit",
        "imagenet" | "ilsvrc2012" => "imagenet-val",
        "imagenetfolder" | "folder" => "image-folder",
        "wds" | "tar" => "webdataset",
        "fp16" | "half" | "float16" => "bf16",
        "float32" | "fp32" | "float" => "f32",
        "val" | "validation" => "test",
        _ => return None,
    };
    Some(meant)
}

/// Say that a word is none of those that `key` knows.
pub(in crate::suite) fn unknown_word(key: &str, text: &str, value: &Value, known: &[&str], problems: &mut Problems) {
    let listed = known.join(", ");
    let meant = foreign(text).filter(|meant| known.contains(meant));
    let help = match meant.or_else(|| nearest(text, known.iter().copied())) {
        Some(near) => format!("did you mean `{near}`? known are {listed}"),
        None => format!("known are {listed}"),
    };
    let noun = match key {
        "methods" => "method",
        "controls" => "control",
        "tables" => "form of tables",
        "by" => "measure",
        "on_error" | "labels" => "choice",
        key => key,
    };
    let article = if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    problems
        .add(value.span(), format!("unknown {noun} `{}`", excerpt(text)), format!("not {article} {noun}"))
        .help(help);
}

macro_rules! words {
    ($($type:ty),*) => {
        $(impl FromToml for $type {
            fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
                word(key, value, problems)
            }
        })*
    };
}

words!(
    SearchPrecision,
    OnDataError,
    Split,
    Cifar100Labels,
    Interpolation,
    Loss,
    Stop,
    Sweep,
    Direction,
    Control,
    BoundaryMethod,
    OptimizerName,
    Level,
    Metric,
    UnitRanking,
    UniversalSource,
    PicturePreset,
    TableForm,
    CanvasWord,
    FeatureObjective,
    Backward,
    SliceAcross
);

/// A norm that attacks can keep to.
#[derive(Debug, Clone, Copy)]
pub struct BallNorm(pub Norm);

impl FromToml for BallNorm {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let norm: Norm = word(key, value, problems)?;
        if !BallNorm::words().contains(&norm.as_str()) {
            let known: Vec<String> = BallNorm::words().iter().map(|norm| format!("`{norm}`")).collect();
            problems
                .add(value.span(), format!("no attack has {norm} balls"), "not for balls")
                .help(format!("use one of {}; `[boundary]` measures {norm} distances", known.join(", ")));
            return None;
        }
        Some(BallNorm(norm))
    }
}

impl BallNorm {
    /// The norms in whose balls an attack can look for the best image.
    fn words() -> Vec<&'static str> {
        let ascends =
            |norm: &Norm| OptimizerName::ALL.iter().any(|name| !name.is_nearest() && name.norms().contains(norm));
        Norm::ALL.into_iter().filter(ascends).map(Norm::as_str).collect()
    }
}

schema_of!(BallNorm, "BallNorm", { "type": "string", "enum": BallNorm::words() });

/// A norm in which distances are measured.
#[derive(Debug, Clone, Copy)]
pub struct DistanceNorm(pub Norm);

impl FromToml for DistanceNorm {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            let known = Norm::ALL.map(|norm| format!("\"{norm}\"")).join(" or ");
            wrong(key, value, &known, problems);
            return None;
        };
        let norm = Norm::ALL.into_iter().find(|norm| norm.as_str() == text);
        if norm.is_none() {
            unknown_word(key, text, value, &Norm::ALL.map(Norm::as_str), problems);
        }
        norm.map(DistanceNorm)
    }
}

schema_of!(DistanceNorm, "DistanceNorm", { "type": "string", "enum": Norm::ALL.map(Norm::as_str) });
