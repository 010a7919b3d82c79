//! The program's own source files, for tests that read them.
#![allow(dead_code, reason = "each test uses a part of this")]

use std::path::{Path, PathBuf};

/// All Rust files below a folder.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = |path: PathBuf| match path.is_dir() {
        true => rust_files(&path),
        false => Vec::from_iter(path.extension().is_some_and(|end| end == "rs").then_some(path)),
    };
    entries.flat_map(files).collect()
}

/// Code without lines of comments and without the tests at its end.
pub fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let tests = text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(|&at| {
        let declared = text[at..].lines().find(|line| !line.starts_with("#["));
        declared.is_some_and(|line| line.ends_with('{') && line.contains("mod "))
    });
    let code = &text[..tests.unwrap_or(text.len())];
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}
