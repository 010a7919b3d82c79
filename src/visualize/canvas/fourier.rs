//! Spectra with decorrelated colours (Olah et al. 2017): steps of equal size change all frequencies as natural images vary in them.

use tch::{Device, Tensor};

use super::spectrum::{damping, to_plane, to_spectrum};
use super::{Canvas, normal};
use crate::random::Noise;
use crate::visualize::colour::{Colours, logit};

/// Deviation of the first parameters: the first picture is almost grey.
const DEVIATION: f64 = 0.01;

/// Lucid's divisor, by which learning rates keep their usual meaning.
const CONTRAST: f64 = 4.0;

/// Parameters `[R, C, H, W / 2 + 1, 2]`, real and imaginary parts.
pub struct Fourier {
    size: [i64; 3],
    /// What each frequency is multiplied by `[H, W / 2 + 1]`.
    scale: Tensor,
    colours: Colours,
    device: Device,
}

impl Fourier {
    /// Images of `size` (channels, rows, columns), whose frequencies are damped by `f^-decay`.
    pub fn new(size: [i64; 3], decay: f64, device: Device) -> Self {
        let [channels, height, width] = size;
        let scale = damping(height, width, decay, device) / CONTRAST;
        Fourier { size, scale, colours: Colours::new(channels, device), device }
    }
}

impl Canvas for Fourier {
    fn start(&self, noise: &Noise, keys: &[String]) -> Tensor {
        let [channels, height, width] = self.size;
        normal(noise, keys, &[channels, height, width / 2 + 1, 2], self.device) * DEVIATION
    }

    fn invert(&self, images: &Tensor) -> Tensor {
        let values = self.colours.decorrelate(&logit(images));
        to_spectrum(&values).view_as_real() / self.scale.unsqueeze(-1)
    }

    fn image(&self, parameters: &Tensor) -> Tensor {
        let [_, height, width] = self.size;
        let spectrum = (parameters * self.scale.unsqueeze(-1)).view_as_complex();
        let values = to_plane(&spectrum, [height, width]);
        self.colours.correlate(&values).sigmoid()
    }
}
