//! Images of one size: preprocessing around any data set.

use std::path::PathBuf;

use super::class_names::ClassList;
use super::preprocess::{output_size, preprocess};
use super::{DataError, Dataset, Image};
use crate::suite::Preprocess;
use crate::terms::SampleId;

/// A data set whose images are preprocessed and have one size, and whose classes may have other names.
pub struct Uniform {
    inner: Box<dyn Dataset>,
    classes: Vec<String>,
    how: Preprocess,
    /// Width and height that every image must have after preprocessing, and the sample that set them.
    expected: Option<((u32, u32), SampleId)>,
}

impl Uniform {
    /// Brings the images of `inner` to one size. The first one whose header can be read sets the size that all must have
    /// after preprocessing, unless a crop does. `names` replace the names of the classes, unless `inner` has taken its
    /// classes from them.
    ///
    /// # Errors
    /// If there are not as many names as classes.
    pub(super) fn new(inner: Box<dyn Dataset>, how: Preprocess, names: Option<&ClassList>) -> Result<Self, DataError> {
        let classes = names.map_or_else(|| Ok(inner.classes().to_vec()), |names| names.rename(inner.classes()))?;
        let expected = (0..inner.len()).find_map(|index| {
            let (width, height) = inner.size(index)?;
            Some((output_size(&how, width, height).ok()?, inner.id(index)))
        });
        Ok(Uniform { inner, classes, how, expected })
    }
}

impl Dataset for Uniform {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn id(&self, index: usize) -> SampleId {
        self.inner.id(index)
    }

    fn label(&self, index: usize) -> u32 {
        self.inner.label(index)
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        let wrong = |problem| DataError::content(self.location(index), problem);
        let image = preprocess(self.inner.image(index)?, &self.how).map_err(wrong)?;
        match &self.expected {
            Some(((width, height), first)) if (image.width, image.height) != (*width as usize, *height as usize) => {
                let after = if self.how.resize.is_some() { " after resizing" } else { "" };
                Err(wrong(format!(
                    "is {}x{} pixels{after}, but the first image, {first}, is {width}x{height}; set `resize` and `crop` \
                     in [data] to bring all images to one size",
                    image.width, image.height,
                )))
            }
            _ => Ok(image),
        }
    }

    fn size(&self, index: usize) -> Option<(u32, u32)> {
        let (width, height) = self.inner.size(index)?;
        output_size(&self.how, width, height).ok()
    }

    fn location(&self, index: usize) -> PathBuf {
        self.inner.location(index)
    }

    fn fingerprint(&self, index: usize) -> Result<u64, DataError> {
        self.inner.fingerprint(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image_folder;
    use image::{Rgb, RgbImage};

    #[test]
    fn images_of_another_size_are_named() {
        let root = tempfile::tempdir().unwrap();
        for (name, width) in [("cat/1.bmp", 8), ("dog/2.png", 8), ("dog/odd.png", 9)] {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            RgbImage::from_pixel(width, 6, Rgb([10, 20, 30])).save(root.path().join(name)).unwrap();
        }
        let odd = |how| {
            let folder = Box::new(image_folder::open(root.path(), None).unwrap());
            let image = Uniform::new(folder, how, None).unwrap().image(2);
            image.map_err(|error| error.to_string().replace(&root.path().display().to_string(), "ROOT"))
        };
        insta::assert_snapshot!(odd(Preprocess::default()).unwrap_err(), @"ROOT/dog/odd.png: is 9x6 pixels, but the first image, cat/1.bmp, is 8x6; set `resize` and `crop` in [data] to bring all images to one size");
        let mut how = Preprocess { resize: Some(4), ..Preprocess::default() };
        insta::assert_snapshot!(odd(how).unwrap_err(), @"ROOT/dog/odd.png: is 6x4 pixels after resizing, but the first image, cat/1.bmp, is 5x4; set `resize` and `crop` in [data] to bring all images to one size");
        how.crop = Some(4);
        assert_eq!(odd(how).unwrap().width, 4);
        how.crop = Some(5);
        insta::assert_snapshot!(odd(how).unwrap_err(), @"ROOT/dog/odd.png: is 6x4 pixels after resizing, too small for a crop of 5x5");
    }
}
