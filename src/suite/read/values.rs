//! The values that stand in a suite, each with its check and its JSON Schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::{DeInteger, DeValue};

use super::problem::{Problem, Problems};
use super::words::unknown_word;
use super::{FromToml, Value, schema_of, wrong};
use crate::suite::config::{DeviceChoice, Target};
use crate::suite::data_config::Channels;
use crate::terms::{Epsilon, UNIT_GRAMMAR, Unit};
use crate::wording::nearest;

fn integer(number: &DeInteger) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Says of a number in quotes, or of a whole one with a point or a share in percent, how it is written.
fn unquoted(key: &str, value: &Value, problem: &mut Problem) {
    let text = match value.get_ref() {
        DeValue::String(text) => text.trim().to_owned(),
        DeValue::Float(number) => number.to_string(),
        _ => return,
    };
    let (digits, percent) = text.strip_suffix('%').map_or((text.as_str(), false), |digits| (digits.trim_end(), true));
    let Some(number) = digits.parse::<f64>().ok().filter(|number| number.is_finite()) else { return };
    let number = if percent { number / 100.0 } else { number };
    problem.help(format!("write `{key} = {number}`"));
}

/// A whole number from MIN to MAX.
#[derive(Debug, Clone, Copy)]
pub struct Count<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    /// The number as a size.
    pub fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromToml for Count<MIN, MAX> {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let written = value.get_ref().as_integer().filter(|written| !written.as_str().starts_with('-'));
        // Digits beyond 128 bits are more than any limit, too.
        let number = written.map(|written| integer(written).map_or(u128::MAX, i128::unsigned_abs));
        match number.map(|number| (number, u64::try_from(number))) {
            Some((number, _)) if number > MAX.into() => {
                wrong(key, value, &format!("at most {MAX}"), problems);
                None
            }
            Some((_, Ok(number))) if number >= MIN => Some(Count(number)),
            _ => {
                let problem = wrong(key, value, &format!("a whole number of at least {MIN}"), problems);
                unquoted(key, value, problem);
                None
            }
        }
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Count<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Count{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        match MAX {
            u64::MAX => json_schema!({ "type": "integer", "minimum": MIN }),
            _ => json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX }),
        }
    }
}

/// The version of the suite's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormVersion {
    /// Class-logit attacks that do not say otherwise drive the plain logit by steepest ascent.
    First,
    /// They drive the margin by Auto-PGD, which is stronger at equal cost.
    Second,
}

impl FromToml for FormVersion {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref().as_integer().and_then(integer) {
            Some(1) => Some(FormVersion::First),
            Some(2) => Some(FormVersion::Second),
            _ => {
                wrong(key, value, "1 or 2", problems).help("new suites say 2; this am-eval reads no later form");
                None
            }
        }
    }
}

schema_of!(FormVersion, "FormVersion", { "type": "integer", "enum": [1, 2] });

/// A finite number.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

impl FromToml for Number {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => integer(number).map(|number| number as f64),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() => Some(Number(number)),
            _ => {
                let problem = wrong(key, value, "a finite number", problems);
                unquoted(key, value, problem);
                None
            }
        }
    }
}

schema_of!(Number, "Number", { "type": "number" });

/// A finite number greater than 0.
#[derive(Debug, Clone, Copy)]
pub struct Positive(pub f64);

impl FromToml for Positive {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let Number(number) = Number::from_toml(key, value, problems)?;
        if number > 0.0 {
            return Some(Positive(number));
        }
        wrong(key, value, "greater than 0", problems);
        None
    }
}

schema_of!(Positive, "Positive", { "type": "number", "exclusiveMinimum": 0 });

/// A finite number of at least 0.
#[derive(Debug, Clone, Copy)]
pub struct Amount(pub f64);

impl FromToml for Amount {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let Number(number) = Number::from_toml(key, value, problems)?;
        if number >= 0.0 {
            return Some(Amount(number));
        }
        wrong(key, value, "at least 0", problems);
        None
    }
}

schema_of!(Amount, "Amount", { "type": "number", "minimum": 0 });

/// A number above 0, at most 1.
#[derive(Debug, Clone, Copy)]
pub struct Share(pub f64);

impl FromToml for Share {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let Positive(number) = Positive::from_toml(key, value, problems)?;
        if number <= 1.0 {
            return Some(Share(number));
        }
        wrong(key, value, "at most 1", problems);
        None
    }
}

schema_of!(Share, "Share", { "type": "number", "exclusiveMinimum": 0, "maximum": 1 });

/// 1 or 3 colour channels.
#[derive(Debug, Clone, Copy)]
pub struct ColourChannels(pub Channels);

impl FromToml for ColourChannels {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref().as_integer().and_then(integer) {
            Some(1) => Some(ColourChannels(Channels::Grey)),
            Some(3) => Some(ColourChannels(Channels::Rgb)),
            _ => {
                wrong(key, value, "1 (grey) or 3 (RGB)", problems);
                None
            }
        }
    }
}

schema_of!(ColourChannels, "ColourChannels", { "type": "integer", "enum": [1, 3] });

/// A radius in pixel units of [0, 1]: a number, or a fraction such as "8/255".
#[derive(Debug, Clone, Copy)]
pub struct Radius(pub Epsilon);

impl FromToml for Radius {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        const EXPECTED: &str = "a number of at least 0 or a fraction like \"8/255\"";
        let number = match value.get_ref() {
            DeValue::Integer(number) => integer(number).map(|number| number as f64),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::String(text) if text.chars().all(|c| c.is_ascii_digit() || "+-.eE/ ".contains(c)) => {
                text.parse::<Epsilon>().ok().map(Epsilon::value)
            }
            _ => None,
        };
        // The sum turns -0 into 0, so that equal radii are equal bits.
        match number.and_then(|number| Epsilon::new(number + 0.0).ok()) {
            Some(epsilon) => Some(Radius(epsilon)),
            None => {
                wrong(key, value, EXPECTED, problems);
                None
            }
        }
    }
}

schema_of!(Radius, "Radius", {
    "anyOf": [
        { "type": "number", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9+.eE/ -]+$", "examples": ["8/255"] }
    ]
});

/// Text that is not empty.
#[derive(Debug, Clone)]
pub struct Text(pub String);

impl FromToml for Text {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(Text(text.to_string())),
            _ => {
                wrong(key, value, "a string that is not empty", problems);
                None
            }
        }
    }
}

schema_of!(Text, "Text", { "type": "string", "minLength": 1 });

/// A name that can be part of a file's name: at most 64 letters, digits, `-`, `_` and `.`, a letter or digit first.
#[derive(Debug, Clone)]
pub struct Name(pub String);

impl FromToml for Name {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        const EXPECTED: &str = "1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
        let allowed = |text: &str| {
            text.len() <= 64
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        match value.get_ref() {
            DeValue::String(text) if allowed(text) => Some(Name(text.to_string())),
            _ => {
                wrong(key, value, EXPECTED, problems).help("names become parts of file names and columns of CSV files");
                None
            }
        }
    }
}

schema_of!(Name, "Name", { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$" });

/// `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug)]
pub struct Device(pub DeviceChoice);

impl FromToml for Device {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref().as_str().map(str::parse) {
            Some(Ok(device)) => Some(Device(device)),
            _ => {
                let problem = wrong(key, value, "auto, cpu, cuda or cuda:N", problems);
                let meant = value.get_ref().as_str().and_then(DeviceChoice::meant);
                if let Some(meant) = meant {
                    problem.help(format!("did you mean `{meant}`?"));
                }
                None
            }
        }
    }
}

schema_of!(Device, "Device", { "type": "string", "pattern": "^(auto|cpu|cuda(:[0-9]+)?)$" });

/// `auto` or the number of rows in a batch.
#[derive(Debug)]
pub struct Batch(pub Option<usize>);

impl FromToml for Batch {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) if text == "auto" => Some(Batch(None)),
            DeValue::Integer(_) => {
                Count::<1, 1_000_000>::from_toml(key, value, problems).map(|n| Batch(Some(n.size())))
            }
            _ => {
                let problem = wrong(key, value, "\"auto\" or a whole number of at least 1", problems);
                if value.get_ref().as_str().is_some_and(|text| nearest(text, ["auto"]).is_some()) {
                    problem.help("did you mean \"auto\"?");
                }
                None
            }
        }
    }
}

schema_of!(Batch, "Batch", {
    "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1_000_000 }]
});

/// The class that a class-logit attack drives: a rule or a class index.
#[derive(Debug)]
pub struct TargetRule(pub Target);

impl FromToml for TargetRule {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        const KNOWN: [&str; 5] = ["untargeted", "least-likely", "runner-up", "nearest", "random"];
        let rule = match value.get_ref() {
            DeValue::Integer(_) => Target::Class(Count::<0, 1_000_000>::from_toml(key, value, problems)?.size()),
            DeValue::String(text) => match Target::named(text) {
                Some(target) => target,
                None => {
                    unknown_word(key, text, value, &KNOWN, problems);
                    return None;
                }
            },
            _ => {
                wrong(key, value, "a rule or a class index", problems)
                    .help(format!("known rules are {}", KNOWN.join(", ")));
                return None;
            }
        };
        Some(TargetRule(rule))
    }
}

schema_of!(TargetRule, "TargetRule", {
    "anyOf": [
        { "enum": ["untargeted", "least-likely", "runner-up", "nearest", "random"] },
        { "type": "integer", "minimum": 0, "maximum": 1_000_000 }
    ]
});

/// One unit, as [`Unit`] is written; an index may be a number.
#[derive(Debug, Clone, Copy)]
pub struct UnitName(pub Unit);

impl FromToml for UnitName {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let unit = match value.get_ref() {
            DeValue::Integer(number) => {
                integer(number).and_then(|number| usize::try_from(number).ok()).map(Unit::channel)
            }
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        if unit.is_none() {
            wrong(key, value, "unit indices like 17 or neurons like \"17@3,5\" (row, column)", problems)
                .help(format!("a unit is {UNIT_GRAMMAR}"));
        }
        unit.map(UnitName)
    }
}

schema_of!(UnitName, "UnitName", {
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        {
            "type": "string",
            "pattern": "^ *([0-9]+|[qkv]:[0-9]+|normed:[0-9]+|head:[0-9]+|layer|direction:.+?|sensitive:[0-9]*[1-9][0-9]*) *(@ *(mean|max|class|top:[0-9]+%?|prefix:[0-9]+|[0-9]+ *, *[0-9]+) *)?$"
        }
    ]
});
