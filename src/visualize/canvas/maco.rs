//! Phases under fixed magnitudes (MACO, Fel et al. 2023, <https://arxiv.org/abs/2306.06805>): pictures keep the spectrum of natural images,
//! so that no high frequency can take over.

use tch::{Device, Kind, Tensor};

use super::spectrum::{frequencies, to_plane, to_spectrum};
use super::{Canvas, normal};
use crate::random::Noise;
use crate::visualize::colour::{Colours, logit};

/// Where variances may vanish.
const FLOOR: f64 = 1e-5;

/// Parameters `[R, C, H, W / 2 + 1]`, the phases.
pub struct Maco {
    size: [i64; 3],
    /// `[C, H, W / 2 + 1]`; their common factor does not count.
    magnitudes: Tensor,
    colours: Colours,
    device: Device,
}

impl Maco {
    /// Magnitudes by a formula that follows the mean spectrum of ImageNet's resized images, in decorrelated colours:
    /// `f^-1.15 exp(-4.3 f)` up to 0.48 cycles per pixel.
    pub fn analytic(size: [i64; 3], device: Device) -> Self {
        let [channels, height, width] = size;
        let frequency = frequencies(height, width, device);
        let inside = frequency.clamp_min(1.0 / height.max(width) as f64);
        let falling = inside.pow_tensor_scalar(-1.15) * (inside * -4.3).exp();
        let magnitude = falling * frequency.le(0.48).to_kind(Kind::Float);
        Maco::new(size, magnitude.unsqueeze(0).expand([channels, -1, -1], false), device)
    }

    fn new(size: [i64; 3], magnitudes: Tensor, device: Device) -> Self {
        Maco { size, magnitudes, colours: Colours::new(size[0], device), device }
    }
}

/// Each row with mean 0 and deviation 1.
fn standardized(values: &Tensor) -> Tensor {
    let dims: Vec<i64> = (1..values.dim() as i64).collect();
    let centred = values - values.mean_dim(dims.as_slice(), true, None);
    let deviation = centred.square().mean_dim(dims.as_slice(), true, None).sqrt();
    centred / (deviation + FLOOR)
}

impl Canvas for Maco {
    fn start(&self, noise: &Noise, keys: &[String]) -> Tensor {
        let [channels, height, width] = self.size;
        normal(noise, keys, &[channels, height, width / 2 + 1], self.device)
    }

    fn invert(&self, images: &Tensor) -> Tensor {
        to_spectrum(&self.colours.decorrelate(&logit(images))).angle()
    }

    fn image(&self, parameters: &Tensor) -> Tensor {
        let [_, height, width] = self.size;
        let phase = standardized(parameters);
        let spectrum = Tensor::complex(&(phase.cos() * &self.magnitudes), &(phase.sin() * &self.magnitudes));
        let values = standardized(&to_plane(&spectrum, [height, width]));
        self.colours.correlate(&values).sigmoid()
    }
}
