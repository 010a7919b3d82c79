//! Pillow's 8-bit resampling, bit for bit (`src/libImaging/Resample.c`), which torchvision's `Resize` uses on PIL images.
//!
//! Two passes of convolution, rows first, with an 8-bit image between them and weights in 22-bit fixed point. When
//! shrinking, the filter widens by the scale, which is what torchvision calls antialiasing.

use super::Image;
use crate::suite::Interpolation;

/// Fractional bits of the weights.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes to `width` x `height`, both at least 1. An axis that keeps its length is not filtered.
pub(super) fn resize(mut image: Image, width: u32, height: u32, interpolation: Interpolation) -> Image {
    let (to_width, to_height) = (width as usize, height as usize);
    if interpolation == Interpolation::Nearest {
        return pick(&image, to_width, to_height);
    }
    if image.width != to_width {
        let taps = taps(image.width, to_width, interpolation);
        image = convolve_rows(&image, &taps);
    }
    if image.height != to_height {
        let taps = taps(image.height, to_height, interpolation);
        image = convolve_columns(&image, &taps);
    }
    image
}

/// The pixel under the centre of each new one (`src/libImaging/Geometry.c`, `ImagingScaleAffine`).
fn pick(image: &Image, width: usize, height: usize) -> Image {
    // As Pillow does, the places are summed up, with what rounding errors that brings.
    let places = |from: usize, to: usize| -> Vec<usize> {
        let scale = from as f64 / to as f64;
        let mut place = scale * 0.5;
        std::iter::repeat_with(|| {
            let at = (place as usize).min(from - 1);
            place += scale;
            at
        })
        .take(to)
        .collect()
    };
    let (columns, rows) = (places(image.width, width), places(image.height, height));
    let mut pixels = Vec::with_capacity(image.channels * width * height);
    for plane in image.pixels.chunks_exact(image.width * image.height) {
        for row in &rows {
            let line = &plane[row * image.width..(row + 1) * image.width];
            pixels.extend(columns.iter().map(|column| line[*column]));
        }
    }
    Image { channels: image.channels, height, width, pixels }
}

/// The weights of one output value, for the input values from `first` on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn filter(interpolation: Interpolation, x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match interpolation {
        Interpolation::Bilinear if x < 1.0 => 1.0 - x,
        Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Interpolation::Nearest | Interpolation::Bilinear | Interpolation::Bicubic => 0.0,
    }
}

fn taps(from: usize, to: usize, interpolation: Interpolation) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let support = widening
        * match interpolation {
            Interpolation::Nearest => 0.0,
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        };
    (0..to)
        .map(|place| {
            let centre = (place as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let shares: Vec<f64> =
                (first..end).map(|at| filter(interpolation, (at as f64 - centre + 0.5) * (1.0 / widening))).collect();
            let sum: f64 = shares.iter().sum();
            let fixed = |share: &f64| {
                let scaled = if sum == 0.0 { *share } else { share / sum } * f64::from(1 << PRECISION);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            };
            Taps { first, weights: shares.iter().map(fixed).collect() }
        })
        .collect()
}

fn round(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

fn convolve_rows(image: &Image, taps: &[Taps]) -> Image {
    let width = taps.len();
    let mut pixels = vec![0; image.channels * image.height * width];
    for (line, out) in image.pixels.chunks_exact(image.width).zip(pixels.chunks_exact_mut(width)) {
        for (value, taps) in out.iter_mut().zip(taps) {
            let near = &line[taps.first..taps.first + taps.weights.len()];
            let sum: i32 = near.iter().zip(&taps.weights).map(|(near, weight)| i32::from(*near) * weight).sum();
            *value = round(HALF + sum);
        }
    }
    Image { channels: image.channels, height: image.height, width, pixels }
}

fn convolve_columns(image: &Image, taps: &[Taps]) -> Image {
    let (width, height) = (image.width, taps.len());
    let mut pixels = vec![0; image.channels * height * width];
    let mut sums = vec![HALF; width];
    let planes = image.pixels.chunks_exact(width * image.height).zip(pixels.chunks_exact_mut(width * height));
    for (plane, out) in planes {
        for (out_line, taps) in out.chunks_exact_mut(width).zip(taps) {
            sums.fill(HALF);
            for (line, weight) in plane[width * taps.first..].chunks_exact(width).zip(&taps.weights) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out_line.iter_mut().zip(&sums).for_each(|(value, sum)| *value = round(*sum));
        }
    }
    Image { channels: image.channels, height, width, pixels }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_flat_image_stays_flat(
            value in any::<u8>(), width in 1usize..40, height in 1usize..40, to_width in 1u32..40, to_height in 1u32..40,
            channels in 1usize..4, filter in 0usize..3,
        ) {
            let interpolation = [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Nearest][filter];
            let image = Image { channels, height, width, pixels: vec![value; channels * height * width] };
            let out = resize(image, to_width, to_height, interpolation);
            prop_assert_eq!((out.channels, out.width, out.height), (channels, to_width as usize, to_height as usize));
            prop_assert_eq!(out.pixels.len(), channels * out.width * out.height);
            prop_assert!(out.pixels.iter().all(|v| v.abs_diff(value) <= 1));
        }

        #[test]
        fn each_plane_is_resized_alone(
            pixels in proptest::collection::vec(any::<u8>(), 3 * 7 * 5), to_width in 1u32..20, to_height in 1u32..20,
            filter in 0usize..3,
        ) {
            let interpolation = [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Nearest][filter];
            let planes: Vec<u8> = pixels
                .chunks(35)
                .flat_map(|plane| {
                    let image = Image { channels: 1, height: 7, width: 5, pixels: plane.to_vec() };
                    resize(image, to_width, to_height, interpolation).pixels
                })
                .collect();
            let image = Image { channels: 3, height: 7, width: 5, pixels };
            prop_assert_eq!(resize(image, to_width, to_height, interpolation).pixels, planes);
        }
    }

    #[test]
    fn halving_a_row_weighs_four_neighbours_by_a_triangle() {
        let image = Image { channels: 1, height: 1, width: 4, pixels: vec![0, 80, 160, 240] };
        // Weights 3, 3, 1 of 7 at the border; the fourth neighbour lies outside.
        assert_eq!(resize(image, 2, 1, Interpolation::Bilinear).pixels, [57, 183]);
    }
}
