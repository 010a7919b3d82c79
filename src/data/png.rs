//! Images to PNG files in memory.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::Image;

impl Image {
    /// An image from planar values (CHW) in [0, 1], rounded to 8 bits; what lies outside is clipped, NaN becomes 0.
    ///
    /// # Panics
    /// If `values` does not have `channels * height * width` elements.
    pub fn from_unit(channels: usize, height: usize, width: usize, values: &[f32]) -> Self {
        assert_eq!(values.len(), channels * height * width, "values of a {channels}x{height}x{width} image");
        let pixels = values.iter().map(|value| (value * 255.0).round_ties_even() as u8).collect();
        Image { channels, height, width, pixels }
    }

    /// The image as a PNG file: RGB if it has 3 channels, grey-scale if it has 1.
    ///
    /// # Panics
    /// If `pixels` does not have `channels * height * width` elements, there are none, or `channels` is neither 1 nor 3.
    pub fn to_png(&self) -> Vec<u8> {
        assert_eq!(self.pixels.len(), self.channels * self.height * self.width, "pixels of a {self:?}");
        let color = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            other => panic!("an image has 1 or 3 channels, not {other}"),
        };
        let plane = self.height * self.width;
        let interleaved: Vec<u8> = (0..plane)
            .flat_map(|place| (0..self.channels).map(move |channel| self.pixels[channel * plane + place]))
            .collect();
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&interleaved, self.width as u32, self.height as u32, color)
            .expect("a vector takes any number of bytes");
        png
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::decode::decode;

    #[test]
    fn a_png_reads_back_as_the_same_image() {
        let pixels: Vec<u8> = (0..3 * 5 * 7).map(|value| (value * 11 % 256) as u8).collect();
        let image = Image { channels: 3, height: 5, width: 7, pixels };
        assert_eq!(decode(&image.to_png(), Path::new("png")).unwrap(), image);
        let grey = Image { channels: 1, height: 1, width: 2, pixels: vec![3, 250] };
        assert_eq!(decode(&grey.to_png(), Path::new("png")).unwrap().pixels, [3, 250, 3, 250, 3, 250]);
    }

    #[test]
    fn values_are_rounded_and_clipped() {
        let values = [-1.0, 0.0, 0.499 / 255.0, 0.501 / 255.0, 1.0, 7.0, f32::NAN, f32::INFINITY];
        assert_eq!(Image::from_unit(1, 2, 4, &values).pixels, [0, 0, 0, 1, 255, 255, 0, 255]);
        let all: Vec<f32> = (0..=255).map(|level| level as f32 / 255.0).collect();
        assert!(Image::from_unit(1, 1, 256, &all).pixels.iter().enumerate().all(|(i, v)| i == usize::from(*v)));
    }
}
