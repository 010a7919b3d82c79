//! What can go wrong with a run's files; every error names the file.

use std::path::{Path, PathBuf};

/// A problem with a run's directory or one of its files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused: no space, no permission, no such folder.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried (`write`, `read`).
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The block's bytes are not those that were written, or belong to another run.
    #[error("{} is damaged: {problem}; delete it, and the next run computes this block again", path.display())]
    DamagedBlock {
        /// The block's file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The file was written by a newer version.
    #[error("{} has format {found}, and this version of am-eval reads formats up to {known}; use a newer am-eval", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: u64,
        /// The newest format that is known here.
        known: u32,
    },
    /// The manifest is not as it was written.
    #[error(
        "{} was changed after the run wrote it (its hash does not fit); restore it, or issue the same `am-eval run` again, which \
         keeps the finished blocks",
        path.display()
    )]
    ChangedManifest {
        /// The manifest.
        path: PathBuf,
    },
    /// A line of a CSV file cannot be read.
    #[error("{}:{line}: {problem}", path.display())]
    Table {
        /// The CSV file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The content is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another process works in the directory.
    #[error("{} is in use by another am-eval process; wait for it or stop it, or choose another --out", path.display())]
    Locked {
        /// The run's directory.
        path: PathBuf,
    },
}

impl StoreError {
    /// A closure for `map_err` that adds what was tried, and on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
        move |source| StoreError::Io { action, path: path.to_owned(), source }
    }

    /// The same for the CSV crate's errors, which tell the line.
    pub(crate) fn table(path: &Path, error: csv::Error) -> StoreError {
        let line = error.position().map_or(0, csv::Position::line);
        let problem = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("expected {expected_len} fields, found {len}; the file may be cut off")
            }
            csv::ErrorKind::Utf8 { .. } => "not valid UTF-8".to_owned(),
            _ => error.to_string(),
        };
        match error.into_kind() {
            csv::ErrorKind::Io(source) => StoreError::Io { action: "read", path: path.to_owned(), source },
            _ => StoreError::Table { path: path.to_owned(), line, problem },
        }
    }

    /// Whether the system does not let us write there.
    pub fn is_refused(&self) -> bool {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        matches!(self, StoreError::Io { source, .. } if [PermissionDenied, ReadOnlyFilesystem].contains(&source.kind()))
    }

    /// Whether running the block again is the remedy.
    pub fn is_damaged_block(&self) -> bool {
        matches!(self, StoreError::DamagedBlock { .. })
    }
}
