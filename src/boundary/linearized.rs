//! The first-order estimate of the boundary distance.

use tch::{Kind, Tensor};

use crate::engine::floats;
use crate::model::Model;
use crate::terms::Norm;

/// Classes beside the predicted one that are looked at: the most likely ones.
const CLASSES: i64 = 10;

/// Smallest over classes k of `(z_y - z_k) / |grad (z_y - z_k)|_q` for each image `[N, C, H, W]`, with y the prediction and q the dual
/// of `norm` (Hein and Andriushchenko 2017): exact for linear models. Infinite where all gradients are zero. Also the number
/// of backward passes of each image.
pub fn linearized(model: &Model, images: &Tensor, norm: Norm) -> (Vec<f64>, u32) {
    let pixels = images.detach().set_requires_grad(true);
    let logits = model.logits(&pixels);
    let (values, classes) = logits.topk(CLASSES.min(model.classes), -1, true, true);
    let mut best = Tensor::full([images.size()[0]], f64::INFINITY, (Kind::Float, images.device()));
    let others = classes.size()[1] - 1;
    for rank in 1..=others {
        let margin = values.select(1, 0) - values.select(1, rank);
        let keep = rank < others;
        let gradient = Tensor::run_backward(&[margin.sum(Kind::Float)], &[&pixels], keep, false).remove(0);
        let flat = gradient.flatten(1, -1);
        let dual = match norm {
            Norm::Linf => flat.abs().sum_dim_intlist([1i64].as_slice(), false, Kind::Float),
            Norm::L2 => flat.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).sqrt(),
            Norm::L1 => flat.abs().amax([1i64].as_slice(), false),
        };
        best = best.minimum(&(margin.detach() / dual).nan_to_num(f64::INFINITY, f64::INFINITY, f64::INFINITY));
    }
    (floats(&best).into_iter().map(f64::from).collect(), others.max(0) as u32)
}
