//! Images as PNG files, alone or in a folder for each class.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder};

use super::source::{Reading, Saved, for_each_image};
use super::table::ImageTable;
use super::tensors::{Format, write_tensors};
use super::{Choice, ExportError, Exported, Group, ImagesForm, empty_folder};
use crate::record::{Manifest, RunDir, StoreError, write_atomically};

/// Writes the images that `choice` takes into the empty folder `out`, with `images.csv`, which comes last.
///
/// # Errors
/// If the run has no images, none fits, `out` is not empty, or a file cannot be read or written.
pub fn write_images(
    dir: &RunDir,
    manifest: &Manifest,
    choice: &Choice,
    form: ImagesForm,
    out: &Path,
) -> Result<Exported, ExportError> {
    // What cannot be exported is said before anything is written.
    let mut found = 0;
    for_each_image(dir, manifest, choice, Reading::Records, |_| {
        found += 1;
        Ok(())
    })?;
    if found == 0 {
        return Err(ExportError::Nothing(none_fits(choice)));
    }
    empty_folder(out)?;
    match form {
        ImagesForm::Png => write_pictures(dir, manifest, choice, out, None),
        ImagesForm::ImageFolder => write_pictures(dir, manifest, choice, out, Some(manifest.classes.len())),
        ImagesForm::Safetensors => write_tensors(dir, manifest, choice, Format::Safetensors, out),
        ImagesForm::Npy => write_tensors(dir, manifest, choice, Format::Npy, out),
    }
}

fn none_fits(choice: &Choice) -> String {
    if choice.flipped {
        return "no image of these models and attacks flips; leave --flipped out for all that were attacked".to_owned();
    }
    "the run saved none of these models and attacks; it may have attacked no sample, since all are misclassified"
        .to_owned()
}

/// PNG files; with a number of classes, in a folder for each class.
fn write_pictures(
    dir: &RunDir,
    manifest: &Manifest,
    choice: &Choice,
    out: &Path,
    classes: Option<usize>,
) -> Result<Exported, ExportError> {
    let mut table = ImageTable::create(out)?;
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mut exported = Exported { images: 0, files: 1 };
    for_each_image(dir, manifest, choice, Reading::Pixels, |saved| {
        let group = Group::new(&saved.record.cell).name();
        if folders.insert(group.clone()) {
            // A class without images has a folder too, so that a class's place is its index.
            let names: Vec<String> = match classes {
                Some(classes) => (0..classes).map(|class| format!("{group}/{class:04}")).collect(),
                None => vec![group.clone()],
            };
            for name in names {
                let folder = out.join(name);
                std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
            }
        }
        let class = if classes.is_some() { format!("{:04}/", saved.record.label) } else { String::new() };
        let path = format!("{group}/{class}{:07}.png", saved.row);
        write_atomically(&out.join(&path), &png(saved, &out.join(&path))?)?;
        table.write(&path, saved)?;
        exported.images += 1;
        exported.files += 1;
        Ok(())
    })?;
    table.finish()?;
    Ok(exported)
}

/// The image as PNG, each value rounded to the nearest of 256 levels.
fn png(saved: &Saved<'_>, path: &Path) -> Result<Vec<u8>, ExportError> {
    let [channels, height, width] = saved.shape;
    let color = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => {
            let problem = format!("PNG has 1 or 3 channels and the image {channels}; export tensors");
            return Err(ExportError::Content { path: path.to_owned(), problem });
        }
    };
    let plane = height * width;
    let level = |place: usize| (saved.pixels[place].clamp(0.0, 1.0) * 255.0).round() as u8;
    let levels: Vec<u8> =
        (0..plane).flat_map(|at| (0..channels).map(move |channel| channel * plane + at)).map(level).collect();
    let mut bytes = Cursor::new(Vec::new());
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&levels, width as u32, height as u32, color)
        .map_err(|error| StoreError::io("write", path)(std::io::Error::other(error)))?;
    Ok(bytes.into_inner())
}
