//! Image files to 8-bit RGB, as Pillow's `Image.open(path).convert("RGB")` sees them.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Cursor};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage};

use super::budget::{self, MOST_PIXELS};
use super::{DataError, Image};
use crate::files::{foreign, open_regular, read_regular};

/// Largest file that is read whole; images and batches are smaller.
const LARGEST_FILE: u64 = 1 << 31;

/// Reads a file whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    read_regular(path, LARGEST_FILE).map_err(DataError::read(path))
}

/// Width and height of an image file, from its header.
pub(super) fn file_size(path: &Path) -> Option<(u32, u32)> {
    let mut file = BufReader::new(open_regular(path).ok()?);
    if let Some(size) = png_size(file.fill_buf().ok()?) {
        return Some(size);
    }
    ImageReader::new(file).with_guessed_format().ok()?.into_dimensions().ok()
}

/// Width and height of an image in memory, from its header.
pub(super) fn bytes_size(bytes: &[u8]) -> Option<(u32, u32)> {
    if let Some(size) = png_size(bytes) {
        return Some(size);
    }
    ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?.into_dimensions().ok()
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Width and height in the header of a PNG, without the chunks behind it, which a decoder would unpack.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(PNG)?.get(4..16)?.strip_prefix(b"IHDR")?;
    let side = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    Some((side(0)?, side(4)?))
}

/// A PNG without colour profile and texts: they are not used, and some hundred kilobytes of them can unpack to gigabytes.
fn lean(bytes: &[u8]) -> Cow<'_, [u8]> {
    const NEEDLESS: [&[u8]; 5] = [b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf"];
    let Some(mut rest) = bytes.strip_prefix(PNG) else { return Cow::Borrowed(bytes) };
    let mut output = PNG.to_vec();
    while let [a, b, c, d, kind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some((chunk, behind)) = length.checked_add(12).and_then(|size| rest.split_at_checked(size)) else { break };
        if !kind.get(..4).is_some_and(|kind| NEEDLESS.contains(&kind)) {
            output.extend_from_slice(chunk);
        }
        rest = behind;
    }
    output.extend_from_slice(rest);
    if output.len() == bytes.len() { Cow::Borrowed(bytes) } else { Cow::Owned(output) }
}

/// Decodes `bytes`, whose format is told from their content; `path` is for messages.
///
/// Grey becomes RGB, transparency is dropped, and EXIF orientation is ignored. Of 16 bits the upper eight are kept, but 16-bit
/// grey without transparency is cut off at 255: so does Pillow.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Image, DataError> {
    let wrong = |problem: &str| DataError::content(path, problem);
    let lean = lean(bytes);
    let bytes = &*lean;
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(DataError::read(path))?;
    reader.limits(budget::limits());
    match reader.format() {
        // The decoder fills what is missing with grey, which would pass for a picture.
        Some(ImageFormat::Jpeg) if !jpeg_ends(bytes) => {
            return Err(wrong("is truncated: a JPEG image without its end"));
        }
        Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Pnm) => {}
        Some(ImageFormat::Tiff) => return Err(wrong("is a TIFF image, which is not read; convert it to PNG")),
        _ => {
            let instead =
                foreign(bytes, bytes.len() as u64).map(|description| format!(": {description}")).unwrap_or_default();
            return Err(wrong(&format!("is not a JPEG, PNG, WebP, BMP or PNM image{instead}")));
        }
    }
    let undecodable = |error: image::ImageError| wrong(&format!("cannot be decoded: {error}"));
    let decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(wrong("has no pixels"));
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(wrong(&format!("has {width}x{height} pixels; at most {MOST_PIXELS} are decoded: make it smaller")));
    }
    // Held until the image has its final form, so that all threads together stay within the budget.
    let space = budget::take(u64::from(width) * u64::from(height));
    let image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    let image = planar(&to_rgb(image));
    budget::keep(space);
    Ok(image)
}

/// Whether the end-of-image marker follows a scan. Markers inside segments, such as a thumbnail's, do not count.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    let mut scanned = false;
    while let Some(&[mark, code]) = bytes.get(at..at + 2) {
        at += match (mark, code) {
            (0xFF, 0xD9) => return scanned,
            (0xFF, 0x01 | 0xD0..=0xD8) => 2,
            // A fill byte.
            (0xFF, 0xFF) => 1,
            (0xFF, 1..) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => {
                    scanned |= code == 0xDA;
                    2 + usize::from(u16::from_be_bytes([high, low]))
                }
                _ => return false,
            },
            // Entropy-coded data, or what a lenient decoder passes over.
            _ => 1,
        };
    }
    false
}

fn to_rgb(image: DynamicImage) -> RgbImage {
    let upper = |value: u16| (value >> 8) as u8;
    let deep = |image: &DynamicImage| {
        let wide = image.to_rgb16();
        RgbImage::from_fn(wide.width(), wide.height(), |x, y| Rgb(wide.get_pixel(x, y).0.map(upper)))
    };
    match image {
        DynamicImage::ImageLuma16(grey) => {
            RgbImage::from_fn(grey.width(), grey.height(), |x, y| Rgb([grey.get_pixel(x, y).0[0].min(255) as u8; 3]))
        }
        DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => deep(&image),
        other => other.into_rgb8(),
    }
}

/// Planar bytes of an interleaved image.
fn planar(image: &RgbImage) -> Image {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut pixels = vec![0; 3 * width * height];
    for (channel, plane) in pixels.chunks_mut(width * height).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(image.as_raw().chunks_exact(3)) {
            *value = pixel[channel];
        }
    }
    Image { channels: 3, height, width, pixels }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocess").join(name)).unwrap()
    }

    #[test]
    fn profiles_and_texts_of_a_png_are_not_unpacked() {
        let mut png = Vec::new();
        RgbImage::from_pixel(5, 4, Rgb([9, 8, 7])).write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        let chunk = |kind: &[u8], data: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(kind);
            crc.update(data);
            [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
        };
        // A deflate stream that is none: whoever unpacks it fails.
        let bomb =
            [chunk(b"iCCP", b"a\0\0not packed"), chunk(b"zTXt", b"a\0\0not packed"), chunk(b"gAMA", &[0, 1, 0, 0])];
        let stuffed = [&png[..33], &bomb.concat(), &png[33..]].concat();
        assert_eq!(lean(&stuffed).len(), png.len() + 16);
        assert_eq!(lean(&png), png);
        let (plain, image) = (decode(&png, Path::new("a")).unwrap(), decode(&stuffed, Path::new("a")).unwrap());
        assert_eq!((image.pixels, bytes_size(&stuffed)), (plain.pixels, Some((5, 4))));
        for length in 0..stuffed.len() {
            let _ = decode(&stuffed[..length], Path::new("a"));
        }
    }

    /// A PNG of so many black pixels: tiny as a file.
    fn bomb(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png_chunk(&mut bytes, width, height);
        let row = vec![0; width as usize / 8 + 2];
        for _ in 0..height {
            std::io::Write::write_all(&mut encoder, &row).unwrap();
        }
        let packed = encoder.finish().unwrap();
        chunk(&mut bytes, b"IDAT", &packed);
        chunk(&mut bytes, b"IEND", &[]);
        bytes
    }

    fn png_chunk(bytes: &mut Vec<u8>, width: u32, height: u32) -> flate2::write::ZlibEncoder<Vec<u8>> {
        bytes.extend(b"\x89PNG\r\n\x1a\n");
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
        chunk(bytes, b"IHDR", &header);
        flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best())
    }

    fn chunk(bytes: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(content);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(name);
        bytes.extend(content);
        bytes.extend(crc.sum().to_be_bytes());
    }

    #[test]
    fn bombs_are_refused_by_their_header() {
        let small = bomb(64, 8);
        assert_eq!(decode(&small, Path::new("small.png")).unwrap().width, 64);
        let error = decode(&bomb(40_000, 4_000), Path::new("bomb.png")).unwrap_err().to_string();
        assert!(error.starts_with("bomb.png: has 40000x4000 pixels; at most"), "{error}");
        let pages = decode(b"<!DOCTYPE html><html></html>", Path::new("a.jpg")).unwrap_err().to_string();
        assert!(pages.contains("an HTML page"), "{pages}");
    }

    fn encoded(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn of_sixteen_bits_the_upper_eight_are_kept() {
        let deep = image::ImageBuffer::from_pixel(1, 1, Rgb([0x12FFu16, 0x8000, 0xFFFF]));
        let bytes = encoded(deep.into(), ImageFormat::Png);
        assert_eq!(decode(&bytes, Path::new("deep.png")).unwrap().pixels, [0x12, 0x80, 0xFF]);
    }

    #[test]
    fn a_truncated_file_is_an_error_at_any_length() {
        for name in ["rgb.jpg", "grey.jpg", "cmyk.jpg", "grey.png", "palette.png"] {
            let bytes = fixture(name);
            assert!(decode(&bytes, Path::new(name)).is_ok(), "{name}");
            // A PNG's last chunk holds nothing of the picture.
            let end = if name.ends_with("png") { bytes.len() - 16 } else { bytes.len() - 1 };
            for length in (0..end).step_by(bytes.len() / 50).chain([end]) {
                assert!(decode(&bytes[..length], Path::new(name)).is_err(), "{name} cut to {length} bytes");
            }
        }
        let error = decode(&fixture("rgb.jpg")[..4000], Path::new("cut.jpg")).unwrap_err();
        assert_eq!(error.to_string(), "cut.jpg: is truncated: a JPEG image without its end");
    }

    #[test]
    fn a_thumbnail_does_not_end_the_image_around_it() {
        let mut bytes = fixture("grey.jpg");
        let thumbnail: Vec<u8> = [&[0xFF, 0xE1, 0, 6][..], &[0xFF, 0xDA, 0xFF, 0xD9]].concat();
        bytes.splice(2..2, thumbnail);
        assert!(jpeg_ends(&bytes));
        assert!(!jpeg_ends(&bytes[..bytes.len() - 2]));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(decode(&bytes, Path::new("bytes")).is_err());
        }

        #[test]
        fn damaged_images_never_panic(
            kind in 0usize..5, damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let small = RgbImage::from_fn(9, 7, |x, y| Rgb([x as u8 * 28, y as u8 * 36, 99]));
            let mut bytes = match kind {
                0 => encoded(small.into(), ImageFormat::Png),
                1 => encoded(small.into(), ImageFormat::Bmp),
                2 => encoded(small.into(), ImageFormat::WebP),
                3 => fixture("grey.jpg"),
                _ => fixture("cmyk.jpg"),
            };
            for (place, value) in damage {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _ = decode(&bytes, Path::new("damaged"));
        }
    }
}
