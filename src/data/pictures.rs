//! Images without labels: one file, the files of a folder, or a tensor of pixels.

use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::budget;
use super::image_files::decode_file;
use super::listing::{ids, image_files, no_images, text};
use super::preprocess::preprocess;
use super::{DataError, Image, TensorFile};
use crate::suite::Preprocess;
use crate::terms::SampleId;

/// The tensor of a safetensors file that holds the images, u8 `[N, C, H, W]`.
const PIXELS: &str = "pixels_u8";

/// Images in a fixed order, each with an id.
#[derive(Debug)]
pub struct Pictures(Kind);

#[derive(Debug)]
enum Kind {
    /// Files, whose paths are relative to `root`.
    Files {
        root: PathBuf,
        ids: Vec<SampleId>,
        preprocess: Preprocess,
    },
    Tensor {
        file: TensorFile,
        shape: [usize; 4],
    },
}

impl Pictures {
    /// Finds the images at `path`: an image file, whose id is its name; a folder, searched with the folders in it, whose
    /// images are in natural order and have their paths in it as ids; or a safetensors file with `pixels_u8`
    /// `[N, C, H, W]`, whose images are numbered from 0. `preprocess` applies to image files.
    ///
    /// # Errors
    /// If there is nothing at `path`, the folder has no images, or the file has no such tensor.
    pub fn open(path: &Path, preprocess: Preprocess) -> Result<Self, DataError> {
        let about = std::fs::metadata(path).map_err(DataError::read(path))?;
        if about.is_dir() {
            let ids = ids(path, &image_files(path, false)?)?;
            return match ids.is_empty() {
                true => Err(no_images(path)),
                false => Ok(Pictures(Kind::Files { root: path.to_path_buf(), ids, preprocess })),
            };
        }
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors")) {
            return tensor(path).map(Pictures);
        }
        let ids = vec![text(path.file_name().map(Path::new), path)?.into()];
        let root = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Ok(Pictures(Kind::Files { root, ids, preprocess }))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Files { ids, .. } => ids.len(),
            Kind::Tensor { shape, .. } => shape[0],
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of image `index`.
    pub fn id(&self, index: usize) -> SampleId {
        match &self.0 {
            Kind::Files { ids, .. } => ids[index].clone(),
            Kind::Tensor { .. } => index.to_string().into(),
        }
    }

    /// The file that holds image `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        match &self.0 {
            Kind::Files { root, ids, .. } => root.join(ids[index].as_str()),
            Kind::Tensor { file, .. } => file.path().to_path_buf(),
        }
    }

    /// Reads, decodes and preprocesses image `index`.
    ///
    /// # Errors
    /// If the file cannot be read or is no image.
    pub fn image(&self, index: usize) -> Result<Image, DataError> {
        match &self.0 {
            Kind::Files { preprocess: how, .. } => {
                let path = self.path(index);
                budget::scope(|| {
                    preprocess(decode_file(&path)?, how).map_err(|problem| DataError::content(&path, problem))
                })
            }
            Kind::Tensor { file, shape: [_, channels, height, width] } => {
                let size = channels * height * width;
                let pixels = file.bytes(PIXELS, index * size, size)?;
                Ok(Image { channels: *channels, height: *height, width: *width, pixels })
            }
        }
    }
}

fn tensor(path: &Path) -> Result<Kind, DataError> {
    let file = TensorFile::open(path)?;
    let wrong = |problem: String| DataError::Content { path: path.to_path_buf(), problem };
    let shape = match file.tensor(PIXELS) {
        None => {
            let names = file.names();
            let has = if names.is_empty() { "no tensors".to_owned() } else { names.join(", ") };
            return Err(wrong(format!("has no tensor `{PIXELS}` (u8 [N, 3, H, W]); it has {has}")));
        }
        Some((Dtype::U8, &[count, channels, height, width])) => [count, channels, height, width],
        Some((dtype, shape)) => {
            return Err(wrong(format!("tensor `{PIXELS}` is {dtype:?} {shape:?}, not U8 [N, 3, H, W]")));
        }
    };
    if shape[1..].contains(&0) {
        return Err(wrong(format!("the images of `{PIXELS}` {shape:?} have no pixels")));
    }
    Ok(Kind::Tensor { file, shape })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn message(error: DataError, root: &Path) -> String {
        error.to_string().replace(&root.display().to_string(), "ROOT")
    }

    #[test]
    fn a_folder_is_searched_in_natural_order() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("b")).unwrap();
        for name in ["10.png", "9.png", "b/1.bmp", ".hidden.png"] {
            RgbImage::from_pixel(3, 2, Rgb([10, 20, 30])).save(root.path().join(name)).unwrap();
        }
        std::fs::write(root.path().join("notes.txt"), "").unwrap();
        let pictures = Pictures::open(root.path(), Preprocess::default()).unwrap();
        let ids: Vec<String> = (0..pictures.len()).map(|index| pictures.id(index).to_string()).collect();
        assert_eq!(ids, ["9.png", "10.png", "b/1.bmp"]);
        let image = pictures.image(0).unwrap();
        assert_eq!((image.channels, image.height, image.width, image.pixels[6]), (3, 2, 3, 20));
        let one = Pictures::open(&root.path().join("b/1.bmp"), Preprocess::default()).unwrap();
        assert_eq!((one.len(), one.id(0).as_str()), (1, "1.bmp"));
    }

    #[test]
    fn a_tensor_gives_its_images_by_number() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("some.safetensors");
        let bytes: Vec<u8> = (0..24).collect();
        let save = |name: &str, shape: &[usize]| {
            let view = TensorView::new(Dtype::U8, shape.to_vec(), &bytes).unwrap();
            std::fs::write(&path, serialize([(name, view)], None).unwrap()).unwrap();
            Pictures::open(&path, Preprocess::default())
        };
        let pictures = save(PIXELS, &[2, 3, 1, 4]).unwrap();
        assert_eq!((pictures.len(), pictures.id(1).as_str()), (2, "1"));
        assert_eq!(pictures.image(1).unwrap().pixels, bytes[12..]);
        let wrong = [save("x", &[2, 3, 1, 4]).unwrap_err(), save(PIXELS, &[2, 12]).unwrap_err()];
        insta::assert_snapshot!(wrong.map(|error| message(error, root.path())).join("\n"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            message(Pictures::open(&root.path().join(name), Preprocess::default()).unwrap_err(), root.path())
        };
        assert_eq!(open("gone.png"), "failed to read ROOT/gone.png");
        assert!(open("").starts_with("ROOT/: has no images"), "{}", open(""));
    }
}
