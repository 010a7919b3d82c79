//! torchvision's evaluation preprocessing, with its sizes and roundings: channels, `Resize(size)`, then `CenterCrop(size)`.

use super::Image;
use super::resample::resize;
use crate::suite::{Channels, Interpolation, Preprocess};

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

/// Brings the image to the channels asked for, resizes the shorter side and crops the centre.
///
/// # Errors
/// As [`output_size`].
pub(super) fn preprocess(image: Image, how: &Preprocess) -> Result<Image, String> {
    let (width, height) = resized(how, side(image.width), side(image.height))?;
    let image = match (how.channels, image.channels) {
        (Some(Channels::Grey), 3) => grey(&image),
        (Some(Channels::Rgb), 1) => Image { channels: 3, pixels: image.pixels.repeat(3), ..image },
        _ => image,
    };
    let image = if how.resize.is_some() { resize(image, width, height, how.interpolation) } else { image };
    Ok(match how.crop {
        None => image,
        Some(side) => crop(&image, centre_offset(width, side), centre_offset(height, side), side),
    })
}

fn side(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Luma as Pillow's `convert("L")` has it (ITU-R 601-2, in 16-bit fixed point).
fn grey(image: &Image) -> Image {
    let plane = image.height * image.width;
    let [red, green, blue] = [0, 1, 2].map(|channel| &image.pixels[channel * plane..(channel + 1) * plane]);
    let luma = |((r, g), b): ((&u8, &u8), &u8)| {
        ((u32::from(*r) * 19_595 + u32::from(*g) * 38_470 + u32::from(*b) * 7_471 + 0x8000) >> 16) as u8
    };
    Image { channels: 1, pixels: red.iter().zip(green).zip(blue).map(luma).collect(), ..*image }
}

fn crop(image: &Image, left: u32, top: u32, side: u32) -> Image {
    let (left, top, side) = (left as usize, top as usize, side as usize);
    let mut pixels = Vec::with_capacity(image.channels * side * side);
    for plane in image.pixels.chunks_exact(image.width * image.height) {
        for line in plane.chunks_exact(image.width).skip(top).take(side) {
            pixels.extend_from_slice(&line[left..left + side]);
        }
    }
    Image { channels: image.channels, height: side, width: side, pixels }
}

impl Image {
    /// The image, made smaller if its longer side has more than `side` pixels; proportions are kept.
    pub fn within(&self, side: usize) -> Image {
        let longer = self.width.max(self.height);
        if longer <= side {
            return self.clone();
        }
        let scaled = |length: usize| (length * side).div_ceil(longer).max(1) as u32;
        resize(self.clone(), scaled(self.width), scaled(self.height), Interpolation::Bilinear)
    }
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

    fn how(resize: Option<u32>, crop: Option<u32>) -> Preprocess {
        Preprocess { resize, crop, ..Preprocess::default() }
    }

    #[test]
    fn a_small_image_stays_and_a_large_one_shrinks_in_proportion() {
        let image = |channels: usize, height: usize, width: usize| {
            let pixels = (0..channels * height * width).map(|place| (place * 7 % 256) as u8).collect();
            Image { channels, height, width, pixels }
        };
        assert_eq!(image(3, 32, 48).within(48), image(3, 32, 48));
        let small = image(3, 100, 200).within(48);
        assert_eq!((small.channels, small.height, small.width), (3, 24, 48));
        assert_eq!(image(3, 1, 300).within(48).height, 1);
        let grey = Image { pixels: vec![90; 64 * 64], ..image(1, 64, 64) }.within(48);
        assert_eq!(grey, Image { channels: 1, height: 48, width: 48, pixels: vec![90; 48 * 48] });
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
            let (width_now, height_now) = (width as usize, height as usize);
            let image = Image { channels: 1, height: height_now, width: width_now, pixels: vec![0; width_now * height_now] };
            let result = preprocess(image, &how).map(|image| (image.width as u32, image.height as u32));
            prop_assert_eq!(result, output_size(&how, width, height));
        }
    }
}
