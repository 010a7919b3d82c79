//! The f32 pass that decides: what a model says of finished images, apart from any search.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};

use crate::model::{Model, Taps};
use crate::objective::{margin, pick, unit_values};
use crate::rows::{floats, integers};
use crate::terms::{LayerName, Unit};

/// What a model says of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// The predicted class.
    pub prediction: i64,
    /// Logit of the label minus the best other.
    pub margin: f32,
    /// Softmax probability of the predicted class.
    pub confidence: f32,
    /// The unit's activation, if one was asked for.
    pub activation: Option<f32>,
    /// Whether all logits are finite; if not, the prediction is a class other than the label and the other numbers are 0.
    pub finite: bool,
    /// Whether the margin is larger than what the order of floating-point sums may change: only then does a flip count, so that it
    /// can be confirmed elsewhere, in batches of other sizes.
    pub decided: bool,
}

/// Margins below this share of the spread of an image's logits are undecided. A share, so that logits divided by any number flip
/// where the plain ones do.
const UNDECIDED: f32 = 1e-5;

/// Margins of fewer steps of f32 than this, at the largest logit, are undecided as well: another order of sums may move each of two
/// logits by a step, and then those that are two apart still do not change places. With a constant of 10^6 added to all logits a
/// step is a sixteenth, and differences below an eighth are lost.
const STEPS: f32 = 2.0;

impl Judgement {
    /// Whether this is a flip away from the class `clean`.
    pub fn flips(&self, clean: i64) -> bool {
        self.decided && self.prediction != clean
    }

    /// Whether the image is not shown to be classified as `clean`: a flip, logits that are not finite, or logits whose largest
    /// cannot be told. What is reported as robust must not break here.
    pub fn breaks(&self, clean: i64) -> bool {
        !self.decided || self.prediction != clean
    }
}

/// Judges images `[N, C, H, W]` in chunks of at most `chunk`, in f32 without gradients. `labels` and `units` have one entry for each
/// image.
pub fn judge(
    model: &Model,
    images: &Tensor,
    labels: &[i64],
    units: Option<(&LayerName, &[Unit])>,
    chunk: usize,
) -> Vec<Judgement> {
    tch::no_grad(|| {
        let mut judgements = Vec::with_capacity(labels.len());
        for start in (0..labels.len()).step_by(chunk.max(1)) {
            let end = (start + chunk.max(1)).min(labels.len());
            let part = images.narrow(0, start as i64, (end - start) as i64);
            let units = units.map(|(layer, units)| (layer, &units[start..end]));
            judgements.extend(judge_chunk(model, &part, &labels[start..end], units));
        }
        judgements
    })
}

fn judge_chunk(model: &Model, images: &Tensor, labels: &[i64], units: Option<(&LayerName, &[Unit])>) -> Vec<Judgement> {
    let layers: Vec<LayerName> = units.iter().map(|(layer, _)| (*layer).clone()).collect();
    let mut taps = Taps::new(&layers);
    let logits = whole_pass(model, images, &mut taps);
    let activations = match (taps.into_activations().pop().flatten(), units) {
        (Some(activation), Some((layer, units))) => Some(floats(&unit_values(model, layer, &activation, units))),
        _ => None,
    };
    judgements(&logits, labels, activations.as_deref())
}

/// Logits `[N, K]`; the probe sees the layers on the way.
pub(super) fn whole_pass(model: &Model, images: &Tensor, taps: &mut Taps) -> Tensor {
    match model.forward(images, taps) {
        ControlFlow::Continue(logits) => logits,
        ControlFlow::Break(()) => unreachable!("these taps let the pass go on to the logits"),
    }
}

/// What logits `[N, K]` say of images with `labels`, with the activations that go with them.
pub(super) fn judgements(logits: &Tensor, labels: &[i64], activations: Option<&[f32]>) -> Vec<Judgement> {
    let classes = logits.size().last().copied().unwrap_or(0);
    let other = |label: i64| if label == 0 { 1.min(classes - 1) } else { 0 };
    let target = Tensor::from_slice(labels).to_device(logits.device());
    let predictions = logits.argmax(-1, false);
    let confidences = pick(&logits.softmax(-1, Kind::Float), &predictions);
    let finite = logits.isfinite().all_dim(1, false);
    let (predictions, finite) = (integers(&predictions), integers(&finite));
    let (margins, confidences) = (floats(&margin(logits, &target)), floats(&confidences));
    let (spread, size) = spread_and_size(logits);
    let (spread, size) = (floats(&spread), floats(&size));
    (0..predictions.len())
        .map(|row| {
            let finite = finite[row] != 0;
            let number = |value: f32| if finite && value.is_finite() { value } else { 0.0 };
            Judgement {
                prediction: if finite { predictions[row] } else { other(labels[row]) },
                margin: number(margins[row]),
                confidence: number(confidences[row]),
                activation: activations.map(|values| number(values[row])),
                finite,
                decided: finite && is_sure(margins[row], spread[row], size[row]),
            }
        })
        .collect()
}

/// Whether a margin tells the largest of logits that spread over `spread` and of which the largest has this size.
fn is_sure(margin: f32, spread: f32, size: f32) -> bool {
    let step = size.next_up() - size;
    margin.abs() > spread * UNDECIDED && margin.abs() >= STEPS * step
}

/// The spread and the largest size `[N]` of the logits `[N, K]` of each image.
fn spread_and_size(logits: &Tensor) -> (Tensor, Tensor) {
    let along = [1i64].as_slice();
    (logits.amax(along, false) - logits.amin(along, false), logits.abs().amax(along, false))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::model::{Flow, Geometry, Network, Probe};
    use crate::suite::Normalize;

    /// Logits `(m, -m, -1) * scale + offset`, with m the first pixel minus one half.
    struct FirstPixel {
        scale: f64,
        offset: f64,
    }

    impl Network for FirstPixel {
        fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
            let m = pixels.flatten(1, -1).narrow(1, 0, 1) - 0.5;
            let logits = Tensor::cat(&[m.shallow_clone(), -&m, m * 0.0 - 1.0], 1);
            ControlFlow::Continue(logits * self.scale + self.offset)
        }
    }

    fn judged(scale: f64, offset: f64, first: &[f32]) -> Vec<Judgement> {
        let plain = Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] };
        let model = Model::custom("m", Box::new(FirstPixel { scale, offset }), Geometry::rgb(1, 3), &plain);
        let values: Vec<f32> = first.iter().flat_map(|&value| [value, 0.0, 0.0]).collect();
        let images = Tensor::from_slice(&values).view([-1, 3, 1, 1]);
        judge(&model, &images, &vec![0; first.len()], None, 8)
    }

    #[test]
    fn flips_do_not_depend_on_the_scale_of_the_logits() {
        let first = [0.2, 0.49, 0.499_999, 0.6];
        for scale in [1.0, 1e-6, 1e-20, 1e9] {
            let flips: Vec<bool> = judged(scale, 0.0, &first).iter().map(|judged| judged.flips(0)).collect();
            assert_eq!(flips, [true, true, false, false], "{scale}");
        }
    }

    #[test]
    fn an_offset_hides_only_what_f32_cannot_hold() {
        for offset in [1e3, 1e4] {
            let flips: Vec<bool> = judged(100.0, offset, &[0.2, 0.45, 0.6]).iter().map(|j| j.flips(0)).collect();
            assert_eq!(flips, [true, true, false], "{offset}");
        }
        let lost = &judged(1.0, 1e7, &[0.2, 0.6]);
        assert!(lost.iter().all(|judged| judged.finite && !judged.decided && judged.breaks(0) && !judged.flips(0)));
    }

    #[test]
    fn logits_that_are_not_finite_are_no_prediction_of_the_label() {
        let judged = &judged(f64::INFINITY, 0.0, &[0.6])[0];
        assert!(!judged.finite && judged.prediction != 0 && judged.breaks(0) && !judged.flips(0));
    }
}
