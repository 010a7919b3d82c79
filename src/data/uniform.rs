//! Images of one size: preprocessing around any data set.

use std::collections::HashMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::class_names::ClassList;
use super::preprocess::{output_size, preprocess};
use super::{DataError, Dataset, Image, Numbering, budget};
use crate::suite::{OnDataError, Preprocess};
use crate::terms::SampleId;

/// A data set whose images are preprocessed and have one size, and whose classes may have other names.
pub struct Uniform {
    inner: Box<dyn Dataset>,
    classes: Vec<String>,
    how: Preprocess,
    /// Width and height that every image must have after preprocessing, and the sample that set them.
    expected: Option<((u32, u32), SampleId)>,
    /// Whether a list of names gives the classes.
    named: bool,
}

impl Uniform {
    /// Brings the images of `inner` to one size: the size that most of them have after preprocessing, as far as headers tell, or
    /// that of the crop. `names` replace the names of the classes, unless `inner` has taken its classes from them.
    ///
    /// # Errors
    /// If there are not as many names as classes.
    pub(super) fn new(
        inner: Box<dyn Dataset>,
        how: Preprocess,
        names: Option<&ClassList>,
        on_error: OnDataError,
    ) -> Result<Self, DataError> {
        let classes = names.map_or_else(|| Ok(inner.classes().to_vec()), |names| names.rename(inner.classes()))?;
        let named = names.is_some();
        let expected = if how.crop.is_some() { None } else { usual_size(inner.as_ref(), &how, on_error) };
        Ok(Uniform { inner, classes, how, expected, named })
    }
}

/// The size that most images have after preprocessing, and the first sample of that size. Where others stop the run, some images
/// spread over the data set stand for all.
fn usual_size(dataset: &dyn Dataset, how: &Preprocess, on_error: OnDataError) -> Option<((u32, u32), SampleId)> {
    const LOOKS: usize = 500;
    let every = if on_error == OnDataError::Skip { 1 } else { dataset.len().div_ceil(LOOKS).max(1) };
    let places: Vec<usize> = (0..dataset.len()).step_by(every).collect();
    let size = |index: &usize| {
        let (width, height) = dataset.size(*index)?;
        output_size(how, width, height).ok()
    };
    let sizes: Vec<Option<(u32, u32)>> = places.par_iter().map(size).collect();
    let mut counts: HashMap<(u32, u32), (usize, usize)> = HashMap::new();
    for (place, size) in sizes.into_iter().enumerate().filter_map(|(place, size)| Some((place, size?))) {
        counts.entry(size).or_insert((0, place)).0 += 1;
    }
    // Of sizes that are as frequent, that of the first image.
    let (size, (_, first)) =
        counts.into_iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)))?;
    Some((size, dataset.id(places[first])))
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
        let image = budget::scope(|| preprocess(self.inner.image(index)?, &self.how).map_err(wrong))?;
        match &self.expected {
            Some(((width, height), first)) if (image.width, image.height) != (*width as usize, *height as usize) => {
                let after = if self.how.resize.is_some() { " after resizing" } else { "" };
                Err(wrong(format!(
                    "is {}x{} pixels{after}, but most images, such as {first}, are {width}x{height}; set `resize` and \
                     `crop` in [data] to bring all images to one size",
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

    fn numbering(&self) -> Numbering {
        if self.named { Numbering::Fixed } else { self.inner.numbering() }
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
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
            let image = Uniform::new(folder, how, None, OnDataError::Fail).unwrap().image(2);
            image.map_err(|error| error.to_string().replace(&root.path().display().to_string(), "ROOT"))
        };
        insta::assert_snapshot!(odd(Preprocess::default()).unwrap_err(), @"ROOT/dog/odd.png: is 9x6 pixels, but most images, such as cat/1.bmp, are 8x6; set `resize` and `crop` in [data] to bring all images to one size");
        let mut how = Preprocess { resize: Some(4), ..Preprocess::default() };
        insta::assert_snapshot!(odd(how).unwrap_err(), @"ROOT/dog/odd.png: is 6x4 pixels after resizing, but most images, such as cat/1.bmp, are 5x4; set `resize` and `crop` in [data] to bring all images to one size");
        how.crop = Some(4);
        assert_eq!(odd(how).unwrap().width, 4);
        how.crop = Some(5);
        insta::assert_snapshot!(odd(how).unwrap_err(), @"ROOT/dog/odd.png: is 6x4 pixels after resizing, too small for a crop of 5x5");
    }
}
