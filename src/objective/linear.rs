//! Distances to each class to first order.

use tch::Tensor;

use crate::model::Model;
use crate::optimizer::gradient;
use crate::region::shape;
use crate::rows::{floats, integers};
use crate::suite::LINEARIZED_CLASSES;
use crate::terms::Norm;

/// For each image `[N, C, H, W]` the likeliest other classes with `(z_y - z_k) / |grad (z_y - z_k)|_q`, y being the prediction and q the
/// dual of `norm` (Hein and Andriushchenko 2017): the nearest class first, infinite where the gradient is zero. Exact for linear models
/// that the box does not limit. Also the number of backward passes of each image. Works in chunks of at most `chunk` images.
pub fn class_distances(model: &Model, images: &Tensor, norm: Norm, chunk: usize) -> (Vec<Vec<(i64, f64)>>, u32) {
    let (mut distances, mut passes) = (Vec::new(), 0);
    let (count, chunk) = (images.size()[0], chunk.max(1) as i64);
    for start in (0..count).step_by(chunk as usize) {
        let part = images.narrow(0, start, chunk.min(count - start));
        let (part, taken) = of_chunk(model, &part, norm);
        distances.extend(part);
        passes = taken;
    }
    (distances, passes)
}

fn of_chunk(model: &Model, images: &Tensor, norm: Norm) -> (Vec<Vec<(i64, f64)>>, u32) {
    let pixels = images.detach().set_requires_grad(true);
    let logits = model.logits(&pixels);
    let (values, classes) = logits.topk((LINEARIZED_CLASSES as i64).min(model.classes), -1, true, true);
    let others = classes.size()[1] - 1;
    let mut known: Vec<Vec<(i64, f64)>> = (0..images.size()[0]).map(|_| Vec::new()).collect();
    for rank in 1..=others {
        let margin = values.select(1, 0) - values.select(1, rank);
        let dual = shape(norm).dual(&gradient(&margin, &pixels, rank < others)).flatten(0, -1);
        let distance = (margin.detach() / dual).nan_to_num(f64::INFINITY, f64::INFINITY, f64::INFINITY);
        for ((known, class), distance) in
            known.iter_mut().zip(integers(&classes.select(1, rank))).zip(floats(&distance))
        {
            known.push((class, f64::from(distance)));
        }
    }
    // Stable: of equally near classes the likelier comes first.
    known.iter_mut().for_each(|known| known.sort_by(|(_, a), (_, b)| a.total_cmp(b)));
    (known, others.max(0) as u32)
}
