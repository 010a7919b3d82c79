//! Image files to 8-bit RGB, as Pillow's `Image.open(path).convert("RGB")` sees them.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageReader, Rgb, RgbImage};

use super::{DataError, Image};

/// Reads a file whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })
}

/// Decodes `bytes`, whose format is told from their content; `path` is for messages.
///
/// Grey becomes RGB, transparency is dropped, of 16 bits the upper eight are kept, and EXIF orientation is ignored.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<RgbImage, DataError> {
    let wrong = |problem: String| DataError::Content { path: path.to_path_buf(), problem };
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    if reader.format().is_none() {
        return Err(wrong("is not a JPEG, PNG, WebP or BMP image".into()));
    }
    let image = reader.decode().map_err(|error| wrong(format!("cannot be decoded: {error}")))?;
    if image.width() == 0 || image.height() == 0 {
        return Err(wrong("has no pixels".into()));
    }
    Ok(to_rgb(image))
}

fn to_rgb(image: DynamicImage) -> RgbImage {
    let upper = |value: u16| (value >> 8) as u8;
    let deep = |image: &DynamicImage| {
        let wide = image.to_rgb16();
        RgbImage::from_fn(wide.width(), wide.height(), |x, y| Rgb(wide.get_pixel(x, y).0.map(upper)))
    };
    match image {
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => deep(&image),
        other => other.into_rgb8(),
    }
}

/// Planar bytes of an interleaved image.
pub(super) fn planar(image: &RgbImage) -> Image {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut pixels = vec![0; 3 * width * height];
    for (channel, plane) in pixels.chunks_mut(width * height).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(image.as_raw().chunks_exact(3)) {
            *value = pixel[channel];
        }
    }
    Image { channels: 3, height, width, pixels }
}
