//! What the parameters of pictures are. Every canvas has the row first and treats rows alone.

mod fourier;
mod maco;
mod pixel;
pub mod spectrum;

use tch::{Device, Tensor};

use crate::random::Noise;
use crate::suite::CanvasForm;

/// Turns parameters into images.
pub trait Canvas {
    /// Parameters of fresh pictures, one for each of `keys`, which name their random streams.
    fn start(&self, noise: &Noise, keys: &[String]) -> Tensor;

    /// Parameters whose images are nearest to `images` `[R, C, H, W]` in [0, 1].
    fn invert(&self, images: &Tensor) -> Tensor;

    /// The images `[R, C, H, W]` in [0, 1] of parameters `[R, ..]`; differentiable.
    fn image(&self, parameters: &Tensor) -> Tensor;

    /// Brings parameters back to where they may be after a step.
    fn settle(&self, parameters: Tensor) -> Tensor {
        parameters
    }
}

/// The canvas of a suite, for images of `size` (channels, rows, columns).
pub fn canvas(form: CanvasForm, size: [i64; 3], device: Device) -> Box<dyn Canvas> {
    match form {
        CanvasForm::Pixel => Box::new(pixel::Pixel::new(size, device)),
        CanvasForm::Fourier { decay } => Box::new(fourier::Fourier::new(size, decay, device)),
        CanvasForm::Maco => Box::new(maco::Maco::analytic(size, device)),
    }
}

/// Values `[R, ..shape]` drawn from the normal distribution, each row from its own stream.
fn normal(noise: &Noise, keys: &[String], shape: &[i64], device: Device) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = keys.iter().flat_map(|key| noise.normal(key, count as usize)).collect();
    let size: Vec<i64> = std::iter::once(keys.len() as i64).chain(shape.iter().copied()).collect();
    Tensor::from_slice(&values).view(size.as_slice()).to_device(device)
}

#[cfg(test)]
mod tests;
