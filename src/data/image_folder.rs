//! Image files in one folder per class, as torchvision's `ImageFolder` reads them.

use std::path::Path;

use super::decode::{decode, planar, read};
use super::listing::{LabelledFile, class_folders, labelled_files};
use super::preprocess::{output_size, preprocess};
use super::{DataError, Dataset, Image};
use crate::suite::Preprocess;
use crate::terms::SampleId;

/// Extensions of the files that are taken for images, in lower case.
pub(super) const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// A folder of class folders. Classes are the folder names in alphabetical order; a class's files may lie deeper, and come
/// in natural order (`9.png` before `10.png`). Ids are paths relative to the root.
#[derive(Debug)]
pub struct ImageFolder {
    classes: Vec<String>,
    files: Vec<LabelledFile>,
    preprocess: Option<Preprocess>,
    /// Width and height that every image must have after preprocessing, and the file that set them.
    expected: Option<((u32, u32), SampleId)>,
}

impl ImageFolder {
    /// Lists the images below `root`. The first one whose header can be read sets the size that all must have after
    /// preprocessing, unless a crop does.
    ///
    /// # Errors
    /// If the root is missing, has no class folders, or a class folder has no images.
    pub fn open(root: &Path, preprocess: Option<Preprocess>) -> Result<Self, DataError> {
        let wrong = |problem: &str| DataError::Content { path: root.to_path_buf(), problem: problem.into() };
        if !root.is_dir() {
            return Err(wrong("is not a folder; it should hold one folder of images per class"));
        }
        let classes = class_folders(root)?;
        if classes.is_empty() {
            return Err(wrong("has no folders; it should hold one folder of images per class"));
        }
        let files = labelled_files(root, root, &classes, &EXTENSIONS)?;
        let expected = files.iter().find_map(|file| {
            let (width, height) = image::image_dimensions(&file.path).ok()?;
            let size = match &preprocess {
                None => (width, height),
                Some(how) => output_size(how, width, height).ok()?,
            };
            Some((size, file.id.clone()))
        });
        Ok(ImageFolder { classes, files, preprocess, expected })
    }
}

impl Dataset for ImageFolder {
    fn name(&self) -> &str {
        "image-folder"
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn id(&self, index: usize) -> SampleId {
        self.files[index].id.clone()
    }

    fn label(&self, index: usize) -> u32 {
        self.files[index].label
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        let path = &self.files[index].path;
        let wrong = |problem| DataError::Content { path: path.clone(), problem };
        let mut image = decode(&read(path)?, path)?;
        if let Some(how) = &self.preprocess {
            image = preprocess(image, how).map_err(wrong)?;
        }
        match &self.expected {
            Some(((width, height), first)) if (image.width(), image.height()) != (*width, *height) => {
                let after = if self.preprocess.is_some() { " after resizing" } else { "" };
                Err(wrong(format!(
                    "is {}x{} pixels{after}, but the first image, {first}, is {width}x{height}; set `resize` and `crop` \
                     in [data] to bring all images to one size",
                    image.width(),
                    image.height(),
                )))
            }
            _ => Ok(planar(&image)),
        }
    }

    fn fingerprint(&self, index: usize) -> Result<u64, DataError> {
        self.files[index].length()
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::suite::Interpolation;

    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, size) in [("dog/b/2.png", 8), ("dog/10.png", 8), ("dog/9.png", 8), ("cat/1.bmp", 8)] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::from_pixel(size, 6, Rgb([10, 20, 30])).save(path).unwrap();
        }
        root
    }

    fn said(error: DataError, root: &Path) -> String {
        error.to_string().replace(&root.display().to_string(), "ROOT")
    }

    #[test]
    fn classes_are_alphabetical_and_files_in_natural_order() {
        let root = folder();
        let data = ImageFolder::open(root.path(), None).unwrap();
        let all: Vec<(String, u32)> = (0..data.len()).map(|i| (data.id(i).to_string(), data.label(i))).collect();
        let expected = [("cat/1.bmp", 0), ("dog/9.png", 1), ("dog/10.png", 1), ("dog/b/2.png", 1)];
        assert_eq!(all, expected.map(|(id, label)| (id.to_string(), label)));
        assert_eq!(data.classes(), ["cat", "dog"]);
        let image = data.image(0).unwrap();
        assert_eq!((image.channels, image.height, image.width, image.pixels[48]), (3, 6, 8, 20));
    }

    #[test]
    fn images_of_another_size_are_named() {
        let root = folder();
        RgbImage::new(9, 6).save(root.path().join("dog/odd.png")).unwrap();
        let odd = |how| ImageFolder::open(root.path(), how).unwrap().image(4);
        insta::assert_snapshot!(said(odd(None).unwrap_err(), root.path()), @"ROOT/dog/odd.png: is 9x6 pixels, but the first image, cat/1.bmp, is 8x6; set `resize` and `crop` in [data] to bring all images to one size");
        let mut how = Preprocess { resize: Some(4), crop: None, interpolation: Interpolation::Bilinear };
        insta::assert_snapshot!(said(odd(Some(how)).unwrap_err(), root.path()), @"ROOT/dog/odd.png: is 6x4 pixels after resizing, but the first image, cat/1.bmp, is 5x4; set `resize` and `crop` in [data] to bring all images to one size");
        how.crop = Some(4);
        assert_eq!(odd(Some(how)).unwrap().width, 4);
        how.crop = Some(5);
        insta::assert_snapshot!(said(odd(Some(how)).unwrap_err(), root.path()), @"ROOT/dog/odd.png: is 6x4 pixels after resizing, too small for a crop of 5x5");
    }

    #[test]
    fn unusable_folders_and_files_are_named() {
        let root = folder();
        let open = |path: &Path| said(ImageFolder::open(path, None).unwrap_err(), root.path());
        insta::assert_snapshot!(open(&root.path().join("gone")), @"ROOT/gone: is not a folder; it should hold one folder of images per class");
        insta::assert_snapshot!(open(&root.path().join("cat")), @"ROOT/cat: has no folders; it should hold one folder of images per class");
        std::fs::create_dir(root.path().join("empty")).unwrap();
        insta::assert_snapshot!(open(root.path()), @"ROOT/empty: has no images; expected files ending in jpg, jpeg, png, webp, bmp");
        std::fs::write(root.path().join("empty/a.jpg"), b"not an image").unwrap();
        let data = ImageFolder::open(root.path(), None).unwrap();
        insta::assert_snapshot!(said(data.image(4).unwrap_err(), root.path()), @"ROOT/empty/a.jpg: is not a JPEG, PNG, WebP or BMP image");
    }
}
