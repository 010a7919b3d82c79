//! Versions of the forms in which files are written: one type for each kind of file, so that they cannot be mixed up.
//!
//! A writer writes the current version, or an older one whose form is the same; a reader takes every version up to the current one, and
//! refuses newer files with [`StoreError::NewerFormat`](super::StoreError::NewerFormat).

/// Declares the version of a kind of file, with its current value.
macro_rules! file_versions {
    ($($(#[$doc:meta])* $name:ident = $current:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $name {
            /// What this version of am-eval writes, and the newest that it reads.
            pub const CURRENT: Self = $name($current);

            /// Version `number`.
            pub const fn new(number: u32) -> Self {
                $name(number)
            }

            /// The number, as files hold it.
            pub const fn number(self) -> u32 {
                self.0
            }

            /// Whether a file of version `found`, which may be of any size, is newer than what is read.
            pub const fn is_older_than(self, found: u64) -> bool {
                found > self.0 as u64
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}
pub(crate) use file_versions;
