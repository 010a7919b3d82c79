//! Colours whose three values vary independently in natural images, and back: the transform that Lucid (Olah et al. 2017,
//! <https://distill.pub/2017/feature-visualization>) takes from ImageNet's colour covariance, divided by its largest column norm.

use tch::{Device, Kind, Tensor};

/// Decorrelated values to colours before the sigmoid; the rows are red, green and blue.
const TO_COLOUR: [f64; 9] = [0.562829, 0.194825, 0.043295, 0.584476, 0.0, -0.108236, 0.584476, -0.194825, 0.064942];

/// The inverse.
const FROM_COLOUR: [f64; 9] =
    [0.577440, 0.577440, 0.577440, 2.771714, -0.307968, -2.361090, 3.118179, -6.120869, 3.118179];

/// The two transforms for images of so many channels.
pub struct Colours {
    to: Option<Tensor>,
    from: Option<Tensor>,
}

impl Colours {
    /// Those of RGB images; other images keep their values.
    pub fn new(channels: i64, device: Device) -> Self {
        let matrix = |values: &[f64; 9]| Tensor::from_slice(values).view([3, 3]).to_kind(Kind::Float).to_device(device);
        match channels {
            3 => Colours { to: Some(matrix(&TO_COLOUR)), from: Some(matrix(&FROM_COLOUR)) },
            _ => Colours { to: None, from: None },
        }
    }

    /// Decorrelated values `[R, C, H, W]` to colours before the sigmoid.
    pub fn correlate(&self, values: &Tensor) -> Tensor {
        mix(values, self.to.as_ref())
    }

    /// The inverse of [`Colours::correlate`].
    pub fn decorrelate(&self, values: &Tensor) -> Tensor {
        mix(values, self.from.as_ref())
    }
}

fn mix(values: &Tensor, matrix: Option<&Tensor>) -> Tensor {
    let Some(matrix) = matrix else { return values.shallow_clone() };
    let size = values.size();
    let planes = values.flatten(2, -1);
    matrix.unsqueeze(0).expand([size[0], 3, 3], false).bmm(&planes).view(size.as_slice())
}

/// The inverse of the sigmoid, for images in [0, 1] whose extremes are moved in by a thousandth.
pub fn logit(image: &Tensor) -> Tensor {
    let inside = image.clamp(1e-3, 1.0 - 1e-3);
    let rest: Tensor = inside.neg() + 1.0;
    (&inside / rest).log()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transforms_are_inverse() {
        let colours = Colours::new(3, Device::Cpu);
        let values = Tensor::linspace(-2.0, 2.0, 2 * 3 * 5 * 7, (Kind::Float, Device::Cpu)).view([2, 3, 5, 7]).sin();
        let there_and_back = colours.decorrelate(&colours.correlate(&values));
        assert!((there_and_back - &values).abs().max().double_value(&[]) < 1e-5);
        let back_and_there = colours.correlate(&colours.decorrelate(&values));
        assert!((back_and_there - &values).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn the_first_value_is_brightness() {
        let one = Tensor::from_slice(&[1.0f32, 0.0, 0.0]).view([1, 3, 1, 1]);
        let colour = Vec::<f32>::try_from(Colours::new(3, Device::Cpu).correlate(&one).flatten(0, -1)).unwrap();
        assert!(colour.iter().all(|value| (value - 0.577).abs() < 0.02), "{colour:?}");
        let grey = Tensor::zeros([1, 1, 2, 2], (Kind::Float, Device::Cpu));
        assert_eq!(Colours::new(1, Device::Cpu).correlate(&grey).size(), [1, 1, 2, 2]);
    }

    #[test]
    fn the_logit_undoes_the_sigmoid() {
        let image = Tensor::linspace(0.0, 1.0, 256, (Kind::Float, Device::Cpu));
        assert!((logit(&image).sigmoid() - &image).abs().max().double_value(&[]) < 1.01e-3);
    }
}
