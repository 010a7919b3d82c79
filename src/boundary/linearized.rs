//! The first-order estimate of the boundary distance.

use tch::Tensor;

use crate::model::Model;
use crate::objective::class_distances;
use crate::terms::Norm;

/// Smallest over classes k of `(z_y - z_k) / |grad (z_y - z_k)|_q` for each image `[N, C, H, W]`, with y the prediction and q the dual
/// of `norm` (Hein and Andriushchenko 2017): exact for linear models. Infinite where all gradients are zero. Also the number
/// of backward passes of each image. Works in chunks of at most `chunk` images.
pub fn linearized(model: &Model, images: &Tensor, norm: Norm, chunk: usize) -> (Vec<f64>, u32) {
    let (distances, passes) = class_distances(model, images, norm, chunk);
    (distances.iter().map(|known| known.first().map_or(f64::INFINITY, |(_, distance)| *distance)).collect(), passes)
}
