//! Tables that come in kinds, and tables that can stand more than once.

use schemars::JsonSchema;

use super::problem::Problems;
use super::{At, FromToml, Value};

/// The word in a table's `kind`. The table was chosen by it, so reading it cannot fail.
macro_rules! kind {
    ($(#[$meta:meta])* $name:ident = $word:literal) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name;

        impl FromToml for $name {
            fn from_toml(_: &str, _: &Value, _: &mut Problems) -> Option<Self> {
                // The table was chosen by this word.
                Some($name)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "const": $word })
            }
        }
    };
}

/// A table whose `kind` says what else it holds. With `as dyn Trait`, which each kind's table implements, `table` gives that of the kind
/// at hand.
macro_rules! tagged {
    ($(#[$meta:meta])* enum $name:ident ($noun:literal) as dyn $trait:ident { $($(#[$doc:meta])* $variant:ident($table:ident) = $word:literal,)* }) => {
        tagged! { $(#[$meta])* enum $name ($noun) { $($(#[$doc])* $variant($table) = $word,)* } }

        impl $name {
            /// The table of its kind.
            pub(in crate::suite) fn table(self) -> Box<dyn $trait> {
                match self {
                    $($name::$variant(table) => Box::new(table),)*
                }
            }
        }
    };
    ($(#[$meta:meta])* enum $name:ident ($noun:literal) { $($(#[$doc:meta])* $variant:ident($table:ident) = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, JsonSchema)]
        #[schemars(untagged)]
        pub enum $name {
            $($(#[$doc])* $variant($table),)*
        }

        impl FromToml for $name {
            fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
                const KINDS: &[&str] = &[$($word),*];
                let DeValue::Table(table) = value.get_ref() else {
                    let problem = wrong(key, value, "a table", problems);
                    if value.get_ref().is_array() {
                        problem.help($crate::suite::read::one_table(key));
                    }
                    return None;
                };
                let Some(kind) = table.get("kind") else {
                    let keys = table.keys().map(|key| key.get_ref().as_ref());
                    let help = match $crate::wording::suggest::nearest("kind", keys) {
                        Some(near) => format!("did you mean `kind` where `{near}` stands? known are {}", KINDS.join(", ")),
                        None => format!("add `kind`: {}", KINDS.join(", ")),
                    };
                    problems
                        .add(value.span(), concat!("missing key `kind` in ", $noun), "`kind` is missing")
                        .help(help);
                    return None;
                };
                match kind.get_ref().as_str() {
                    $(Some($word) => $table::from_toml(key, value, problems).map($name::$variant),)*
                    Some(other) => {
                        unknown_word("kind", other, kind, KINDS, problems);
                        None
                    }
                    None => {
                        wrong("kind", kind, "a string", problems).help(format!("known are {}", KINDS.join(", ")));
                        None
                    }
                }
            }
        }
    };
}
pub(in crate::suite) use {kind, tagged};

/// The tables of `[[key]]`.
#[derive(Debug)]
pub struct Tables<T>(pub Vec<At<T>>);

impl<T: FromToml> FromToml for Tables<T> {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        if value.get_ref().is_table() {
            problems
                .add(value.span(), format!("`{key}` can stand more than once"), format!("write `[[{key}]]`"))
                .help("write the table's name in two pairs of brackets");
            return None;
        }
        Vec::from_toml(key, value, problems).map(Tables)
    }
}

impl<T: JsonSchema> JsonSchema for Tables<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("TablesOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Vec<T>>::json_schema(generator)
    }
}
