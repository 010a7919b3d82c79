//! Linear readouts of a layer, after LAFEAT (Yu, Gao and Xu 2021, <https://arxiv.org/abs/2104.09284>): what the network knows at a layer,
//! whatever it makes of it afterwards. Where later layers hide their gradient, a readout still shows the way.

use tch::{Kind, Tensor};

use super::{Anchor, Drive, Setup};
use crate::model::{Model, Tap};
use crate::objective::margin;
use crate::terms::LayerName;

/// Rows and columns to about which a layer's positions are averaged before they are read.
const GRID: i64 = 4;

/// Steps of the training, each over all images.
const EPOCHS: usize = 200;

/// Learning rate of the training, which falls to zero along half a cosine.
const RATE: f64 = 0.05;

/// Pull of the weights towards zero.
const DECAY: f64 = 1e-3;

/// Logits `[R, K]` that are linear in a layer's features, averaged to a small grid and scaled to mean 0 and deviation 1.
pub struct Readout {
    /// `[D, K]`.
    weight: Tensor,
    /// `[K]`.
    bias: Tensor,
    /// Mean and deviation of each value `[D]`.
    mean: Tensor,
    deviation: Tensor,
}

/// A readout with the place it was trained at.
pub struct Trained {
    /// The layer.
    pub layer: LayerName,
    /// The readout.
    pub readout: std::rc::Rc<Readout>,
    /// Share of the images it was trained on whose prediction it tells, which are other images than those of the run where there are any.
    pub agrees: f64,
}

/// What is read of features: `[R, D]`.
fn read(features: &Tensor) -> Tensor {
    let wide = features.to_kind(Kind::Float);
    match *wide.size() {
        [_, _, height, width] if height > GRID || width > GRID => {
            let window = [(height / GRID).max(1), (width / GRID).max(1)];
            wide.avg_pool2d(window, window, [0, 0], false, true, None::<i64>).flatten(1, -1)
        }
        // The first token (mostly the class token) and the mean of the others.
        [_, tokens, _] if tokens > 1 => {
            let others = wide.slice(1, 1, None, 1).mean_dim([1i64].as_slice(), false, Kind::Float);
            Tensor::cat(&[wide.select(1, 0), others], 1)
        }
        _ => wide.flatten(1, -1),
    }
}

impl Readout {
    /// Trains a readout of `layer` to say what the model itself says of `batches` of images `[N, C, H, W]`, by full-batch Adam on
    /// cross-entropy. The same images give the same readout. Also the share of images on which they agree.
    ///
    /// # Panics
    /// If there is no such layer, or no image.
    pub fn train(model: &Model, layer: &LayerName, batches: &[Tensor]) -> (Readout, f64) {
        let parts: Vec<(Tensor, Tensor)> =
            batches.iter().map(|batch| features_and_predictions(model, layer, batch)).collect();
        let cat = |part: fn(&(Tensor, Tensor)) -> &Tensor| Tensor::cat(&parts.iter().map(part).collect::<Vec<_>>(), 0);
        let (values, classes) = (cat(|part| &part.0), cat(|part| &part.1));
        let mean = values.mean_dim([0i64].as_slice(), false, Kind::Float);
        let deviation = (&values - &mean).square().mean_dim([0i64].as_slice(), false, Kind::Float).sqrt();
        // What is constant says nothing.
        let deviation = deviation.where_self(&deviation.gt(1e-6), &deviation.full_like(f64::INFINITY));
        let values = (values - &mean) / &deviation;
        let (weight, bias) = fit(&values, &classes, model.classes);
        let agrees = (values.matmul(&weight) + &bias).argmax(1, false).eq_tensor(&classes);
        let agrees = agrees.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        (Readout { weight, bias, mean, deviation }, agrees)
    }

    /// The readout's logits `[R, K]`.
    pub fn logits(&self, features: &Tensor) -> Tensor {
        ((read(features) - &self.mean) / &self.deviation).matmul(&self.weight) + &self.bias
    }
}

/// What is read of a layer, and the model's predictions.
fn features_and_predictions(model: &Model, layer: &LayerName, pixels: &Tensor) -> (Tensor, Tensor) {
    let mut tap = Tap::passing(layer);
    let logits = tch::no_grad(|| model.forward(pixels, &mut tap));
    let (std::ops::ControlFlow::Continue(logits), Some(features)) = (logits, tap.into_activation()) else {
        unreachable!("the layer `{layer}` was found before")
    };
    tch::no_grad(|| (read(&features), logits.argmax(-1, false)))
}

/// Weights `[D, K]` and biases `[K]` by Adam, from zero.
fn fit(values: &Tensor, classes: &Tensor, count: i64) -> (Tensor, Tensor) {
    let options = (Kind::Float, values.device());
    let images = values.size()[0] as f64;
    let wanted = Tensor::zeros([values.size()[0], count], options).scatter_value(1, &classes.unsqueeze(1), 1.0);
    let mut weight = Tensor::zeros([values.size()[1], count], options);
    let mut bias = Tensor::zeros([count], options);
    let mut state = [weight.zeros_like(), weight.zeros_like(), bias.zeros_like(), bias.zeros_like()];
    tch::no_grad(|| {
        for epoch in 0..EPOCHS {
            // The gradient of cross-entropy: what is said, less what should be.
            let excess = ((values.matmul(&weight) + &bias).softmax(-1, Kind::Float) - &wanted) / images;
            let of_weight = values.tr().matmul(&excess) + &weight * DECAY;
            let of_bias = excess.sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * epoch as f64 / EPOCHS as f64).cos());
            let [first, second, bias_first, bias_second] = &mut state;
            weight -= adam(&of_weight, first, second, epoch) * rate;
            bias -= adam(&of_bias, bias_first, bias_second, epoch) * rate;
        }
    });
    (weight, bias)
}

/// One step of Adam for a learning rate of 1 (Kingma and Ba 2015).
fn adam(gradient: &Tensor, first: &mut Tensor, second: &mut Tensor, epoch: usize) -> Tensor {
    *first = &*first * 0.9 + gradient * 0.1;
    *second = &*second * 0.999 + gradient.square() * 0.001;
    let power = epoch as i32 + 1;
    (&*first / (1.0 - 0.9f64.powi(power))) / ((&*second / (1.0 - 0.999f64.powi(power))).sqrt() + 1e-8)
}

impl Drive for Readout {
    fn anchor(&self, setup: &Setup) -> Anchor {
        Anchor::one(setup.classes.shallow_clone())
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        -margin(&self.logits(features), anchor.first())
    }
}
