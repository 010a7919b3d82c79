//! Pictures of files, made small enough to stand in a page.

use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use super::encode::{base64, data_uri};
use crate::report::chart::canvas::DrawError;

/// Longest side of an embedded picture, and of a real sample below it.
pub const SIDE: u32 = 208;
pub const SAMPLE_SIDE: u32 = 48;

/// Longest side of pictures that are kept to the pixel: those of small networks, whose pixels are seen one by one. Of larger ones, which are
/// full of detail, a PNG takes four times the bytes of a JPEG.
const EXACT: u32 = 96;
/// Of 100.
const QUALITY: u8 = 85;

/// A PNG file for a page, with no side longer than `most` pixels.
///
/// # Errors
/// If the file cannot be read or is no image.
pub fn embedded(path: &Path, most: u32) -> Result<String, DrawError> {
    let wrong = |cause: String| DrawError::new(format!("{}: {cause}", path.display()));
    let png = crate::files::read_whole(path).map_err(|error| wrong(error.to_string()))?;
    let image = image::load_from_memory(&png).map_err(|error| wrong(error.to_string()))?;
    let side = image.width().max(image.height());
    if side <= most.min(EXACT) {
        return Ok(data_uri(&png));
    }
    let image = if side > most { image.resize(most, most, FilterType::Triangle) } else { image };
    let mut bytes = Cursor::new(Vec::new());
    if side <= EXACT {
        image.write_to(&mut bytes, image::ImageFormat::Png).map_err(DrawError::new)?;
        return Ok(data_uri(&bytes.into_inner()));
    }
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    image.to_rgb8().write_with_encoder(encoder).map_err(DrawError::new)?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&bytes.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pictures_keep_their_pixels_and_large_ones_take_few_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let saved = |side: u32| {
            let path = dir.path().join(format!("{side}.png"));
            let mut state = 1u32;
            image::RgbImage::from_fn(side, side, |x, _| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                image::Rgb([x as u8, (state >> 27) as u8, 128 + (state >> 28) as u8])
            })
            .save(&path)
            .unwrap();
            path
        };
        let small = saved(32);
        assert_eq!(embedded(&small, SIDE).unwrap(), data_uri(&std::fs::read(&small).unwrap()));
        let large = embedded(&saved(224), SIDE).unwrap();
        assert!(large.starts_with("data:image/jpeg;base64,/9j/"), "{}", &large[..40]);
        assert!(large.len() * 2 < std::fs::metadata(dir.path().join("224.png")).unwrap().len() as usize);
        assert!(embedded(&dir.path().join("224.png"), SAMPLE_SIDE).unwrap().len() * 6 < large.len());
        assert!(embedded(&saved(64), SAMPLE_SIDE).unwrap().starts_with("data:image/png"));
        let missing = embedded(&dir.path().join("none.png"), SIDE).unwrap_err().to_string();
        assert!(missing.contains("none.png"), "{missing}");
    }
}
