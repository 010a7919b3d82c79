//! ImageNet's validation images (ILSVRC2012; Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2015)
//! in one folder, with a file of labels.

mod devkit;
mod matlab;

use std::collections::HashMap;
use std::path::Path;

use super::class_names::is_synset;
use super::image_files::ImageFiles;
use super::listing::{LabelledFile, ids, is_image, no_images};
use super::text::TextFile;
use super::{DataError, Numbering};
use crate::terms::SampleId;
use devkit::Synsets;

/// Labels the images in `root` by the file `labels`, which has one of these forms:
/// - the devkit's `ILSVRC2012_validation_ground_truth.txt`: the class id (1 to 1000) of image 1, 2, ..., one per line;
///   `synsets` (by default `meta.mat` beside the labels) says which synset an id means;
/// - one synset per line, for image 1, 2, ...;
/// - lines of an image's name (with or without extension) and its synset or class index from 0 on, separated by blanks or
///   commas, with or without a header: `LOC_val_solution.csv`, Caffe's `val.txt`, Tiny ImageNet's `val_annotations.txt`.
///
/// A class's index is the place of its synset in alphabetical order, among ImageNet's 1000 or those of `synsets`.
///
/// # Errors
/// If the folder has no images, an image has no label, or a label is none; each with the file, and the line if there is one.
pub(super) fn open(root: &Path, labels: &Path, synsets: Option<&Path>) -> Result<ImageFiles, DataError> {
    let images = images(root)?;
    let file = TextFile::open(labels)?;
    let truth = Truth::read(&file)?;
    let synsets = Synsets::open(synsets, labels, matches!(truth, Truth::Ids(_)))?;
    let label = |id: &SampleId| match &truth {
        Truth::Ids(lines) => {
            let (line, id) = by_number(root, id, lines, &file)?;
            synsets.of_class_id(*id, &file, line)
        }
        Truth::Synsets(lines) => {
            let (line, synset) = by_number(root, id, lines, &file)?;
            synsets.of_synset(synset, &file, line)
        }
        Truth::Named(names) => {
            let (line, label) = names.get(stem(id)).ok_or_else(|| missing(root, id, &images, names, &file))?;
            synsets.of_label(label, &file, *line)
        }
    };
    let files = images
        .iter()
        .map(|id| Ok(LabelledFile { id: id.clone(), label: label(id)? }))
        .collect::<Result<_, DataError>>()?;
    let (root, classes) = (root.to_path_buf(), synsets.names);
    let (numbering, warnings) = (Numbering::Fixed, Vec::new());
    Ok(ImageFiles { name: "imagenet-val", root, classes, files, numbering, warnings })
}

/// The images that lie in the folder itself.
fn images(root: &Path) -> Result<Vec<SampleId>, DataError> {
    if !root.is_dir() {
        return Err(DataError::content(root, "is not a folder; it should hold ImageNet's validation images"));
    }
    let entries = std::fs::read_dir(root).map_err(DataError::read(root))?;
    let mut paths = Vec::new();
    let mut folder_of_class = false;
    for entry in entries {
        let path = entry.map_err(DataError::read(root))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if is_image(&path) && !name.starts_with('.') {
            paths.push(path);
        } else {
            folder_of_class |= is_synset(&name);
        }
    }
    match paths.is_empty() {
        false => ids(root, &paths),
        true if folder_of_class => {
            Err(DataError::content(root, "has no images but folders of classes: use `kind = \"image-folder\"`"))
        }
        true => Err(no_images(root)),
    }
}

/// What a file of labels says.
#[derive(Debug, PartialEq, Eq)]
enum Truth<'f> {
    /// Class ids of the images by number, with their lines.
    Ids(Vec<(usize, u32)>),
    /// Synsets of the images by number, with their lines.
    Synsets(Vec<(usize, &'f str)>),
    /// Labels by the image's name without extension, with their lines.
    Named(HashMap<&'f str, (usize, &'f str)>),
}

impl<'f> Truth<'f> {
    fn read(file: &'f TextFile) -> Result<Self, DataError> {
        let fields = |text: &'f str| -> Vec<&'f str> {
            text.split([',', ' ', '\t'])
                .map(|field| field.trim_matches('"'))
                .filter(|field| !field.is_empty())
                .collect()
        };
        let mut lines: Vec<(usize, Vec<&str>)> = file.lines().map(|(line, text)| (line, fields(text))).collect();
        lines.retain(|(_, fields)| !fields.is_empty());
        // A header names its columns, where labels have synsets or numbers.
        if lines.first().is_some_and(|(_, fields)| !fields.iter().any(|field| is_label(field))) {
            lines.remove(0);
        }
        let Some((_, first)) = lines.first() else {
            return Err(DataError::content(&file.path, "has no labels"));
        };
        match first[..] {
            [only] if is_synset(only) => {
                let synset = |(line, fields): (usize, Vec<&'f str>)| match fields[..] {
                    [only] if is_synset(only) => Ok((line, only)),
                    _ => Err(file.wrong(line, "is not one synset, such as n01440764, as the lines before are")),
                };
                lines.into_iter().map(synset).collect::<Result<_, _>>().map(Truth::Synsets)
            }
            [_] => {
                let id = |(line, fields): (usize, Vec<&'f str>)| match fields[..] {
                    [only] => only.parse().map(|id| (line, id)).map_err(|_| {
                        file.wrong(line, format!("`{only}` is no class id, which is a whole number from 1 on"))
                    }),
                    _ => Err(file.wrong(line, "is not one class id, as the lines before are")),
                };
                lines.into_iter().map(id).collect::<Result<_, _>>().map(Truth::Ids)
            }
            _ => {
                let mut named = HashMap::with_capacity(lines.len());
                for (line, fields) in lines {
                    let [name, label, ..] = fields[..] else {
                        return Err(
                            file.wrong(line, "has no label; a line is an image's name and its synset or class index")
                        );
                    };
                    if let Some((first, _)) = named.insert(stem_of(name), (line, label)) {
                        return Err(file.wrong(line, format!("`{name}` stands on line {first} already")));
                    }
                }
                Ok(Truth::Named(named))
            }
        }
    }
}

fn is_label(field: &str) -> bool {
    is_synset(field) || field.bytes().all(|byte| byte.is_ascii_digit())
}

/// The label of an image by the number at the end of its name, with its line.
fn by_number<'l, T>(
    root: &Path,
    id: &SampleId,
    lines: &'l [(usize, T)],
    file: &TextFile,
) -> Result<(usize, &'l T), DataError> {
    let stem = stem(id);
    let digits = &stem[stem.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
    let labels = file.path.display();
    let number: usize = digits.parse().map_err(|_| {
        let problem = format!("its name does not end in a number, by which {labels} would give its label");
        DataError::content(root.join(id.as_str()), problem)
    })?;
    let line = number.checked_sub(1).and_then(|at| lines.get(at)).ok_or_else(|| {
        let problem = format!("has {} labels, but {id} is image {number}; ImageNet's list has 50000", lines.len());
        DataError::content(&file.path, problem)
    })?;
    Ok((line.0, &line.1))
}

/// The error of an image that the labels do not name, with how many there are of them.
fn missing(
    root: &Path,
    id: &SampleId,
    images: &[SampleId],
    names: &HashMap<&str, (usize, &str)>,
    file: &TextFile,
) -> DataError {
    let missing = images.iter().filter(|id| !names.contains_key(stem(id))).count();
    let more = if missing > 1 { format!(" (nor for {} more)", missing - 1) } else { String::new() };
    let folder = root.display();
    DataError::content(
        &file.path,
        format!("has no label for {id} in {folder}{more}; every image in the folder needs one"),
    )
}

fn stem(id: &SampleId) -> &str {
    stem_of(id.as_str())
}

/// A file's name without an image's extension.
fn stem_of(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if is_image(Path::new(name)) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests;
