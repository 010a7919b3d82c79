//! What can go wrong with reports.

use std::path::PathBuf;

use crate::record::StoreError;

/// What can go wrong with reports.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder could not be made.
    #[error("failed to write {path}")]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A page could not be read.
    #[error("failed to read {path}")]
    Read {
        /// The page.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A chart could not be drawn.
    #[error("failed to draw {chart}")]
    Draw {
        /// The chart's name.
        chart: String,
        /// Why.
        #[source]
        source: DrawError,
    },
    /// A page could not be made.
    #[error("failed to make the page")]
    Page(#[source] minijinja::Error),
}

/// The backend could not draw.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DrawError(String);

impl DrawError {
    /// From whatever a backend reports.
    pub fn new(cause: impl std::fmt::Display) -> Self {
        DrawError(cause.to_string())
    }
}
