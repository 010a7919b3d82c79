//! Text files that are read line by line.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::files::open_regular;

/// Most bytes that a file of labels or names may have.
const LARGEST: u64 = 1 << 30;

/// A text file in memory.
pub(super) struct TextFile {
    /// The file.
    pub(super) path: PathBuf,
    text: String,
}

impl TextFile {
    /// Reads the file whole.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        open_regular(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(DataError::read(path))?;
        if bytes.len() as u64 > LARGEST {
            return Err(DataError::content(path, format!("has more than {LARGEST} bytes; this is no list of labels")));
        }
        TextFile::parse(path, bytes)
    }

    /// Takes `bytes` for the content of `path`.
    pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, DataError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            DataError::Line { path: path.into(), line, problem: "is not UTF-8 text".into() }
        })?;
        Ok(TextFile { path: path.to_path_buf(), text })
    }

    /// The text without a byte order mark.
    pub(super) fn text(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    /// The lines that are not blank, trimmed, with their numbers from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text()
            .lines()
            .map(str::trim)
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.is_empty())
    }

    /// An error about a line.
    pub(super) fn wrong(&self, line: usize, problem: impl Into<String>) -> DataError {
        DataError::Line { path: self.path.clone(), line, problem: problem.into() }
    }
}
