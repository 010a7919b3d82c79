//! The laws that attacks and distances obey, on networks whose answers are known in closed form.
#![cfg(feature = "torch")]

mod features;
mod search;
mod sweep;
mod transfer;
mod ways;

use std::ops::ControlFlow;

use am_eval::attack::{AttackBlock, AttackOutcome, DrivenUnit, Learned, Victim, kind};
use am_eval::boundary::BoundaryBlock;
use am_eval::data::{Image, Sample};
use am_eval::judge::{Bench, CleanBlock};
use am_eval::model::{Flow, Geometry, Model, Network, Probe, Site};
use am_eval::record::{CellKind, DistanceRecord, Record, Status};
use am_eval::suite::{
    AttackConfig, BoundaryConfig, BoundaryMethod, ClassLogitGoal, Control, Direction, Goal, Loss, Normalize,
    OptimizerName, Stop, Sweep, Target, UnitGoal, UnitSelection,
};
use am_eval::terms::{Epsilon, LayerName, Norm, SampleId, Unit};
use proptest::prelude::*;
use tch::{Kind, Tensor};

const SIDE: i64 = 4;
const PIXELS: usize = 3 * (SIDE * SIDE) as usize;

/// `logits = weight * pixels + bias`, with the scores as layer `scores` and a unit that is always off as layer `dead`.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Network for Linear {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let flat = pixels.flatten(1, -1);
        let off = probe.visit(&Site::new("dead", "ReLU"), (&flat * 0.0 - 1.0).relu())?;
        let scores = (flat.unsqueeze(1) * &self.weight).sum_dim_intlist([-1i64].as_slice(), false, None)
            + &self.bias
            + off.sum_dim_intlist([1i64].as_slice(), true, None);
        probe.visit(&Site::new("scores", "Linear"), scores)
    }
}

/// The same logits for every image.
struct Constant;

impl Network for Constant {
    fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
        let nothing = pixels.flatten(1, -1).sum_dim_intlist([1i64].as_slice(), true, None) * 0.0;
        ControlFlow::Continue(nothing + Tensor::from_slice(&[2.0f32, 1.0, 0.0]))
    }
}

/// NaN for every image whose first value is above one half.
struct Poisoned(Linear);

impl Network for Poisoned {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let bright = pixels.flatten(1, -1).narrow(1, 0, 1).gt(0.5);
        let logits = self.0.forward(pixels, probe)?;
        ControlFlow::Continue(logits.masked_fill(&bright, f64::NAN))
    }
}

/// Says 1 where the mean of the image lies in a narrow band, and 0 elsewhere; its gradient always points to brighter images.
struct Band {
    from: f64,
    to: f64,
}

impl Network for Band {
    fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
        let mean = pixels.flatten(1, -1).mean_dim([1i64].as_slice(), true, None);
        let within = mean.detach().gt(self.from).logical_and(&mean.detach().lt(self.to)).to_kind(Kind::Float);
        ControlFlow::Continue(Tensor::cat(&[-mean.shallow_clone(), mean - 1.5 + within * 3.0], 1))
    }
}

fn linear(weight: &[f32], bias: &[f32]) -> Linear {
    Linear { weight: Tensor::from_slice(weight).view([bias.len() as i64, -1]), bias: Tensor::from_slice(bias) }
}

fn model(network: impl Network + 'static, classes: i64) -> Model {
    let plain = Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] };
    Model::custom("test", Box::new(network), Geometry::rgb(SIDE, classes), &plain)
}

/// Samples labelled as `model` itself sees them, so that all are attacked.
fn samples(model: &Model, images: &[Vec<u8>]) -> Vec<Sample> {
    images
        .iter()
        .enumerate()
        .map(|(index, pixels)| {
            let image = Image { channels: 3, height: SIDE as usize, width: SIDE as usize, pixels: pixels.clone() };
            let unit = Tensor::from_slice(pixels).to_kind(Kind::Float).view([1, 3, SIDE, SIDE]) / 255.0;
            let label = model.logits(&unit).argmax(-1, false).int64_value(&[0]).max(0) as u32;
            Sample { id: SampleId::from(format!("s{index}")), label, image }
        })
        .collect()
}

fn epsilons(values: &[f64]) -> Vec<Epsilon> {
    values.iter().map(|&value| Epsilon::new(value).unwrap()).collect()
}

fn class_logit(loss: Loss, target: Target, norm: Norm, radii: &[f64]) -> AttackConfig {
    AttackConfig {
        name: "attack".to_owned(),
        models: None,
        goal: Goal::ClassLogit(ClassLogitGoal { target, loss, preset: None }),
        norm,
        epsilons: epsilons(radii),
        steps: 10,
        step_size: None,
        restarts: 1,
        stop: if target == Target::Untargeted { Stop::Flip } else { Stop::Target },
        optimizer: OptimizerName::Steepest,
        views: None,
        sweep: Sweep::Each,
    }
}

fn units(layer: &str, direction: Direction, norm: Norm, radii: &[f64]) -> AttackConfig {
    AttackConfig {
        goal: Goal::Unit(UnitGoal {
            layer: LayerName::from(layer),
            units: UnitSelection::All,
            direction,
            controls: vec![Control::Noise],
        }),
        stop: Stop::Budget,
        ..class_logit(Loss::Logit, Target::Untargeted, norm, radii)
    }
}

fn run(model: &Model, samples: &[Sample], attack: &AttackConfig, driven: &[DrivenUnit], rows: usize) -> AttackOutcome {
    run_before(&[], model, samples, attack, driven, rows)
}

/// The same, with models that are shown the images.
fn run_before(
    victims: &[Victim],
    model: &Model,
    samples: &[Sample],
    attack: &AttackConfig,
    driven: &[DrivenUnit],
    rows: usize,
) -> AttackOutcome {
    let watched: Vec<_> = kind(&attack.goal).watched().into_iter().collect();
    let clean = CleanBlock::new(model, samples, &watched, rows);
    AttackBlock {
        attack,
        dataset: "test",
        bench: bench(model, &clean, rows),
        units: driven,
        victims,
        learned: &Learned::default(),
        keep_images: true,
        looked_into: true,
    }
    .run()
}

/// One model searches and decides.
fn bench<'a>(model: &'a Model, clean: &'a CleanBlock, capacity: usize) -> Bench<'a> {
    Bench { model, verifier: model, clean, seed: 3, capacity, poll: 1 }
}

fn distances(model: &Model, samples: &[Sample], norm: Norm, radius: f64) -> Vec<DistanceRecord> {
    let config = BoundaryConfig {
        norm,
        methods: vec![BoundaryMethod::Path],
        max_radius: Epsilon::new(radius).unwrap(),
        steps: 20,
        loss: Loss::Margin,
        bisections: 20,
        target: Target::Untargeted,
    };
    let clean = CleanBlock::new(model, samples, &[], 16);
    BoundaryBlock { config: &config, bench: bench(model, &clean, 16) }.run().0
}

fn dual(weights: &[f32], norm: Norm) -> f64 {
    match norm {
        Norm::Linf => weights.iter().map(|w| f64::from(w.abs())).sum(),
        Norm::L2 => weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt(),
        // One value changes, or as many as l1 allows of the largest weight.
        Norm::L1 | Norm::L0 => weights.iter().map(|w| f64::from(w.abs())).fold(0.0, f64::max),
    }
}

/// Length of a record's perturbation in its own norm.
fn length(record: &Record) -> f32 {
    match record.cell.norm {
        Norm::Linf => record.linf,
        Norm::L2 => record.l2,
        Norm::L1 => record.l1,
        Norm::L0 => record.l0 as f32,
    }
}

/// Images in the middle of the box, so that small perturbations do not meet it.
fn gray_images(count: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(110u8..146, PIXELS), count)
}

fn weights(count: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![-1.0f32..-0.05, 0.05f32..1.0], count)
}

/// Optimizers that end at the corner of a ball where the model is linear.
fn ascents() -> impl Strategy<Value = OptimizerName> {
    let ascends = |name: &OptimizerName| !name.is_nearest() && name.follows_gradients();
    let names: Vec<OptimizerName> = OptimizerName::ALL.into_iter().filter(ascends).collect();
    prop::sample::select(names)
}

fn norms() -> impl Strategy<Value = Norm> {
    prop_oneof![Just(Norm::Linf), Just(Norm::L2), Just(Norm::L1)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Law 4: with two classes a flip exists exactly if margin / dual norm <= epsilon, and the path finds that distance.
    #[test]
    fn linear_models_flip_exactly_at_their_margin(
        images in gray_images(5), weight in weights(PIXELS), norm in norms(), bias in -0.2f32..0.2, optimizer in ascents(),
        nearest in any::<bool>(),
    ) {
        let both: Vec<f32> = weight.iter().map(|w| w / 2.0).chain(weight.iter().map(|w| -w / 2.0)).collect();
        let centre: f32 = weight.iter().sum::<f32>() * 0.5;
        let model = model(linear(&both, &[bias - centre / 2.0, centre / 2.0]), 2);
        let samples = samples(&model, &images);
        let reach = dual(&weight, norm);
        // One value alone takes all of an l1 ball, and must not meet the box.
        let limit = if norm == Norm::L2 { 1.0 } else { 0.3 };
        let radii: Vec<f64> = [0.01, 0.1, 0.3, 0.6, 1.0].iter().map(|share| share * limit).collect();
        let clean = CleanBlock::new(&model, &samples, &[], 16);
        let expected: Vec<f64> = clean.judgements.iter().map(|j| f64::from(j.margin) / reach).collect();
        // Whether radii are settled one by one or from the nearest flip.
        let sweep = if nearest { Sweep::Nearest } else { Sweep::Each };
        let attack = AttackConfig { optimizer, sweep, ..class_logit(Loss::Logit, Target::Untargeted, norm, &radii) };
        let found = run(&model, &samples, &attack, &[], 3);
        for record in &found.records {
            let index: usize = record.sample_id.as_str()[1..].parse().unwrap();
            let (distance, epsilon) = (expected[index], record.cell.epsilon.value());
            // Apart from the rounding of f32 at the boundary itself, which a verified flip has to exceed: relative to the distance, and
            // to the sums of pixels in [0, 1] that the logits are.
            // Sparse steps of Auto-PGD find the best value of an l1 ball only by and by.
            let sparse = norm == Norm::L1 && optimizer.adapts() && distance < epsilon;
            if (distance - epsilon).abs() > 1e-4 * epsilon + 5e-6 && !sparse {
                prop_assert_eq!(record.flipped, distance < epsilon, "{} {}", distance, epsilon);
            }
        }
        for record in distances(&model, &samples, norm, limit) {
            let index: usize = record.sample_id.as_str()[1..].parse().unwrap();
            prop_assert!((record.linearized / expected[index] - 1.0).abs() < 1e-3);
            if expected[index] < 0.99 * limit && expected[index] > 1e-5 {
                let ratio = record.distance / expected[index];
                prop_assert!((0.999..1.03).contains(&ratio), "{} {}", record.distance, expected[index]);
                prop_assert!(!record.censored);
            }
            if expected[index] > 1.01 * limit {
                prop_assert!(record.censored && record.distance.is_infinite());
                prop_assert_eq!(record.status, Status::Censored);
            }
        }
    }

    /// Law 4: activation maximization of a logit ends at epsilon * sign(w).
    #[test]
    fn am_of_a_logit_ends_at_the_corner(images in gray_images(1), weight in weights(2 * PIXELS)) {
        let model = model(linear(&weight, &[100.0, 0.0]), 2);
        let samples = samples(&model, &images);
        let found = run(&model, &samples, &class_logit(Loss::Logit, Target::Class(1), Norm::Linf, &[0.05]), &[], 4);
        prop_assert!(!found.records[0].flipped);
        for (value, (w, clean)) in found.images.pixels.iter().zip(weight[PIXELS..].iter().zip(&images[0])) {
            let expected = f32::from(*clean) / 255.0 + 0.05 * w.signum();
            prop_assert!((value - expected).abs() < 1e-6);
        }
    }

    /// Laws 2, 3 and 6: a row alone equals the row in a batch of any width, perturbations stay in ball and box, rates are
    /// monotone, counters have their closed form, and a constant added to all logits changes nothing.
    #[test]
    fn rows_do_not_see_their_neighbours(
        images in prop::collection::vec(prop::collection::vec(any::<u8>(), PIXELS), 6),
        weight in weights(4 * PIXELS), norm in norms(),
        target in prop_oneof![Just(Target::Untargeted), Just(Target::LeastLikely), Just(Target::Random), Just(Target::RunnerUp)],
        loss in prop_oneof![Just(Loss::Logit), Just(Loss::Margin), Just(Loss::Ce), Just(Loss::Dlr)],
        restarts in 1usize..3, optimizer in ascents(),
    ) {
        let first = model(linear(&weight, &[0.0; 4]), 4);
        let samples = samples(&first, &images);
        let mut attack = class_logit(loss, target, norm, &[0.02, 0.1]);
        (attack.restarts, attack.optimizer) = (restarts, optimizer);
        let together = run(&first, &samples, &attack, &[], 64);
        let narrow = run(&first, &samples, &attack, &[], 2);
        let shifted = run(&model(linear(&weight, &[16.0; 4]), 4), &samples, &attack, &[], 64);
        for (a, b) in together.images.pixels.iter().zip(&narrow.images.pixels) {
            prop_assert!((a - b).abs() < 1e-5);
        }
        for (at, record) in together.records.iter().enumerate() {
            let (alone, other) = (&narrow.records[at], &shifted.records[at]);
            prop_assert_eq!(record.flipped, alone.flipped);
            // The constant moves the logits' last bits, and steps that adapt to which of two scores is larger may part at a tie.
            let tie = optimizer.adapts() && record.margin_adv.abs().max(other.margin_adv.abs()) < 1e-2;
            prop_assert!(record.flipped == other.flipped || tie);
            let (length, epsilon) = (length(record), record.cell.epsilon.value());
            prop_assert!(f64::from(length) <= epsilon * (1.0 + 1e-6), "{} {}", length, epsilon);
            // Each row takes all its steps unless it leaves, one backward pass a step; the f32 pass comes on top.
            prop_assert_eq!(record.steps, record.backwards);
            if !record.flipped && record.steps > 0 {
                prop_assert_eq!(record.steps as usize, attack.steps * restarts);
                // Some optimizers end with an image of their own, which is verified besides the last.
                let ends = if matches!(optimizer, OptimizerName::Steepest | OptimizerName::Momentum) { 1 } else { 2 };
                prop_assert_eq!(record.forwards as usize, (attack.steps + ends) * restarts);
            }
        }
        prop_assert!(together.images.pixels.iter().all(|value| (0.0..=1.0).contains(value)));
        for sample in 0..samples.len() {
            prop_assert!(together.records[sample].flipped <= together.records[samples.len() + sample].flipped);
        }
    }
}

/// Law 3: a flip counts in every ball that it lies in, also if it was found on the way through a larger one.
#[test]
fn flips_count_in_all_balls_that_they_lie_in() {
    let clean = 100.0 / 255.0;
    let model = model(Band { from: clean + 0.048, to: clean + 0.052 }, 2);
    let samples = samples(&model, &[vec![100; PIXELS]]);
    for sweep in [Sweep::Each, Sweep::Nearest] {
        // Steps of 0.015 leap over the band, those of 0.05 meet it.
        let attack = class_logit(Loss::Margin, Target::Untargeted, Norm::Linf, &[0.03, 0.06, 0.2]);
        let found = run(&model, &samples, &AttackConfig { sweep, ..attack }, &[], 2);
        let flips: Vec<bool> = found.records.iter().map(|record| record.flipped).collect();
        assert_eq!(flips, [false, true, true], "{sweep:?}");
        assert!(found.records[1..].iter().all(|record| (record.linf - 0.05).abs() < 0.002), "{sweep:?}");
    }
}

/// Law 5: a constant classifier never flips, distances are infinite, and it is flagged.
#[test]
fn a_constant_classifier_never_flips() {
    let model = model(Constant, 3);
    let images: Vec<Vec<u8>> = (0..3).map(|index| vec![40 * index as u8 + 60; PIXELS]).collect();
    let samples = samples(&model, &images);
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        for optimizer in
            OptimizerName::ALL.into_iter().filter(|name| name.norms().contains(&norm) && !name.is_nearest())
        {
            let attack = class_logit(Loss::Ce, Target::Untargeted, norm, &[0.1, 0.5]);
            let found = run(&model, &samples, &AttackConfig { optimizer, ..attack }, &[], 8);
            assert!(found.records.iter().all(|record| !record.flipped && record.margin_adv.is_finite()));
            // Where no gradient is asked for, none is missed.
            let status = if optimizer.step().backwards > 0 { Status::ZeroGradient } else { Status::Ok };
            assert!(found.records.iter().all(|record| record.status == status), "{optimizer:?}");
        }
        for record in distances(&model, &samples, norm, 1.0) {
            assert!(record.distance.is_infinite() && record.censored && record.linearized.is_infinite());
        }
    }
}

/// Law 5: NaN is flagged.
#[test]
fn nan_is_flagged_and_reaches_no_number() {
    let weight: Vec<f32> = (0..2 * PIXELS).map(|index| if index < PIXELS { 1.0 } else { -1.0 }).collect();
    let healthy = model(linear(&weight, &[-20.0, 0.0]), 2);
    let poisoned = model(Poisoned(linear(&weight, &[-20.0, 0.0])), 2);
    let samples = samples(&healthy, &[vec![250; PIXELS], vec![120; PIXELS]]);
    let attack = class_logit(Loss::Margin, Target::Untargeted, Norm::Linf, &[0.2]);
    let found = run(&poisoned, &samples, &attack, &[], 8);
    assert_eq!(found.records[0].status, Status::NonFinite);
    assert!(found.records.iter().all(|record| {
        [record.margin_clean, record.margin_adv, record.confidence_adv, record.linf, record.l2]
            .iter()
            .all(|n| n.is_finite())
    }));
    let distances = distances(&poisoned, &samples, Norm::Linf, 0.2);
    assert!(distances.iter().all(|record| !record.distance.is_nan() && !record.linearized.is_nan()));
    assert_eq!(distances[0].status, Status::NonFinite);
}

/// Laws 4 and 5: a unit's activation rises by its closed form, suppression lowers it, a dead unit is called dead.
#[test]
fn units_gain_what_their_weights_allow() {
    let weight: Vec<f32> = (0..2 * PIXELS).map(|index| (index as f32 * 0.7).sin()).collect();
    let model = model(linear(&weight, &[0.0, 50.0]), 2);
    let images: Vec<Vec<u8>> = vec![vec![128; PIXELS], vec![100; PIXELS]];
    let samples = samples(&model, &images);
    let driven = [DrivenUnit { unit: Unit::channel(0), control: false, deviation: 2.0, spread: None }];
    let reach = dual(&weight[..PIXELS], Norm::Linf) * 0.1;
    for (direction, sign) in [(Direction::Maximize, 1.0), (Direction::Suppress, -1.0)] {
        let found = run(&model, &samples, &units("scores", direction, Norm::Linf, &[0.1]), &driven, 8);
        let records = || found.records.iter().filter(|record| record.cell.kind == CellKind::Unit);
        assert_eq!(records().count(), 2);
        for record in records() {
            let gain = f64::from(record.activation_adv.unwrap() - record.activation_clean.unwrap());
            assert!((gain - sign * reach).abs() < 1e-3 * reach, "{gain} {reach}");
            assert!((f64::from(record.activation_gain_z.unwrap()) - gain / 2.0).abs() < 1e-3);
        }
        let noise = || found.records.iter().filter(|record| record.cell.kind == CellKind::ControlNoise);
        assert_eq!(noise().count(), 5 * samples.len());
        assert!(noise().all(|record| (f64::from(record.linf) - 0.1).abs() < 1e-6));
    }
    let dead = run(&model, &samples, &units("dead", Direction::Maximize, Norm::L2, &[0.5]), &driven, 8);
    let mut records = dead.records.iter().filter(|record| record.cell.kind == CellKind::Unit);
    assert!(records.all(|record| record.status == Status::DeadUnit && !record.flipped));
}

#[test]
fn misclassified_samples_are_not_attacked() {
    let weight: Vec<f32> = (0..2 * PIXELS).map(|index| (index as f32).cos()).collect();
    let model = model(linear(&weight, &[0.0, 0.0]), 2);
    let mut samples = samples(&model, &[vec![128; PIXELS]]);
    samples[0].label = 1 - samples[0].label;
    let found = run(&model, &samples, &class_logit(Loss::Logit, Target::Untargeted, Norm::Linf, &[0.5]), &[], 8);
    assert_eq!(found.records[0].status, Status::SkippedMisclassified);
    assert_eq!((found.records[0].forwards, found.records[0].flipped), (0, false));
    let distance = &distances(&model, &samples, Norm::Linf, 0.5)[0];
    assert_eq!((distance.distance, distance.censored), (0.0, false));
}
