//! Enums whose members are words, each written once.

/// Declares an enum with the word of each variant. Suites, files, messages and the JSON Schema all use that word: serde's name, `as_str`,
/// `Display`, `FromStr` (whose error lists the known words) and `ALL` are made of it.
macro_rules! words {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }
    )+) => {$(
        $(#[$attribute])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        $visibility enum $name { $($(#[$about])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every member, in the order in which reports show them.
            pub const ALL: [Self; [$($word),+].len()] = [$($name::$variant),+];

            /// The word used in suites, CSV files and reports.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
                known.ok_or_else(|| format!("known are {}", Self::ALL.map(Self::as_str).join(", ")))
            }
        }
    )+};
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::record::Status;
    use crate::terms::{CellKind, Norm};

    fn words_are_one<
        T: Serialize + DeserializeOwned + std::str::FromStr<Err = String> + PartialEq + std::fmt::Display,
    >(
        all: &[T],
    ) {
        for word in all {
            let text = word.to_string();
            assert_eq!(serde_json::to_string(word).unwrap(), format!("\"{text}\""));
            assert!(serde_json::from_str::<T>(&format!("\"{text}\"")).unwrap() == *word);
            assert!(text.parse::<T>().unwrap() == *word);
        }
        let error = "nothing".parse::<T>().err().unwrap();
        assert!(all.iter().all(|word| error.contains(&word.to_string())), "{error}");
    }

    #[test]
    fn files_messages_and_text_have_the_same_words() {
        words_are_one(&Norm::ALL);
        words_are_one(&CellKind::ALL);
        words_are_one(&Status::ALL);
    }
}
