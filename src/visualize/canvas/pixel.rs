//! The pixels themselves.

use tch::{Device, Tensor};

use super::{Canvas, normal};
use crate::random::Noise;

/// Deviation of the first picture from grey.
const DEVIATION: f64 = 0.01;

/// Images `[R, C, H, W]` as their own parameters.
pub struct Pixel {
    size: [i64; 3],
    device: Device,
}

impl Pixel {
    /// Images of `size` (channels, rows, columns).
    pub fn new(size: [i64; 3], device: Device) -> Self {
        Pixel { size, device }
    }
}

impl Canvas for Pixel {
    fn start(&self, noise: &Noise, keys: &[String]) -> Tensor {
        normal(noise, keys, &self.size, self.device) * DEVIATION + 0.5
    }

    fn invert(&self, images: &Tensor) -> Tensor {
        images.copy()
    }

    fn image(&self, parameters: &Tensor) -> Tensor {
        parameters.shallow_clone()
    }

    fn settle(&self, parameters: Tensor) -> Tensor {
        parameters.clamp(0.0, 1.0)
    }
}
