//! Real images and their spectra.

use tch::{Device, Kind, Tensor};

/// The frequency of each value of a half spectrum `[H, W / 2 + 1]`, in cycles per pixel.
pub fn frequencies(height: i64, width: i64, device: Device) -> Tensor {
    let rows = Tensor::fft_fftfreq(height, 1.0, (Kind::Float, device)).unsqueeze(1);
    let columns = Tensor::fft_rfftfreq(width, 1.0, (Kind::Float, device)).unsqueeze(0);
    (rows.square() + columns.square()).sqrt()
}

/// `max(f, lowest)^-decay`, where the lowest frequency is one cycle per longer side; `[H, W / 2 + 1]`.
pub fn damping(height: i64, width: i64, decay: f64, device: Device) -> Tensor {
    let lowest = 1.0 / height.max(width) as f64;
    frequencies(height, width, device).clamp_min(lowest).pow_tensor_scalar(-decay)
}

/// Complex half spectra `[.., H, W / 2 + 1]` to real values `[.., H, W]`; lengths are kept.
pub fn to_plane(spectrum: &Tensor, size: [i64; 2]) -> Tensor {
    spectrum.fft_irfft2(size.as_slice(), [-2i64, -1].as_slice(), "ortho")
}

/// The inverse of [`to_plane`].
pub fn to_spectrum(plane: &Tensor) -> Tensor {
    plane.fft_rfft2(None::<&[i64]>, [-2i64, -1].as_slice(), "ortho")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy's `fftfreq(rows)[:, None]` and `rfftfreq(columns)[None]`, as numpy's documentation defines them.
    fn numpy(rows: usize, columns: usize) -> Vec<f64> {
        let signed = |index: usize, count: usize| {
            let index = index as f64;
            if index < (count as f64 / 2.0).ceil() { index / count as f64 } else { index / count as f64 - 1.0 }
        };
        (0..rows)
            .flat_map(|y| {
                (0..=columns / 2).map(move |x| (signed(y, rows).powi(2) + (x as f64 / columns as f64).powi(2)).sqrt())
            })
            .collect()
    }

    #[test]
    fn frequencies_are_numpys_for_even_and_odd_sizes() {
        for (height, width) in [(4, 6), (5, 7), (8, 3), (1, 5), (7, 2)] {
            let found = frequencies(height, width, Device::Cpu);
            assert_eq!(found.size(), [height, width / 2 + 1]);
            let found = Vec::<f32>::try_from(found.flatten(0, -1)).unwrap();
            for (found, expected) in found.iter().zip(numpy(height as usize, width as usize)) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{height}x{width}: {found} {expected}");
            }
        }
        // numpy.fft.fftfreq(5) and rfftfreq(5) along the axes.
        let found = frequencies(5, 5, Device::Cpu);
        let column = Vec::<f32>::try_from(found.select(1, 0)).unwrap();
        assert!(column.iter().zip([0.0, 0.2, 0.4, 0.4, 0.2]).all(|(a, b)| (a - b).abs() < 1e-6), "{column:?}");
    }

    #[test]
    fn spectra_of_any_size_give_their_plane_back() {
        for (height, width) in [(6, 8), (5, 7), (1, 4), (3, 1)] {
            let count = height * width;
            let plane = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin().view([1, height, width]);
            let back = to_plane(&to_spectrum(&plane), [height, width]);
            assert!((back - plane).abs().max().double_value(&[]) < 1e-5, "{height}x{width}");
        }
    }

    #[test]
    fn the_mean_is_damped_like_the_lowest_frequency() {
        let scale = damping(4, 8, 1.0, Device::Cpu);
        assert_eq!((scale.double_value(&[0, 0]), scale.double_value(&[0, 1])), (8.0, 8.0));
        assert!((scale.double_value(&[2, 4]) - 2f64.sqrt()).abs() < 1e-6);
    }
}
