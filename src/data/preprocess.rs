//! torchvision's evaluation preprocessing, with its sizes and roundings: `Resize(size)`, then `CenterCrop(size)`.

use image::RgbImage;

use super::resample::resize;
use crate::suite::Preprocess;

/// Most pixels that an image may have after resizing: a guard against very long, thin images.
const LARGEST: u64 = 100_000_000;

/// The size of an image of `width` x `height` after preprocessing.
///
/// # Errors
/// If the crop does not fit, or a thin image would grow beyond all use.
pub(super) fn output_size(how: &Preprocess, width: u32, height: u32) -> Result<(u32, u32), String> {
    let (width, height) = resized(how, width, height)?;
    Ok(how.crop.map_or((width, height), |side| (side, side)))
}

/// Resizes the shorter side and crops the centre.
///
/// # Errors
/// As [`output_size`].
pub(super) fn preprocess(image: RgbImage, how: &Preprocess) -> Result<RgbImage, String> {
    let (width, height) = resized(how, image.width(), image.height())?;
    let image = resize(&image, width, height, how.interpolation);
    Ok(match how.crop {
        None => image,
        Some(side) => {
            let (left, top) = (centre_offset(width, side), centre_offset(height, side));
            image::imageops::crop_imm(&image, left, top, side, side).to_image()
        }
    })
}

/// The size after resizing, which is checked to hold the crop.
fn resized(how: &Preprocess, width: u32, height: u32) -> Result<(u32, u32), String> {
    let (new_width, new_height) = match how.resize {
        None => (u64::from(width), u64::from(height)),
        Some(side) => {
            let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
            let new_long = u64::from(side) * long / short.max(1);
            if width <= height { (u64::from(side), new_long) } else { (new_long, u64::from(side)) }
        }
    };
    if new_width * new_height > LARGEST {
        return Err(format!("is {width}x{height} pixels, too thin: resizing would make it {new_width}x{new_height}"));
    }
    if new_width == 0 || new_height == 0 {
        return Err("would have no pixels after resizing; `resize` must be at least 1".into());
    }
    match how.crop {
        Some(side) if side == 0 || u64::from(side) > new_width.min(new_height) => {
            let after = if how.resize.is_some() { " after resizing" } else { "" };
            Err(format!("is {new_width}x{new_height} pixels{after}, too small for a crop of {side}x{side}"))
        }
        // Both are at most LARGEST.
        _ => Ok((new_width as u32, new_height as u32)),
    }
}

/// `round((length - crop) / 2)` with Python's rounding of halves to even.
fn centre_offset(length: u32, crop: u32) -> u32 {
    let twice = length - crop;
    let half = twice / 2;
    half + u32::from(twice % 2 == 1 && half % 2 == 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::suite::Interpolation;

    fn how(resize: Option<u32>, crop: Option<u32>) -> Preprocess {
        Preprocess { resize, crop, interpolation: Interpolation::Bilinear }
    }

    #[test]
    fn sizes_are_torchvisions() {
        assert_eq!(output_size(&how(Some(256), None), 500, 375), Ok((341, 256)));
        assert_eq!(output_size(&how(Some(256), None), 375, 500), Ok((256, 341)));
        assert_eq!(output_size(&how(Some(256), Some(224)), 500, 375), Ok((224, 224)));
        assert_eq!(output_size(&how(None, None), 5, 7), Ok((5, 7)));
        // Python: round(0.5) = 0, round(1.5) = 2, round(2.5) = 2, round(58.5) = 58.
        for (length, offset) in [(225, 0), (226, 1), (227, 2), (229, 2), (341, 58)] {
            assert_eq!(centre_offset(length, 224), offset, "{length}");
        }
    }

    #[test]
    fn what_cannot_be_cropped_says_why() {
        let problem = |resize, crop, size: (u32, u32)| output_size(&how(resize, crop), size.0, size.1).unwrap_err();
        insta::assert_snapshot!(problem(None, Some(224), (300, 200)), @"is 300x200 pixels, too small for a crop of 224x224");
        insta::assert_snapshot!(problem(Some(200), Some(224), (300, 400)), @"is 200x266 pixels after resizing, too small for a crop of 224x224");
        insta::assert_snapshot!(problem(Some(256), Some(224), (1, 60_000)), @"is 1x60000 pixels, too thin: resizing would make it 256x15360000");
    }

    proptest! {
        #[test]
        fn what_is_announced_is_what_comes_out(
            width in 1u32..60, height in 1u32..60,
            resize in proptest::option::of(0u32..50), crop in proptest::option::of(0u32..50),
        ) {
            let how = how(resize, crop);
            let result = preprocess(RgbImage::new(width, height), &how).map(|image| (image.width(), image.height()));
            prop_assert_eq!(result, output_size(&how, width, height));
        }
    }
}
