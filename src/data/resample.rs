//! Pillow's 8-bit resampling, bit for bit (`src/libImaging/Resample.c`), which torchvision's `Resize` uses on PIL images.
//!
//! Two passes of convolution, rows first, with an 8-bit image between them and weights in 22-bit fixed point. When
//! shrinking, the filter widens by the scale, which is what torchvision calls antialiasing.

use image::RgbImage;

use crate::suite::Interpolation;

/// Fractional bits of the weights.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes to `width` x `height`, both at least 1. An axis that keeps its length is not filtered.
pub(super) fn resize(image: &RgbImage, width: u32, height: u32, interpolation: Interpolation) -> RgbImage {
    let mut image = image.clone();
    if image.width() != width {
        let taps = taps(image.width(), width, interpolation);
        image = convolve_rows(&image, &taps);
    }
    if image.height() != height {
        let taps = taps(image.height(), height, interpolation);
        image = convolve_columns(&image, &taps);
    }
    image
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
        _ => 0.0,
    }
}

fn taps(from: u32, to: u32, interpolation: Interpolation) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let widening = scale.max(1.0);
    let support = widening
        * match interpolation {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        };
    (0..to)
        .map(|place| {
            let centre = (f64::from(place) + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from as usize);
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

fn convolve_rows(image: &RgbImage, taps: &[Taps]) -> RgbImage {
    let mut out = RgbImage::new(taps.len() as u32, image.height());
    let row_bytes = 3 * image.width() as usize;
    let lines = image.as_raw().chunks_exact(row_bytes).zip(out.chunks_exact_mut(3 * taps.len()));
    for (line, out_line) in lines {
        for (pixel, taps) in out_line.chunks_exact_mut(3).zip(taps) {
            let mut sums = [HALF; 3];
            for (near, weight) in line[3 * taps.first..].chunks_exact(3).zip(&taps.weights) {
                for (sum, value) in sums.iter_mut().zip(near) {
                    *sum += i32::from(*value) * weight;
                }
            }
            pixel.iter_mut().zip(sums).for_each(|(value, sum)| *value = round(sum));
        }
    }
    out
}

fn convolve_columns(image: &RgbImage, taps: &[Taps]) -> RgbImage {
    let mut out = RgbImage::new(image.width(), taps.len() as u32);
    let row_bytes = 3 * image.width() as usize;
    let mut sums = vec![HALF; row_bytes];
    for (out_line, taps) in out.chunks_exact_mut(row_bytes).zip(taps) {
        sums.fill(HALF);
        for (line, weight) in image.as_raw()[row_bytes * taps.first..].chunks_exact(row_bytes).zip(&taps.weights) {
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += i32::from(*value) * weight;
            }
        }
        out_line.iter_mut().zip(&sums).for_each(|(value, sum)| *value = round(*sum));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_flat_image_stays_flat(
            value in any::<u8>(), width in 1u32..40, height in 1u32..40, to_width in 1u32..40, to_height in 1u32..40,
            cubic in any::<bool>(),
        ) {
            let interpolation = if cubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
            let image = RgbImage::from_pixel(width, height, image::Rgb([value; 3]));
            let out = resize(&image, to_width, to_height, interpolation);
            prop_assert_eq!((out.width(), out.height()), (to_width, to_height));
            prop_assert!(out.iter().all(|v| v.abs_diff(value) <= 1));
        }
    }

    #[test]
    fn halving_a_row_weighs_four_neighbours_by_a_triangle() {
        let image = RgbImage::from_fn(4, 1, |x, _| image::Rgb([[0, 80, 160, 240][x as usize]; 3]));
        let out = resize(&image, 2, 1, Interpolation::Bilinear);
        // Weights 3, 3, 1 of 7 at the border; the fourth neighbour lies outside.
        assert_eq!(out.as_raw()[..], [57, 57, 57, 183, 183, 183]);
    }
}
