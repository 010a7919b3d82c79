//! What keeps pictures smooth, or near an image. Each is scaled so that its gradient has a length of about 1 in a noisy picture, whatever
//! the size; weights then compare with the length of the objective's gradient.

use std::cell::LazyCell;

use tch::{Kind, Tensor};

use crate::suite::Penalties;

/// A change of this many units of the range, on average, counts as length 1 for what keeps pictures near an image.
const NEAR: f64 = 0.1;

/// The penalty `[R]` of images `[R, C, H, W]`, which are made only where something is weighed; `origin` are the images they began at.
pub fn penalty(weights: &Penalties, images: impl FnOnce() -> Tensor, origin: Option<&Tensor>) -> Option<Tensor> {
    let images = LazyCell::new(images);
    let root = || (images.size()[1..].iter().product::<i64>() as f64).sqrt();
    let mut sum: Option<Tensor> = None;
    let mut add = |weight: f64, value: &dyn Fn() -> Tensor| {
        if weight > 0.0 {
            let value = value() * weight;
            sum = Some(match sum.take() {
                Some(sum) => sum + value,
                None => value,
            });
        }
    };
    add(weights.tv, &|| total_variation(&images) / (2.0 * root()));
    add(weights.l2, &|| length(&(&*images - 0.5)));
    add(weights.blur, &|| length(&(&*images - blurred(&images).detach())));
    if let Some(origin) = origin {
        add(weights.keep, &|| {
            (&*images - origin).square().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float) / (2.0 * root() * NEAR)
        });
    }
    sum
}

/// The sum of differences between neighbours, down and to the right, `[R]`.
pub fn total_variation(images: &Tensor) -> Tensor {
    let along = |dim: i64| {
        let last = images.size()[dim as usize] - 1;
        let difference = images.narrow(dim, 1, last) - images.narrow(dim, 0, last);
        difference.abs().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float)
    };
    along(2) + along(3)
}

/// The length of each row; its gradient exists at 0 too.
fn length(values: &Tensor) -> Tensor {
    (values.square().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float) + 1e-6).sqrt()
}

/// The mean of each pixel and its neighbours.
fn blurred(images: &Tensor) -> Tensor {
    images.avg_pool2d([3i64, 3], [1i64, 1], [1i64, 1], false, false, None::<i64>)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn gradients_of_a_noisy_picture_have_about_the_length_of_their_weight() {
        for side in [32, 96] {
            let noise = crate::random::Noise::new(3, "penalty").uniform("image", 3 * side * side);
            let side = side as i64;
            let image = Tensor::from_slice(&noise).view([1, 3, side, side]) * 0.2 + 0.5;
            let origin = Tensor::full([1, 3, side, side], 0.5, (Kind::Float, Device::Cpu));
            let none = Penalties::default();
            for weights in [
                Penalties { tv: 1.0, ..none },
                Penalties { l2: 1.0, ..none },
                Penalties { blur: 1.0, ..none },
                Penalties { keep: 1.0, ..none },
            ] {
                let image = image.copy().set_requires_grad(true);
                let value = penalty(&weights, || image.shallow_clone(), Some(&origin)).unwrap();
                let gradient = Tensor::run_backward(&[value.sum(Kind::Float)], &[&image], false, false).remove(0);
                let length = gradient.norm().double_value(&[]);
                assert!((0.6..1.7).contains(&length), "{weights:?}: {length}");
            }
        }
        assert!(
            penalty(&Penalties::default(), || Tensor::zeros([1, 3, 4, 4], (Kind::Float, Device::Cpu)), None).is_none()
        );
    }

    #[test]
    fn total_variation_counts_steps_between_neighbours() {
        let image = Tensor::from_slice(&[0.0f32, 1.0, 0.0, 0.25]).view([1, 1, 2, 2]);
        assert_eq!(total_variation(&image).double_value(&[0]), 1.0 + 0.25 + 0.0 + 0.75);
    }
}
