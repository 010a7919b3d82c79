//! The first-order estimate of the boundary distance.

use tch::{Kind, Tensor};

use crate::model::Model;
use crate::optimizer::gradient;
use crate::region::shape;
use crate::rows::floats;
use crate::suite::LINEARIZED_CLASSES;
use crate::terms::Norm;

/// Smallest over classes k of `(z_y - z_k) / |grad (z_y - z_k)|_q` for each image `[N, C, H, W]`, with y the prediction and q the dual
/// of `norm` (Hein and Andriushchenko 2017): exact for linear models. Infinite where all gradients are zero. Also the number
/// of backward passes of each image. Works in chunks of at most `chunk` images.
pub fn linearized(model: &Model, images: &Tensor, norm: Norm, chunk: usize) -> (Vec<f64>, u32) {
    let (mut distances, mut passes) = (Vec::new(), 0);
    let count = images.size()[0];
    for start in (0..count).step_by(chunk.max(1)) {
        let part = images.narrow(0, start, (chunk.max(1) as i64).min(count - start));
        let (part, taken) = linearized_chunk(model, &part, norm);
        distances.extend(part);
        passes = taken;
    }
    (distances, passes)
}

fn linearized_chunk(model: &Model, images: &Tensor, norm: Norm) -> (Vec<f64>, u32) {
    let pixels = images.detach().set_requires_grad(true);
    let logits = model.logits(&pixels);
    let (values, classes) = logits.topk((LINEARIZED_CLASSES as i64).min(model.classes), -1, true, true);
    let mut best = Tensor::full([images.size()[0]], f64::INFINITY, (Kind::Float, images.device()));
    let others = classes.size()[1] - 1;
    for rank in 1..=others {
        let margin = values.select(1, 0) - values.select(1, rank);
        let dual = shape(norm).dual(&gradient(&margin, &pixels, rank < others)).flatten(0, -1);
        best = best.minimum(&(margin.detach() / dual).nan_to_num(f64::INFINITY, f64::INFINITY, f64::INFINITY));
    }
    (floats(&best).into_iter().map(f64::from).collect(), others.max(0) as u32)
}
