//! Pictures as files.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use tch::{Kind, Tensor};

use super::Painted;
use crate::data::Image;
use crate::suite::CanvasForm;

/// Values below and above these shares of all are clipped where a picture's contrast is its own choice.
const CLIPPED: [f64; 2] = [0.01, 0.99];

/// Importance above this share of all counts in full.
const IMPORTANT: f64 = 0.8;

/// The PNG file of a picture. Pictures of phases are stretched to the whole range, and what did not matter is transparent (Fel et al.
/// 2023); others are shown as they are.
pub fn png(painted: &Painted, form: CanvasForm) -> Vec<u8> {
    if form != CanvasForm::Maco {
        return plain(&painted.image).to_png();
    }
    let [low, high] = CLIPPED.map(|share| quantile(&painted.image, share));
    let stretched = (painted.image.clamp(low, high) - low) / (high - low).max(1e-6);
    let most = quantile(&painted.importance, IMPORTANT).max(f64::MIN_POSITIVE);
    let opacity = plain(&(painted.importance.clamp(0.0, most) / most).unsqueeze(0));
    with_opacity(&plain(&stretched), &opacity)
}

/// An image `[C, H, W]` of values in [0, 1] as 8-bit levels.
pub fn plain(image: &Tensor) -> Image {
    let size: Vec<usize> = image.size().iter().map(|&size| size as usize).collect();
    let values: Vec<f32> = Vec::try_from(image.to_kind(Kind::Float).contiguous().flatten(0, -1)).unwrap_or_default();
    Image::from_unit(size[0], size[1], size[2], &values)
}

/// The value below which `share` of all values lie.
fn quantile(values: &Tensor, share: f64) -> f64 {
    let (sorted, _) = values.to_kind(Kind::Float).flatten(0, -1).sort(0, false);
    let last = sorted.size()[0] - 1;
    sorted.double_value(&[(share * last as f64).round() as i64])
}

fn with_opacity(image: &Image, opacity: &Image) -> Vec<u8> {
    let plane = image.height * image.width;
    let mut bytes = Vec::with_capacity(plane * 4);
    for place in 0..plane {
        // A grey picture has its one plane three times.
        bytes.extend((0..3).map(|channel| image.pixels[channel.min(image.channels - 1) * plane + place]));
        bytes.push(opacity.pixels[place]);
    }
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, image.width as u32, image.height as u32, ExtendedColorType::Rgba8)
        .expect("a vector takes any number of bytes");
    png
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Unit;
    use crate::visualize::Subject;

    fn painted() -> Painted {
        let image = Tensor::linspace(0.4, 0.6, 3 * 4 * 5, (Kind::Float, tch::Device::Cpu)).view([3, 4, 5]);
        Painted {
            subject: Subject { unit: Unit::channel(0), seed: 0 },
            importance: Tensor::linspace(0.0, 1.0, 20, (Kind::Float, tch::Device::Cpu)).view([4, 5]),
            image,
            history: vec![],
            activation: 0.0,
            variation: 0.0,
            dead: false,
            broken: false,
        }
    }

    #[test]
    fn pixels_are_shown_as_they_are_and_phases_stretched() {
        let decoded = |form| image::load_from_memory(&png(&painted(), form)).unwrap();
        let pixels = decoded(CanvasForm::Pixel).to_rgb8();
        assert_eq!((pixels.width(), pixels.height()), (5, 4));
        assert_eq!(pixels.get_pixel(0, 0).0[0], 102);
        let phases = decoded(CanvasForm::Maco).to_rgba8();
        assert!(phases.get_pixel(0, 0).0[0] < 5 && phases.get_pixel(4, 3).0[2] > 250);
        assert_eq!((phases.get_pixel(0, 0).0[3], phases.get_pixel(4, 3).0[3]), (0, 255));
    }
}
