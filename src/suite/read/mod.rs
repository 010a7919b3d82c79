//! Reading TOML with spans: each value checks itself where it stands, so that one pass finds every problem.
//!
//! serde stops at the first problem and loses the place inside tagged enums; the [`FromToml`] trait does neither. The
//! `raw_table!` macro declares a table once, as a struct whose documentation becomes the JSON Schema.

pub(in crate::suite) mod kinds;
pub(in crate::suite) mod problem;
pub(in crate::suite) mod values;
pub(in crate::suite) mod words;

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::problem::Problems;
use crate::wording::suggest::{did_you_mean, excerpt, most_alike, nearest};

/// A TOML value and its place in the file.
pub(in crate::suite) type Value<'i> = Spanned<DeValue<'i>>;

/// A value that can be read from TOML. `key` is the key that holds it, for messages. What is wrong goes to `problems`;
/// none comes back if nothing useful is left.
pub(in crate::suite) trait FromToml: Sized {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self>;
}

/// A value with its place.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

impl<T: FromToml> FromToml for At<T> {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        Some(At { span: value.span(), value: T::from_toml(key, value, problems)? })
    }
}

/// A value that is written, whether it could be read or not: what depends on its being left out must not take a misspelling for it.
#[derive(Debug, Clone)]
pub struct Written<T>(pub Option<T>);

impl<T: FromToml> FromToml for Written<T> {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        Some(Written(T::from_toml(key, value, problems)))
    }
}

/// A wrapper has the schema of what it holds.
macro_rules! schema_of_inner {
    ($($wrapper:ident),*) => {$(
        impl<T: JsonSchema> JsonSchema for $wrapper<T> {
            fn inline_schema() -> bool {
                T::inline_schema()
            }

            fn schema_name() -> Cow<'static, str> {
                T::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                T::schema_id()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    )*};
}

schema_of_inner!(At, Written);

/// Give a value type a schema that is written where the type is used.
macro_rules! schema_of {
    ($type:ty, $name:literal, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(in crate::suite) use schema_of;

/// A list; elements that cannot be read are left out.
impl<T: FromToml> FromToml for Vec<At<T>> {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(array) => {
                Some(array.iter().filter_map(|element| At::from_toml(key, element, problems)).collect())
            }
            _ => {
                let written = match value.get_ref() {
                    DeValue::String(text) => Some(format!("\"{}\"", excerpt(text))),
                    DeValue::Integer(number) => Some(excerpt(&number.to_string())),
                    DeValue::Float(number) => Some(excerpt(&number.to_string())),
                    _ => None,
                };
                let problem = wrong(key, value, "a list in brackets", problems);
                if let Some(written) = written {
                    problem.help(format!("write `{key} = [{written}]`"));
                }
                None
            }
        }
    }
}

/// Say that a value is not what its key needs.
pub(in crate::suite) fn wrong<'p>(
    key: &str,
    value: &Value,
    expected: &str,
    problems: &'p mut Problems,
) -> &'p mut self::problem::Problem {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("the string \"{}\"", excerpt(text)),
        DeValue::Integer(number) => excerpt(&number.to_string()),
        DeValue::Float(number) => excerpt(&number.to_string()),
        DeValue::Boolean(truth) => format!("{truth}"),
        DeValue::Datetime(_) => "a date or time".to_string(),
        DeValue::Array(_) => "a list".to_string(),
        DeValue::Table(_) => "a table".to_string(),
    };
    problems.add(value.span(), format!("`{key}` must be {expected}, not {found}"), format!("expected {expected}"))
}

/// What to do about a table that stands in double brackets.
pub(in crate::suite) fn one_table(key: &str) -> String {
    format!("there is one: write `[{key}]`, in one pair of brackets")
}

/// The keys of one table while it is read.
pub(in crate::suite) struct Fields<'a, 'i> {
    table: &'a DeTable<'i>,
    span: Range<usize>,
    noun: &'static str,
    reported: Vec<String>,
}

impl<'a, 'i> Fields<'a, 'i> {
    /// The table in `value`; its unknown keys are reported at once.
    pub fn from_value(
        key: &str,
        value: &'a Value<'i>,
        noun: &'static str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            let problem = wrong(key, value, "a table", problems);
            problem.help(match value.get_ref() {
                DeValue::Array(_) => one_table(key),
                _ => format!("known keys are {}", known.join(", ")),
            });
            return None;
        };
        let mut reported = Vec::new();
        for name in table.keys() {
            let text = name.get_ref().as_ref();
            if known.contains(&text) {
                continue;
            }
            let missing: Vec<&str> = known.iter().copied().filter(|key| table.get(*key).is_none()).collect();
            let problem =
                problems.add(name.span(), format!("unknown key `{}` in {noun}", excerpt(text)), "unknown key");
            let near = nearest(text, missing.iter().copied());
            match advice(text, known, near.is_some()) {
                Some((meant, advice)) => {
                    reported.push(meant.to_owned());
                    problem.help(advice);
                }
                None if nearest(text, known.iter().copied()).is_none() => {
                    problem.help(all_keys(text, &missing, known)).of_strange_key(text);
                }
                None => {
                    reported.extend(near.map(str::to_string));
                    problem.help(did_you_mean(text, missing.iter().chain(known).copied()));
                }
            }
        }
        Some(Fields { table, span: value.span(), noun, reported })
    }

    /// The value of one key. A missing required key is a problem, unless a misspelling of it was reported.
    pub fn take<T: FromToml>(&self, key: &str, required: bool, problems: &mut Problems) -> Option<At<T>> {
        if let Some(value) = self.table.get(key) {
            return At::from_toml(key, value, problems);
        }
        if required && !self.reported.iter().any(|name| name == key) {
            let (missing, help) = match key {
                "data" => ("table `[data]`", "add `[data]` with a `kind`: synthetic, cifar10 or image-folder"),
                "model" => {
                    ("table `[[model]]`", "add at least one `[[model]]` with `name`, `arch`, `weights`, `normalize`")
                }
                _ => ("key", example(key)),
            };
            let message = match missing {
                "key" => format!("missing key `{key}` in {}", self.noun),
                table => format!("missing {table}"),
            };
            let problem = problems.add(self.span.clone(), message, format!("`{key}` is missing"));
            if !help.is_empty() {
                problem.help(help);
            }
        }
        None
    }
}

/// How a required key may look.
pub(in crate::suite) fn example(key: &str) -> &'static str {
    match key {
        "schema" => "add `schema = 2`",
        "name" => "add a name of letters, digits, `-`, `_` and `.`, such as `name = \"resnet20\"`",
        "arch" => "add the architecture, such as `arch = \"cifar/resnet20\"`; `am-eval models` lists them",
        "weights" => "add the safetensors file, such as `weights = \"../models/resnet20.safetensors\"`",
        "normalize" => {
            "pixels are in [0, 1]; write `normalize = { mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }` if a network of three channels \
             takes them as they are, and one value each for one channel"
        }
        "root" => "add the folder of the images, such as `root = \"../data/cifar10\"`",
        "file" => "add the table, such as `file = \"../data/labels.csv\"`",
        "labels" => "add the file of labels",
        "images" => "add the file of images",
        "norm" => "add `norm = \"linf\"` or `norm = \"l2\"`",
        "epsilons" => "add the radii, such as `epsilons = [\"1/255\", \"8/255\"]`",
        "steps" => "add the number of ascent steps, such as `steps = 40`",
        "layer" => "add the layer, such as `layer = \"layer3\"`; `am-eval layers MODEL` lists them",
        "objective" => "add what is made of the features, such as `objective = \"fia\"`",
        "units" => "add the units, such as `units = { top = 16, by = \"activation\" }`, `[3, 17]` or `\"all\"`",
        "metric" => "add what the rule looks at, such as `metric = \"worst_case_accuracy\"`",
        "gate" => "add a `[[gate]]` with a `metric` and a bound, such as `max_drop = 0.02`",
        "reason" => "say why the violation is accepted",
        "owner" => "say who answers for it",
        "expires" => "add the last day on which it counts, such as `expires = \"2026-09-30\"`",
        "mean" | "std" => "add one number per colour channel",
        _ => "",
    }
}

/// All keys that a table may have, those that it lacks first, and which of them is most like `key`.
fn all_keys(key: &str, missing: &[&str], known: &[&str]) -> String {
    let mut all = missing.to_vec();
    all.extend(known.iter().copied().filter(|key| !missing.contains(key)));
    let quoted: Vec<String> = all.iter().map(|key| format!("`{key}`")).collect();
    match most_alike(key, all).first() {
        Some(first) if quoted.len() > 1 => format!("the nearest is `{first}`; known are {}", quoted.join(", ")),
        _ => format!("the only one is {}", quoted.concat()),
    }
}

/// Of keys that other tools use, the key that was probably meant, if this table has it, and the question. Where one of the table's own
/// is near, `has_near`, only what stands here to the letter counts.
fn advice<'k>(key: &str, known: &[&'k str], has_near: bool) -> Option<(&'k str, String)> {
    const SYNONYMS: [(&str, &str); 14] = [
        ("eps", "epsilons"),
        ("epsilon", "epsilons"),
        ("radius", "epsilons"),
        ("iterations", "steps"),
        ("iters", "steps"),
        ("n_iter", "steps"),
        ("alpha", "step_size"),
        ("lr", "step_size"),
        ("architecture", "arch"),
        ("checkpoint", "weights"),
        ("path", "root"),
        ("dir", "root"),
        ("limit", "samples"),
        ("objective", "loss"),
    ];
    let meant = |name: &str| known.iter().copied().find(|key| *key == name);
    let others = || SYNONYMS.iter().map(|(other, _)| *other).filter(|other| other.len() > 5);
    let written = nearest(key, others()).filter(|_| !has_near).unwrap_or(key);
    let named = |word: &str| SYNONYMS.iter().filter(|(other, _)| *other == word).find_map(|(_, name)| meant(name));
    let name = named(key).or_else(|| named(written))?;
    Some((name, format!("did you mean `{name}`?")))
}

/// Declare a table of the suite: a struct with an optional, placed value for each key, its JSON Schema, and its reader.
macro_rules! raw_table {
    ($(#[$meta:meta])* struct $name:ident ($noun:literal) {
        $($(#[$doc:meta])* $key:ident: $type:ty $(, $required:ident)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        // `kind` chooses the table and is not read again.
        #[allow(dead_code)]
        pub struct $name {
            $($(#[$doc])* $(#[schemars($required)])? pub $key: Option<At<$type>>,)*
            #[schemars(skip)]
            /// Whether every key of the table is known and could be read.
            pub clean: bool,
        }

        impl FromToml for $name {
            fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
                let before = problems.len();
                let fields = Fields::from_value(key, value, $noun, &[$(stringify!($key)),*], problems)?;
                Some($name {
                    $($key: {
                        const REQUIRED: &[&str] = &[$(stringify!($required))?];
                        fields.take(stringify!($key), !REQUIRED.is_empty(), problems)
                    },)*
                    clean: problems.len() == before,
                })
            }
        }
    };
}
pub(in crate::suite) use raw_table;
