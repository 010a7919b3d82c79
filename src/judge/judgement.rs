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
    /// Whether all logits are finite; if not, the other numbers are 0.
    pub finite: bool,
    /// Whether the margin is larger than what the order of floating-point sums may change: only then does a flip count, so that it
    /// can be confirmed elsewhere, in batches of other sizes.
    pub decided: bool,
}

/// Margins below this share of the largest logit, or of 1 if that is larger, are undecided.
const UNDECIDED: f32 = 1e-5;

impl Judgement {
    /// Whether this is a flip away from the class `clean`.
    pub fn flips(&self, clean: i64) -> bool {
        self.decided && self.prediction != clean
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
        (Some(activation), Some((_, units))) => Some(floats(&unit_values(&activation, units, model.tokens()))),
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
    let labels = Tensor::from_slice(labels).to_device(logits.device());
    let predictions = logits.argmax(-1, false);
    let confidences = pick(&logits.softmax(-1, Kind::Float), &predictions);
    let finite = logits.isfinite().all_dim(1, false);
    let (predictions, finite) = (integers(&predictions), integers(&finite));
    let (margins, confidences) = (floats(&margin(logits, &labels)), floats(&confidences));
    let scales = floats(&logits.abs().amax([1i64].as_slice(), false));
    (0..predictions.len())
        .map(|row| {
            let finite = finite[row] != 0;
            let number = |value: f32| if finite && value.is_finite() { value } else { 0.0 };
            Judgement {
                prediction: if finite { predictions[row] } else { 0 },
                margin: number(margins[row]),
                confidence: number(confidences[row]),
                activation: activations.map(|values| number(values[row])),
                finite,
                decided: finite && margins[row].abs() > UNDECIDED * scales[row].max(1.0),
            }
        })
        .collect()
}
