use tch::{Device, Kind, Tensor};

use super::*;
use crate::model::{Flow, Geometry, Network, Probe, Site};
use crate::optimizer::gradient;
use crate::rows::{Drives, doubles};
use crate::suite::{Normalize, OptimizerName, passes};
use crate::terms::Epsilon;

/// Features `W x` of images of four pixels `[R, 1, 2, 2]`, as `[R, 2, 1, 2]` or as two tokens, and logits that add them up by channel.
struct Features {
    weight: Tensor,
    tokens: bool,
}

const WEIGHT: [f32; 16] = [1.0, 0.5, 0.0, -0.5, 0.25, -1.0, 0.5, 0.0, 0.0, 0.75, 1.0, 0.5, -0.25, 0.0, 0.5, 1.0];

impl Network for Features {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let features = pixels.flatten(1, -1).matmul(&self.weight.tr());
        let shape = if self.tokens { vec![-1, 2, 2] } else { vec![-1, 2, 1, 2] };
        let features = probe.visit(&Site::new("features", "Linear"), features.view(shape.as_slice()))?;
        Flow::Continue(features.flatten(1, -1).view([-1, 2, 2]).sum_dim_intlist([2i64].as_slice(), false, Kind::Float))
    }
}

fn model(tokens: bool) -> Model {
    let weight = Tensor::from_slice(&WEIGHT).view([4, 4]);
    let plain = Normalize { mean: vec![0.0], std: vec![1.0] };
    let geometry = Geometry { channels: 1, height: 2, width: 2, classes: 2 };
    Model::custom("features", Box::new(Features { weight, tokens }), geometry, &plain)
}

fn image(values: [f32; 4]) -> Tensor {
    Tensor::from_slice(&values).view([1, 1, 2, 2])
}

/// Features of an image, by hand.
fn by_hand(image: [f64; 4]) -> [f64; 4] {
    std::array::from_fn(|row| (0..4).map(|column| f64::from(WEIGHT[4 * row + column]) * image[column]).sum())
}

/// `W^T v`.
fn back(direction: [f64; 4]) -> [f64; 4] {
    std::array::from_fn(|column| (0..4).map(|row| f64::from(WEIGHT[4 * row + column]) * direction[row]).sum())
}

const CLEAN: [f64; 4] = [0.5, 0.25, 0.75, 0.125];
const NOW: [f64; 4] = [0.6, 0.2, 0.7, 0.25];
const OTHER: [f64; 4] = [0.1, 0.9, 0.3, 0.8];

fn narrow(values: [f64; 4]) -> [f32; 4] {
    values.map(|value| value as f32)
}

/// What is known of a row around `CLEAN`, beside an image of another class.
fn with_setup<T>(tokens: bool, work: impl FnOnce(&Setup) -> T) -> T {
    let model = model(tokens);
    let layer = LayerName::from("features");
    let (clean, other) = (image(narrow(CLEAN)), image(narrow(OTHER)));
    let classes = model.logits(&clean).argmax(-1, false);
    let (keys, noise) = (["a".to_owned()], Noise::new(1, "test"));
    work(&Setup {
        model: &model,
        layer: &layer,
        clean: &clean,
        classes: &classes,
        other: Some(&other),
        keys: &keys,
        noise: &noise,
    })
}

/// The objective and its gradient at `NOW`, around `CLEAN`.
fn score_and_gradient(objective: FeatureObjective, tokens: bool) -> (f64, Vec<f64>) {
    with_setup(tokens, |setup| {
        let row = Row { sample: 0, epsilon: Epsilon::new(0.1).unwrap(), restart: 0, drives: Drives::Away };
        let prediction = [setup.classes.int64_value(&[0])];
        let score = FeatureScore::new(SharedDrive::find(objective, None), setup, &[row], &prediction, Device::Cpu);
        let pixels = image(narrow(NOW)).set_requires_grad(true);
        let Scored { score, level, .. } = score.score(setup.model, &pixels, false);
        assert!(level.is_none(), "the pass leaves the network at the layer");
        let slope = gradient(&score, &pixels, false);
        (score.double_value(&[0]), doubles(&slope))
    })
}

fn assert_near(found: &[f64], expected: [f64; 4], name: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{name}: {found} and {expected}");
    }
}

fn minus(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    std::array::from_fn(|at| a[at] - b[at])
}

#[test]
fn distances_of_features_have_their_gradients() {
    let (g, h, now) = (by_hand(CLEAN), by_hand(OTHER), by_hand(NOW));
    for tokens in [false, true] {
        let (value, slope) = score_and_gradient(FeatureObjective::Nrdm, tokens);
        let change = minus(now, g);
        assert!((value - change.map(|d| d * d).iter().sum::<f64>() / 4.0).abs() < 1e-6);
        assert_near(&slope, back(change.map(|d| 2.0 * d / 4.0)), "nrdm");
        let (value, slope) = score_and_gradient(FeatureObjective::Guided, tokens);
        let lack = minus(now, h);
        assert!((value + lack.map(|d| d * d).iter().sum::<f64>() / 4.0).abs() < 1e-6);
        assert_near(&slope, back(lack.map(|d| -2.0 * d / 4.0)), "guided");
        let (value, slope) = score_and_gradient(FeatureObjective::Ila, tokens);
        let direction = minus(h, g);
        let square = direction.map(|d| d * d).iter().sum::<f64>();
        let along = (0..4).map(|at| change[at] * direction[at]).sum::<f64>() / square;
        assert!((value - along).abs() < 1e-6);
        assert_near(&slope, back(direction.map(|d| d / square)), "ila");
    }
}

#[test]
fn dispersion_falls_along_its_gradient() {
    let now = by_hand(NOW);
    let mean = now.iter().sum::<f64>() / 4.0;
    let deviation = (now.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4.0).sqrt();
    let (value, slope) = score_and_gradient(FeatureObjective::Dr, false);
    assert!((value + deviation).abs() < 1e-6);
    assert_near(&slope, back(now.map(|value| -(value - mean) / (4.0 * deviation))), "dr");
}

/// The mean is that over channels at each position for maps, and over the features of each token for tokens.
#[test]
fn low_features_rise_and_high_ones_fall() {
    let (g, now) = (by_hand(CLEAN), by_hand(NOW));
    for (tokens, pairs) in [(false, [[0, 2], [1, 3]]), (true, [[0, 1], [2, 3]])] {
        let mut low = [false; 4];
        for pair in pairs {
            let mean = (g[pair[0]] + g[pair[1]]) / 2.0;
            pair.iter().for_each(|&at| low[at] = g[at] < mean);
        }
        let energy = |wanted: bool| (0..4).filter(|&at| low[at] == wanted).map(|at| now[at] * now[at]).sum::<f64>();
        let (value, slope) = score_and_gradient(FeatureObjective::Fda, tokens);
        assert!((value - (energy(true) / energy(false)).ln()).abs() < 1e-5, "{value}");
        let expected: [f64; 4] =
            std::array::from_fn(
                |at| if low[at] { 2.0 * now[at] / energy(true) } else { -2.0 * now[at] / energy(false) },
            );
        assert_near(&slope, back(expected), "fda");
    }
}

/// With two classes the probability's derivative has the sign of the class at each feature, whatever the image: the weights are known.
#[test]
fn importance_of_features_is_that_of_the_predicted_class() {
    for objective in [FeatureObjective::Fia, FeatureObjective::Naa] {
        let model = model(false);
        let class = model.logits(&image(narrow(CLEAN))).argmax(-1, false).int64_value(&[0]);
        let weights: [f64; 4] = std::array::from_fn(|at| if (at as i64) / 2 == class { 0.5 } else { -0.5 });
        let now = by_hand(NOW);
        let (value, slope) = score_and_gradient(objective, false);
        let expected = -(0..4).map(|at| now[at] * weights[at]).sum::<f64>();
        assert!((value - expected).abs() < 1e-5, "{objective:?}: {value}, {expected}");
        assert_near(&slope, back(weights.map(|weight| -weight)), objective.as_str());
    }
}

#[test]
fn a_readout_learns_what_the_network_says_and_falls_with_it() {
    let model = model(false);
    let layer = LayerName::from("features");
    let noise = Noise::new(3, "images");
    let draws: Vec<f32> = noise.uniform("images", 4 * 256).iter().map(|draw| (draw + 1.0) / 2.0).collect();
    let images = Tensor::from_slice(&draws).view([256, 1, 2, 2]);
    let (readout, agrees) = Readout::train(&model, &layer, &[images.narrow(0, 0, 200), images.narrow(0, 200, 56)]);
    assert!(agrees > 0.95, "{agrees}");
    let (again, _) = Readout::train(&model, &layer, &[images.narrow(0, 0, 200), images.narrow(0, 200, 56)]);
    let features = model.tap(&images, &layer).unwrap();
    assert_eq!(doubles(&readout.logits(&features)), doubles(&again.logits(&features)));
    let predicted = readout.logits(&features).argmax(-1, false);
    let same = predicted.eq_tensor(&model.logits(&images).argmax(-1, false)).to_kind(Kind::Float).mean(Kind::Float);
    assert!(same.double_value(&[]) > 0.95);
}

/// Images that the network sees before a row's first step, beside the attack that makes those that `ila` follows.
#[test]
fn preparation_takes_the_passes_that_the_plan_counts() {
    let drives = FeatureObjective::ALL.into_iter().filter(|objective| *objective != FeatureObjective::Readout);
    for objective in drives {
        let elsewhere = match objective {
            FeatureObjective::Ila => OptimizerName::Steepest.row(passes::ILA_STEPS as u64).forwards,
            _ => 0,
        };
        let before = crate::model::passes_seen();
        with_setup(false, |setup| drop(SharedDrive::find(objective, None).drive().anchor(setup)));
        let passes = crate::model::passes_seen() - before;
        assert_eq!(passes + elsewhere, objective.preparation().forwards + 1, "{objective}, and the clean prediction");
    }
}
