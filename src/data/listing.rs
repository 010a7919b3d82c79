//! Image files of folders, in a stable order.

use std::cmp::Ordering;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::terms::SampleId;

/// Extensions of the files that are taken for images, in lower case: torchvision's. TIFF files are named when they are
/// read, so that none is left out in silence.
pub(super) const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm", "tif", "tiff"];

/// An image file with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelledFile {
    /// Its path relative to the data set's root, with `/` on every platform.
    pub(super) id: SampleId,
    /// Its class index.
    pub(super) label: u32,
}

/// Names of the folders in `folder`, in the order in which Python sorts them. Hidden folders count if `hidden`.
pub(super) fn class_folders(folder: &Path, hidden: bool) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in entries(folder)? {
        let path = entry.path();
        if (hidden || !is_hidden(&entry)) && path.is_dir() {
            names.push(text(path.file_name().map(Path::new), &path)?);
        }
    }
    names.sort();
    Ok(names)
}

/// The error of a folder in which no image is.
pub(super) fn no_images(folder: &Path) -> DataError {
    DataError::content(folder, format!("has no images; expected files ending in {}", EXTENSIONS.join(", ")))
}

/// Image files under `folder/class` for each class, in the order of `classes` and, within a class, in natural order.
/// Ids are relative to `root`. Linked folders and hidden files count, as torchvision has it; but not those that macOS adds
/// (`._a.jpg`), which are no images.
///
/// # Errors
/// If a class has no images, unless they may be `sparse`; then, if none has any.
pub(super) fn labelled_files(
    root: &Path,
    folder: &Path,
    classes: &[String],
    sparse: bool,
) -> Result<Vec<LabelledFile>, DataError> {
    let mut files = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let ids = ids(root, &image_files(&folder.join(class), true)?)?;
        if ids.is_empty() && !sparse {
            return Err(no_images(&folder.join(class)));
        }
        files.extend(ids.into_iter().map(|id| LabelledFile { id, label: label as u32 }));
    }
    if files.is_empty() { Err(no_images(folder)) } else { Ok(files) }
}

/// Paths relative to `root` as ids, in natural order.
pub(super) fn ids(root: &Path, paths: &[PathBuf]) -> Result<Vec<SampleId>, DataError> {
    let mut ids = Vec::with_capacity(paths.len());
    for path in paths {
        let id = text(Some(path.strip_prefix(root).unwrap_or(path)), path)?;
        ids.push(SampleId::from(id.replace(std::path::MAIN_SEPARATOR, "/")));
    }
    ids.sort_by(|a, b| natural(a.as_str(), b.as_str()));
    Ok(ids)
}

/// The image files below `folder`, through links to folders too. Hidden files and folders count if `hidden`.
pub(super) fn image_files(folder: &Path, hidden: bool) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    walk(folder, hidden, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, hidden: bool, above: &mut Vec<PathBuf>, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let real = std::fs::canonicalize(folder).map_err(DataError::read(folder))?;
    // A link to a folder can lead back to where it started, or above it, where the images of other classes are.
    if above.iter().any(|folder| folder.starts_with(&real)) {
        let problem = "leads back to a folder that it lies in, so images would be counted twice; remove the link";
        return Err(DataError::content(folder, problem));
    }
    above.push(real);
    for entry in entries(folder)? {
        if is_hidden(&entry) && !hidden {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(DataError::read(&path))?;
        if kind.is_dir() || kind.is_symlink() && path.is_dir() {
            walk(&path, hidden, above, found)?;
        } else if is_image(&path) && !entry.file_name().to_string_lossy().starts_with("._") {
            found.push(path);
        }
    }
    above.pop();
    Ok(())
}

/// Whether the file's name ends as an image's does.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, DataError> {
    let entries = std::fs::read_dir(folder).map_err(DataError::read(folder))?;
    entries.map(|entry| entry.map_err(DataError::read(folder))).collect()
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
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
    fn hidden_files_count_where_torchvision_counts_them() {
        let root = tempfile::tempdir().unwrap();
        let class = root.path().join("cat");
        std::fs::create_dir_all(class.join("deep")).unwrap();
        for name in ["10.PNG", "9.png", ".hidden.png", "._9.png", "notes.txt", "deep/1.png"] {
            std::fs::write(class.join(name), b"").unwrap();
        }
        let files = labelled_files(root.path(), root.path(), &["cat".into()], false).unwrap();
        let found: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(found, ["cat/.hidden.png", "cat/9.png", "cat/10.PNG", "cat/deep/1.png"]);
        let listed = ids(root.path(), &image_files(root.path(), false).unwrap()).unwrap();
        assert_eq!(
            listed.iter().map(SampleId::as_str).collect::<Vec<_>>(),
            ["cat/9.png", "cat/10.PNG", "cat/deep/1.png"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn linked_folders_are_followed_and_circles_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("elsewhere")).unwrap();
        std::fs::create_dir_all(root.path().join("data/cat")).unwrap();
        std::fs::write(root.path().join("elsewhere/1.png"), b"").unwrap();
        std::os::unix::fs::symlink(root.path().join("elsewhere"), root.path().join("data/cat/link")).unwrap();
        std::os::unix::fs::symlink(root.path().join("data"), root.path().join("data/cat/back")).unwrap();
        let data = root.path().join("data");
        // From within a class, too, whose images would be those of all classes.
        for folder in [data.clone(), data.join("cat")] {
            let error = image_files(&folder, false).unwrap_err().to_string();
            assert!(error.contains("data/cat/back: leads back to a folder that it lies in"), "{error}");
        }
        std::fs::remove_file(root.path().join("data/cat/back")).unwrap();
        let found = ids(&data, &image_files(&data, false).unwrap()).unwrap();
        assert_eq!(found.iter().map(SampleId::as_str).collect::<Vec<_>>(), ["cat/link/1.png"]);
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
