//! How much the units of a layer matter, by one of several measures over real images.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};

use crate::model::{Cut, Model, ModelError, Tokens};
use crate::objective::{pick, unit_means};
use crate::rows::integers;
use crate::suite::passes::UNIT_RIVALS;
use crate::suite::{Direction, UnitRanking};
use crate::terms::{LayerName, Unit};

/// Real images with their classes.
pub struct Labelled {
    /// Pixels `[N, C, H, W]` in [0, 1], on the model's device.
    pub pixels: Tensor,
    /// Classes, one for each image.
    pub labels: Vec<i64>,
}

/// A score for each unit of `layer`: the higher, the more it matters. `direction` is that in which units will be driven.
///
/// `sensitivity` is what Suri and Evans 2020 (<https://arxiv.org/abs/2003.09372>) rank by, to first order at any layer: the reciprocal of the
/// smallest change of the unit, in its standard deviations, that changes the prediction, averaged over the correctly classified images.
/// For the features before a linear classifier it is exact.
///
/// # Errors
/// If there is no such layer.
pub fn scores(
    model: &Model,
    layer: &LayerName,
    ranking: UnitRanking,
    direction: Direction,
    images: &[Labelled],
) -> Result<Vec<f64>, ModelError> {
    let parts = images.iter().map(|batch| Seen::new(model, layer, ranking, batch)).collect::<Result<Vec<_>, _>>()?;
    let cat = |value: fn(&Seen) -> &Tensor| Tensor::cat(&parts.iter().map(value).collect::<Vec<_>>(), 0);
    let means = cat(|batch| &batch.means).to_kind(Kind::Double);
    let mean = means.mean_dim([0i64].as_slice(), false, Kind::Double);
    let deviation = (&means - &mean).square().mean_dim([0i64].as_slice(), false, Kind::Double).sqrt();
    let sign = if direction == Direction::Maximize { 1.0 } else { -1.0 };
    let scores = match ranking {
        UnitRanking::Activation => mean,
        UnitRanking::Variance => deviation.square(),
        UnitRanking::Selectivity => {
            let labels: Vec<i64> = images.iter().flat_map(|batch| batch.labels.iter().copied()).collect();
            selectivity(&means, &labels, &deviation)
        }
        UnitRanking::Gradient => {
            let pushes = cat(|batch| &batch.pushes).to_kind(Kind::Double) * sign;
            pushes.mean_dim([0i64].as_slice(), false, Kind::Double)
        }
        UnitRanking::Sensitivity => {
            // [N, U, rivals] in reciprocals of the unit's own scale.
            let pushes = cat(|batch| &batch.pushes).to_kind(Kind::Double) * sign;
            let nearest = pushes.amax([2i64].as_slice(), false).clamp_min(0.0) * deviation;
            nearest.mean_dim([0i64].as_slice(), false, Kind::Double)
        }
    };
    Ok(Vec::try_from(scores.nan_to_num(f64::NEG_INFINITY, f64::MAX, f64::NEG_INFINITY).contiguous())
        .unwrap_or_default())
}

/// The `count` units with the highest scores, the highest first.
///
/// # Errors
/// See [`scores`].
pub fn ranked(
    model: &Model,
    layer: &LayerName,
    (count, ranking): (usize, UnitRanking),
    direction: Direction,
    images: &[Labelled],
) -> Result<Vec<Unit>, ModelError> {
    let scores = scores(model, layer, ranking, direction, images)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    Ok(order.into_iter().take(count).map(Unit::channel).collect())
}

/// The units of a layer for one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleUnits {
    /// The units, the most sensitive first.
    pub order: Vec<usize>,
    /// Of each unit, whether lowering it does more than raising it.
    pub lowered: Vec<bool>,
}

/// For each of the images `[N, C, H, W]` the units of `layer` by how little they have to move, in `deviations`, to change what the network
/// says of this very image: what Suri and Evans 2020 drive, to first order.
///
/// # Errors
/// If there is no such layer.
pub fn sensitive(
    model: &Model,
    layer: &LayerName,
    pixels: &Tensor,
    deviations: &[f64],
) -> Result<Vec<SampleUnits>, ModelError> {
    let labels = integers(&tch::no_grad(|| model.logits(pixels)).argmax(-1, false));
    let batch = Labelled { pixels: pixels.shallow_clone(), labels };
    let pushes = Seen::new(model, layer, UnitRanking::Sensitivity, &batch)?.pushes.to_kind(Kind::Double);
    let deviations = Tensor::from_slice(deviations).to_kind(Kind::Double).to_device(pushes.device());
    let reach = |pushes: Tensor| pushes.amax([2i64].as_slice(), false).clamp_min(0.0) * &deviations;
    let (raised, lowered) = (reach(pushes.shallow_clone()), reach(-pushes));
    let (_, order) = raised.maximum(&lowered).nan_to_num(0.0, f64::MAX, 0.0).sort_stable(true, -1, true);
    let down = lowered.gt_tensor(&raised);
    Ok((0..order.size()[0])
        .map(|row| SampleUnits {
            order: integers(&order.get(row)).into_iter().map(|unit| unit as usize).collect(),
            lowered: integers(&down.get(row).to_kind(Kind::Int64)).into_iter().map(|down| down != 0).collect(),
        })
        .collect())
}

/// The class mean that stands out most, less the mean of the others, in deviations.
fn selectivity(means: &Tensor, labels: &[i64], deviation: &Tensor) -> Tensor {
    let index = Tensor::from_slice(labels).to_device(means.device());
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    let present: Vec<i64> = (0..classes).filter(|class| labels.contains(class)).collect();
    let by_class: Vec<Tensor> = present
        .iter()
        .map(|&class| {
            let rows = index.eq(class).nonzero().flatten(0, -1);
            means.index_select(0, &rows).mean_dim([0i64].as_slice(), false, Kind::Double)
        })
        .collect();
    let by_class = Tensor::stack(&by_class, 0);
    let (most, others) = (by_class.amax([0i64].as_slice(), false), (present.len() as f64 - 1.0).max(1.0));
    let rest = (by_class.sum_dim_intlist([0i64].as_slice(), false, Kind::Double) - &most) / others;
    (most - rest) / deviation.clamp_min(1e-12)
}

/// What one batch shows.
struct Seen {
    /// Every unit's mean `[N, U]`.
    means: Tensor,
    /// For `gradient` the derivative of the label's logit by each unit `[N, U]`; for `sensitivity` by each rival the derivative of the rival's
    /// lead, over what the lead lacks, `[n, U, rivals]`, of the correctly classified images; otherwise empty.
    pushes: Tensor,
}

impl Seen {
    fn new(model: &Model, layer: &LayerName, ranking: UnitRanking, batch: &Labelled) -> Result<Self, ModelError> {
        if !matches!(ranking, UnitRanking::Gradient | UnitRanking::Sensitivity) {
            let activation = tch::no_grad(|| model.tap(&batch.pixels, layer))?;
            let means = unit_means(&activation, model.tokens());
            return Ok(Seen { pushes: means.zeros_like(), means });
        }
        let mut cut = Cut::at(layer);
        let passed = tch::with_grad(|| model.forward(&batch.pixels, &mut cut));
        let (ControlFlow::Continue(logits), Some(leaf)) = (passed, cut.into_leaf()) else {
            return Err(model.unknown_layer(layer));
        };
        let means = unit_means(&leaf.detach(), model.tokens());
        let labels = Tensor::from_slice(&batch.labels).to_device(logits.device());
        let label_logits = pick(&logits, &labels);
        let slope = |score: Tensor| -> Tensor {
            if !score.requires_grad() {
                return means.zeros_like();
            }
            let gradient = Tensor::run_backward(&[score.sum(Kind::Float)], &[&leaf], true, false).pop();
            match gradient.filter(Tensor::defined) {
                Some(gradient) => per_unit(&gradient.nan_to_num(0.0, 0.0, 0.0), model.tokens()),
                None => means.zeros_like(),
            }
        };
        if ranking == UnitRanking::Gradient {
            return Ok(Seen { pushes: slope(label_logits), means });
        }
        let others = logits.detach().scatter_value(1, &labels.unsqueeze(1), f64::NEG_INFINITY);
        let (_, rivals) = others.topk((UNIT_RIVALS as i64).min(model.classes - 1), 1, true, true);
        let right = logits.detach().argmax(-1, false).eq_tensor(&labels).nonzero().flatten(0, -1);
        let pushes: Vec<Tensor> = (0..rivals.size()[1])
            .map(|place| {
                let rival = pick(&logits, &rivals.select(1, place));
                let lacks = (&label_logits - &rival).detach().clamp_min(1e-6);
                slope(rival - &label_logits) / lacks.unsqueeze(1)
            })
            .collect();
        Ok(Seen { pushes: Tensor::stack(&pushes, 2).index_select(0, &right), means })
    }
}

/// The derivative by a change of a unit at all its positions alike, `[N, U]`.
fn per_unit(gradient: &Tensor, tokens: Tokens) -> Tensor {
    let wide = gradient.to_kind(Kind::Float);
    match wide.dim() {
        4 => wide.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Float),
        3 => wide.slice(1, tokens.prefix, None, 1).sum_dim_intlist([1i64].as_slice(), false, Kind::Float),
        _ => wide.flatten(1, -1),
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::{Flow, Geometry, Network, Probe, Site};
    use crate::suite::Normalize;

    /// Two features, each a pixel, and a linear classifier of three classes.
    struct Linear;

    const WEIGHTS: [f32; 6] = [1.0, 0.0, 0.0, 2.0, 0.0, 0.0];

    impl Network for Linear {
        fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
            let features = probe.visit(&Site::new("features", "Flatten"), pixels.flatten(1, -1))?;
            let bias = Tensor::from_slice(&[0.0f32, 0.0, 0.25]);
            Flow::Continue(features.matmul(&Tensor::from_slice(&WEIGHTS).view([3, 2]).transpose(0, 1)) + bias)
        }
    }

    fn model() -> Model {
        let geometry = Geometry { channels: 1, height: 1, width: 2, classes: 3 };
        Model::custom("linear", Box::new(Linear), geometry, &Normalize { mean: vec![0.0], std: vec![1.0] })
    }

    fn ranked(ranking: UnitRanking, direction: Direction) -> Vec<f64> {
        // Class 0 twice, by 0.8 - 0.2 and 0.6 - 0.2 before class 1.
        let pixels = Tensor::from_slice(&[0.8f32, 0.1, 0.6, 0.1]).view([2, 1, 1, 2]);
        scores(&model(), &"features".into(), ranking, direction, &[Labelled { pixels, labels: vec![0, 0] }]).unwrap()
    }

    #[test]
    fn sensitivity_is_the_closed_form_of_a_linear_classifier() {
        // Lowering the first feature by 0.55 or 0.35 hands the images to class 2, by 0.6 and 0.4 to class 1; its deviation is 0.1.
        let down = ranked(UnitRanking::Sensitivity, Direction::Suppress);
        let expected = (0.1 / 0.55 + 0.1 / 0.35) / 2.0;
        assert!((down[0] - expected).abs() < 1e-6, "{down:?} {expected}");
        // Raising it helps nobody, and the second never varies.
        assert_eq!(ranked(UnitRanking::Sensitivity, Direction::Maximize)[0], 0.0);
        assert_eq!(down[1], 0.0);
    }

    #[test]
    fn each_sample_has_its_own_order_and_way() {
        // The first says 0: raising its second feature by 0.3 hands it to class 1, lowering its first by 0.55 to class 2. The second says 1:
        // lowering its second feature by 0.275 hands it to class 2, raising its first by 0.7 to class 0.
        let pixels = Tensor::from_slice(&[0.8f32, 0.1, 0.1, 0.4]).view([2, 1, 1, 2]);
        let found = sensitive(&model(), &"features".into(), &pixels, &[1.0, 1.0]).unwrap();
        assert_eq!(found[0], SampleUnits { order: vec![1, 0], lowered: vec![true, false] });
        assert_eq!(found[1], SampleUnits { order: vec![1, 0], lowered: vec![false, true] });
        // What hardly ever varies comes last.
        let found = sensitive(&model(), &"features".into(), &pixels, &[1.0, 1e-9]).unwrap();
        assert_eq!([&found[0].order, &found[1].order], [&[0, 1], &[0, 1]]);
    }

    #[test]
    fn other_measures_are_what_their_names_say() {
        let near = |found: Vec<f64>, expected: [f64; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        near(ranked(UnitRanking::Activation, Direction::Maximize), [0.7, 0.1]);
        near(ranked(UnitRanking::Variance, Direction::Maximize), [0.01, 0.0]);
        near(ranked(UnitRanking::Gradient, Direction::Maximize), [1.0, 0.0]);
        let means = Tensor::from_slice(&[1.0f64, 0.0, 3.0, 0.0, 5.0, 0.0]).view([3, 2]);
        let deviation = Tensor::from_slice(&[2.0f64, 0.0]);
        let found = selectivity(&means, &[0, 1, 4], &deviation);
        assert_eq!(found.device(), Device::Cpu);
        assert!((found.double_value(&[0]) - 1.5).abs() < 1e-9);
    }
}
