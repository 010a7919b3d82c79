//! Image files of a folder of class folders, in a stable order.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::terms::SampleId;

/// An image file with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelledFile {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its path relative to the data set's root, with `/` on every platform.
    pub(super) id: SampleId,
    /// Its class index.
    pub(super) label: u32,
}

impl LabelledFile {
    /// The file's length in bytes.
    pub(super) fn length(&self) -> Result<u64, DataError> {
        let metadata = std::fs::metadata(&self.path);
        metadata.map(|m| m.len()).map_err(|source| DataError::Read { path: self.path.clone(), source })
    }
}

/// Names of the folders in `folder`, hidden ones left out, in alphabetical order.
pub(super) fn class_folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            names.push(text(path.file_name().map(Path::new), &path)?);
        }
    }
    names.sort();
    Ok(names)
}

/// Image files under `folder/class` for each class, in the order of `classes` and, within a class, in natural order.
/// `extensions` are lower-case; files with others and hidden files are ignored. Ids are relative to `root`.
pub(super) fn labelled_files(
    root: &Path,
    folder: &Path,
    classes: &[String],
    extensions: &[&str],
) -> Result<Vec<LabelledFile>, DataError> {
    let mut files = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let class_folder = folder.join(class);
        let before = files.len();
        let mut found = Vec::new();
        collect(&class_folder, extensions, &mut found)?;
        for path in found {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let id = text(Some(relative), &path)?.replace(std::path::MAIN_SEPARATOR, "/").into();
            files.push(LabelledFile { path, id, label: label as u32 });
        }
        if files.len() == before {
            return Err(DataError::Content {
                path: class_folder,
                problem: format!("has no images; expected files ending in {}", extensions.join(", ")),
            });
        }
        files[before..].sort_by(|a, b| natural(a.id.as_str(), b.id.as_str()));
    }
    Ok(files)
}

/// Adds the files below `folder` whose extension is among `extensions`; hidden files and linked folders are left out.
pub(super) fn collect(folder: &Path, extensions: &[&str], into: &mut Vec<PathBuf>) -> Result<(), DataError> {
    for path in entries(folder)? {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        // A link to a folder could lead back to where it started.
        if path.is_dir() && !path.is_symlink() {
            collect(&path, extensions, into)?;
        } else if extensions.contains(&extension.as_str()) {
            into.push(path);
        }
    }
    Ok(())
}

/// The entries of `folder`, hidden ones left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Read { path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// A name as text; an error about `path` if it is none.
pub(super) fn text(name: Option<&Path>, path: &Path) -> Result<String, DataError> {
    name.and_then(Path::to_str).map(String::from).ok_or_else(|| DataError::Content {
        path: path.to_path_buf(),
        problem: "the name is not valid UTF-8, so it cannot identify a sample; rename the file".into(),
    })
}

/// Alphabetical order in which runs of digits compare as numbers: `9.png` comes before `10.png`.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(&l), Some(&r)) = (left.first(), right.first()) {
        let order = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (number_l, rest_l) = take_number(left);
            let (number_r, rest_r) = take_number(right);
            (left, right) = (rest_l, rest_r);
            number_l.len().cmp(&number_r.len()).then_with(|| number_l.cmp(number_r))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            l.cmp(&r)
        };
        if order.is_ne() {
            return order;
        }
    }
    // Equal up to leading zeros, or one begins with the other: length, then plain order, so that the order is total.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Splits off the leading digits, without leading zeros.
fn take_number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    (&digits[start..], rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_names_sort_as_numbers() {
        let mut names = vec!["10.png", "9.png", "a10", "a9b", "a09", "a9", "", "img_2.png", "img_10.png"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "9.png", "10.png", "a09", "a9", "a9b", "a10", "img_2.png", "img_10.png"]);
    }

    #[test]
    fn hidden_and_foreign_files_are_ignored_and_nested_ones_found() {
        let root = tempfile::tempdir().unwrap();
        let class = root.path().join("cat");
        std::fs::create_dir_all(class.join("deep")).unwrap();
        for name in ["10.PNG", "9.png", ".hidden.png", "notes.txt", "deep/1.png"] {
            std::fs::write(class.join(name), b"").unwrap();
        }
        let files = labelled_files(root.path(), root.path(), &["cat".into()], &["png"]).unwrap();
        let ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(ids, ["cat/9.png", "cat/10.PNG", "cat/deep/1.png"]);
    }

    proptest! {
        #[test]
        fn natural_order_is_total(names in proptest::collection::vec("[a0-9]{0,5}", 3)) {
            let [a, b, c] = [&names[0], &names[1], &names[2]];
            prop_assert_eq!(natural(a, b), natural(b, a).reverse());
            prop_assert_eq!(natural(a, b).is_eq(), a == b);
            if natural(a, b).is_le() && natural(b, c).is_le() {
                prop_assert!(natural(a, c).is_le());
            }
        }
    }
}
