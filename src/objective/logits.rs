//! Objectives on the logits: the class logit itself, the margin, cross-entropy and the difference of logits ratio.

use std::ops::ControlFlow;

use tch::{Device, Kind, Tensor};

use super::{Levels, Objective, Scored};
use crate::model::{Model, NoProbe};
use crate::rows::{Row, rows};
use crate::suite::Loss;

rows! {
    /// A function of the logits, for rows that are driven away from the clean prediction or towards a class.
    pub struct LogitObjective {
        each { levels: Levels }
        all { loss: Loss }
    }
}

impl LogitObjective {
    /// For `rows`, with the predicted class of each sample's clean image.
    pub fn new(loss: Loss, rows: &[Row], predictions: &[i64], device: Device) -> Self {
        LogitObjective { levels: Levels::new(rows, predictions, device), loss }
    }
}

impl Objective for LogitObjective {
    fn score(&self, model: &Model, pixels: &Tensor, _whole: bool) -> Scored {
        let ControlFlow::Continue(logits) = model.forward(pixels, &mut NoProbe) else {
            unreachable!("NoProbe never leaves the network")
        };
        let score = logit_objective(self.loss, &logits, self.levels.clean(), self.levels.target());
        Scored { score, level: Some(self.levels.reached(&logits)), logits: Some(logits) }
    }
}

/// The objective of each row `[R]`, to be maximized, for logits `[R, K]`.
///
/// With `target` `[R]` (i64) the rows are driven towards it, else away from `clean` `[R]`, the clean predictions. DLR is that of Croce
/// and Hein 2020 (<https://arxiv.org/abs/2003.01690>), the targeted one with their denominator over the third and fourth logits.
pub fn logit_objective(loss: Loss, logits: &Tensor, clean: &Tensor, target: Option<&Tensor>) -> Tensor {
    let logit = pick(logits, target.unwrap_or(clean));
    // Driving towards a class and away from one differ by the sign.
    let towards = |away: Tensor| if target.is_some() { -away } else { away };
    match loss {
        Loss::Logit => towards(-logit),
        Loss::Pma => {
            let chances = logits.softmax(-1, Kind::Float);
            let class = target.unwrap_or(clean);
            towards(best_other(&chances, class) - pick(&chances, class))
        }
        Loss::Margin => towards(best_other(logits, target.unwrap_or(clean)) - logit),
        Loss::Ce => towards(-pick(&logits.log_softmax(-1, Kind::Float), target.unwrap_or(clean))),
        Loss::Dlr => {
            let (sorted, _) = logits.sort(-1, true);
            let rank = |place: i64| sorted.select(1, place);
            match target {
                None => (best_other(logits, clean) - logit) / (rank(0) - rank(2) + 1e-12),
                Some(_) => (logit - pick(logits, clean)) / (rank(0) - (rank(2) + rank(3)) * 0.5 + 1e-12),
            }
        }
    }
}

/// The logit of `class` `[R]` minus the best other: positive exactly if the class is predicted (ties aside).
pub fn margin(logits: &Tensor, class: &Tensor) -> Tensor {
    pick(logits, class) - best_other(logits, class)
}

/// Columns up to which the masked sum of [`pick`] is the cheaper way on a GPU.
const MASKED: i64 = 1 << 16;

/// `values[r, index[r]]`. On a GPU the gradient of a gather, in its repeatable form, uploads and so waits; that of a masked sum does not.
pub fn pick(values: &Tensor, index: &Tensor) -> Tensor {
    match values.device().is_cuda() && values.size()[1] <= MASKED {
        true => pick_by_mask(values, index),
        false => values.gather(1, &index.unsqueeze(1), false).squeeze_dim(1),
    }
}

/// [`pick`] as a sum over each row in which all other values are zero, which is exact.
fn pick_by_mask(values: &Tensor, index: &Tensor) -> Tensor {
    let columns = Tensor::arange(values.size()[1], (Kind::Int64, values.device()));
    let chosen = columns.eq_tensor(&index.unsqueeze(1));
    values.where_scalarother(&chosen, 0.0).sum_dim_intlist([1i64].as_slice(), false, values.kind())
}

fn best_other(logits: &Tensor, class: &Tensor) -> Tensor {
    let chosen = logits.zeros_like().to_kind(Kind::Bool).scatter_value(1, &class.unsqueeze(1), 1);
    // Masked with minus infinity, not by multiplication: logits may be negative.
    logits.masked_fill(&chosen, f64::NEG_INFINITY).amax([1i64].as_slice(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn both_ways_to_pick_agree_in_values_and_gradients() {
        let raw = [3.0f32, f32::INFINITY, -2.5, f32::NEG_INFINITY, 0.1, f32::NAN];
        let index = Tensor::from_slice(&[2i64, 1]);
        for way in [pick, pick_by_mask] {
            let logits = Tensor::from_slice(&raw).view([2, 3]).set_requires_grad(true);
            let picked = way(&logits, &index);
            assert_eq!(values(picked.detach()), [-2.5, f64::from(0.1f32)]);
            let gradient = Tensor::run_backward(&[picked.sum(Kind::Float)], &[&logits], false, false).remove(0);
            assert_eq!(values(gradient.flatten(0, -1)), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        }
    }

    #[test]
    fn objectives_have_their_closed_forms() {
        let logits = Tensor::from_slice(&[3.0f32, 1.0, -2.0, 0.5]).view([1, 4]);
        let (clean, target) = (Tensor::from_slice(&[0i64]), Tensor::from_slice(&[2i64]));
        let away = |loss| values(logit_objective(loss, &logits, &clean, None))[0];
        let to = |loss| values(logit_objective(loss, &logits, &clean, Some(&target)))[0];
        let total = [3.0f64, 1.0, -2.0, 0.5].iter().map(|z| z.exp()).sum::<f64>().ln();
        for loss in Loss::ALL {
            let [expected_away, expected_to] = match loss {
                Loss::Logit => [-3.0, -2.0],
                Loss::Margin => [-2.0, -5.0],
                Loss::Ce => [total - 3.0, -2.0 - total],
                Loss::Pma => [(1.0 - total).exp() - (3.0 - total).exp(), (-2.0 - total).exp() - (3.0 - total).exp()],
                Loss::Dlr => [-2.0 / 2.5, -5.0 / (3.0 - (0.5 - 2.0) / 2.0)],
            };
            assert!((away(loss) - expected_away).abs() < 1e-6 && (to(loss) - expected_to).abs() < 1e-6, "{loss}");
        }
    }

    #[test]
    fn a_constant_added_to_all_logits_changes_no_gradient() {
        for loss in Loss::ALL {
            let gradient = |shift: f64| {
                let logits = Tensor::from_slice(&[0.3f32, 1.5, -0.7, 0.9, 0.1]).view([1, 5]).set_requires_grad(true);
                let clean = Tensor::from_slice(&[1i64]);
                let score = logit_objective(loss, &(&logits + shift), &clean, None).sum(Kind::Float);
                values(Tensor::run_backward(&[score], &[&logits], false, false)[0].flatten(0, -1))
            };
            for (plain, shifted) in gradient(0.0).iter().zip(gradient(64.0)) {
                assert!((plain - shifted).abs() < 1e-4, "{loss:?}");
            }
        }
    }
}
