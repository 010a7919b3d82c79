//! What the search promises whatever it is fed: verifiers that disagree with it, rare looks, and one pass where one is enough.

use std::cell::Cell;
use std::rc::Rc;

use am_eval::attack::{ByMargin, Learned};
use am_eval::objective::LogitObjective;
use am_eval::optimizer::Pace;
use am_eval::random::Noise;
use am_eval::region::Balls;
use am_eval::rows::{Drives, Row};
use am_eval::search::{Criterion, Found, Retain, Search};
use am_eval::suite::{Preset, WHOLE_BUDGET};

use super::*;

/// Runs one row for each sample that may be attacked.
fn searched(bench: Bench, optimizer: OptimizerName, criterion: Criterion, epsilon: f64, steps: usize) -> Found {
    let predictions = bench.clean.predictions();
    let search = Search {
        bench,
        regions: &Balls(Norm::Linf),
        objective: &|rows| Box::new(LogitObjective::new(Loss::Margin, rows, &predictions, tch::Device::Cpu)),
        optimizer,
        pace: Pace::new(steps, None),
        criterion,
        referee: &ByMargin(bench),
        views: None,
        noise: Noise::new(1, "law"),
        retain: Retain::All,
        known: None,
    };
    let epsilon = Epsilon::new(epsilon).unwrap();
    let row = |sample| vec![Row { sample, epsilon, restart: 0, drives: Drives::Away }];
    search.run(bench.attacked().into_iter().map(row).collect())
}

/// Two classes whose margin at grey is `margin`, with weights of both signs.
pub fn two_classes(margin: f32) -> Linear {
    let weight: Vec<f32> = (0..PIXELS).map(|index| if index % 2 == 0 { 0.5 } else { -0.5 }).collect();
    let both: Vec<f32> = weight.iter().copied().chain(weight.iter().map(|w| -w)).collect();
    linear(&both, &[margin / 2.0, -margin / 2.0])
}

/// A search that believes in flips too early: each is sent back until the verifier agrees, and counted.
#[test]
fn a_verifier_that_disagrees_has_the_last_word() {
    let (hasty, sober) = (model(two_classes(0.2), 2), model(two_classes(1.0), 2));
    let samples = samples(&sober, &[vec![128; PIXELS], vec![127; PIXELS]]);
    let clean = CleanBlock::new(&sober, &samples, &[], 8);
    // The true distance is 1.0 / 48; the hasty model flips at a fifth of it.
    for (epsilon, flips) in [(0.03, true), (0.015, false)] {
        for poll in [1, 3] {
            let bench = Bench { model: &hasty, verifier: &sober, poll, ..bench(&sober, &clean, 8) };
            let found = searched(bench, OptimizerName::Steepest, Criterion::first(1), epsilon, 20);
            assert!(found.unconfirmed >= 2, "{}", found.unconfirmed);
            for row in found.chains.iter().flatten() {
                assert_eq!(row.flipped, flips, "{epsilon}, poll {poll}");
                assert!(row.steps <= 20 && row.backwards == row.steps);
                assert!(row.flipped || row.steps == 20, "a row that is not confirmed uses all its steps");
            }
        }
    }
}

/// NaN for images that are grey all over.
struct NanAtGrey(Linear);

impl Network for NanAtGrey {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let flat = pixels.flatten(1, -1);
        let grey = flat.eq_tensor(&flat.narrow(1, 0, 1)).all_dim(1, true);
        let logits = self.0.forward(pixels, probe)?;
        ControlFlow::Continue(logits.masked_fill(&grey, f64::NAN))
    }
}

/// What went wrong before a hit that is not confirmed is still known when the row ends.
#[test]
fn rows_that_are_sent_back_keep_their_flags() {
    let (hasty, sober) = (model(NanAtGrey(two_classes(0.2)), 2), model(two_classes(1.0), 2));
    let samples = samples(&sober, &[vec![128; PIXELS]]);
    let clean = CleanBlock::new(&sober, &samples, &[], 8);
    let bench = Bench { model: &hasty, verifier: &sober, ..bench(&sober, &clean, 8) };
    let found = searched(bench, OptimizerName::Steepest, Criterion::first(1), 0.03, 20);
    let row = &found.chains[0][0];
    assert!(found.unconfirmed > 0 && row.flipped && row.non_finite);
}

/// Whether a row is done is seen now and then only; what it found at its first flip is kept until then.
#[test]
fn rare_looks_change_no_image() {
    let model = model(two_classes(1.0), 2);
    let images: Vec<Vec<u8>> = (0..5).map(|shade| vec![120 + shade; PIXELS]).collect();
    let samples = samples(&model, &images);
    let clean = CleanBlock::new(&model, &samples, &[], 8);
    let run = |poll| {
        let bench = Bench { poll, ..bench(&model, &clean, 3) };
        searched(bench, OptimizerName::Steepest, Criterion::first(1), 0.03, 20)
    };
    let (each, rare) = (run(1), run(5));
    for (often, seldom) in each.chains.iter().flatten().zip(rare.chains.iter().flatten()) {
        assert!(often.flipped && seldom.flipped && often.image == seldom.image);
        assert!((2..20).contains(&often.steps) && seldom.steps >= often.steps, "{} {}", often.steps, seldom.steps);
        assert_eq!(seldom.forwards - often.forwards, seldom.steps - often.steps);
    }
}

/// What a network has been asked so far.
#[derive(Default)]
struct PassCounter {
    images: Cell<u64>,
    batches: Cell<u64>,
}

impl PassCounter {
    fn forget(&self) {
        self.images.set(0);
        self.batches.set(0);
    }
}

/// A linear network that counts the images it sees.
struct Counting(Linear, Rc<PassCounter>);

impl Network for Counting {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        self.1.images.set(self.1.images.get() + pixels.size()[0] as u64);
        self.1.batches.set(self.1.batches.get() + 1);
        self.0.forward(pixels, probe)
    }
}

fn counting(weight: &[f32], bias: &[f32]) -> (Model, Rc<PassCounter>) {
    let counter = Rc::new(PassCounter::default());
    (model(Counting(linear(weight, bias), counter.clone()), bias.len() as i64), counter)
}

/// Law 6: one clean pass gives judgements, logits and all units' activations, and every pass of an attack stands in a record.
#[test]
fn every_pass_is_counted_and_none_is_made_twice() {
    let weight: Vec<f32> = (0..4 * PIXELS).map(|index| (index as f32 * 0.7).sin()).collect();
    let (model, counter) = counting(&weight, &[0.0; 4]);
    let samples = samples(&model, &[vec![128; PIXELS], vec![100; PIXELS], vec![30; PIXELS]]);
    let mut attack = units("scores", Direction::Maximize, Norm::Linf, &[0.05, 0.1]);
    attack.restarts = 2;
    let watched: Vec<_> = kind(&attack.goal).watched().into_iter().collect();
    counter.forget();
    let clean = CleanBlock::new(&model, &samples, &watched, 2);
    assert_eq!(counter.images.get(), samples.len() as u64);
    let driven: Vec<DrivenUnit> = (0..4)
        .map(|unit| DrivenUnit { unit: Unit::channel(unit), control: unit == 3, deviation: 1.0, spread: None })
        .collect();
    counter.forget();
    let block = AttackBlock {
        attack: &attack,
        dataset: "test",
        bench: bench(&model, &clean, 5),
        units: &driven,
        victims: &[],
        learned: &Learned::default(),
        keep_images: false,
        looked_into: true,
    };
    let forwards: u64 = block.run().records.iter().map(|record| u64::from(record.forwards)).sum();
    assert_eq!(counter.images.get(), forwards);
    // The planned bound of a row: each optimizer's own closed form.
    let bound = attack.optimizer.row(attack.steps as u64).forwards * (samples.len() * 4 * 2 * 2) as u64;
    assert!(forwards <= bound + 5 * 2 * 2 * samples.len() as u64, "{forwards}");
}

/// A near miss is attacked from several starts side by side: a batch for each step of a part, not one for each step of each start.
#[test]
fn a_near_miss_fills_its_batches() {
    let weight: Vec<f32> = (0..PIXELS).map(|index| 0.02 * (index as f32 * 0.7).sin()).collect();
    let reach: f32 = weight.iter().map(|w| w.abs()).sum();
    let centre = weight.iter().sum::<f32>() * 128.0 / 255.0;
    let (model, counter) = counting(&[weight, vec![0.0; PIXELS]].concat(), &[0.1 * reach - centre, 0.0]);
    let samples = samples(&model, &[vec![128; PIXELS]]);
    let goal = ClassLogitGoal { target: Target::Untargeted, loss: Loss::Margin, preset: Some(Preset::AmStandard) };
    let (goal, steps) = (Goal::ClassLogit(goal), WHOLE_BUDGET);
    let attack = AttackConfig { goal, steps, ..class_logit(Loss::Margin, Target::Untargeted, Norm::Linf, &[0.097]) };
    counter.forget();
    let found = run(&model, &samples, &attack, &[], 64);
    assert!(!found.records[0].flipped && found.records[0].margin_adv < 0.1 * found.records[0].margin_clean);
    let parts = Preset::AmStandard.parts(Norm::Linf, 2);
    let images: usize = parts.iter().map(|part| part.steps * part.rows(2)).sum();
    let batches: usize = parts.iter().map(|part| part.steps).sum();
    let counter = (counter.images.get() as usize, counter.batches.get() as usize);
    assert!((images..images + 40).contains(&counter.0) && (batches..batches + 40).contains(&counter.1), "{counter:?}");
}

/// Two classes as far apart as `margin` at grey, the true one being either.
fn either(true_class: usize, margin: f32) -> Model {
    let weight: Vec<f32> = (0..PIXELS).map(|index| 0.02 * (index as f32 * 0.7).sin()).collect();
    let zero = vec![0.0; PIXELS];
    let centre = weight.iter().sum::<f32>() * 128.0 / 255.0;
    let (weights, bias) = match true_class {
        0 => ([zero, weight].concat(), [0.0, -margin - centre]),
        _ => ([weight, zero].concat(), [-margin - centre, 0.0]),
    };
    model(linear(&weights, &bias), 2)
}

/// Closed forms with class 0 as the true class too: masks by multiplication, and targets of 0, go wrong there alone.
#[test]
fn either_class_can_be_the_true_one() {
    let reach: f64 = (0..PIXELS).map(|index| f64::from(0.02 * (index as f32 * 0.7).sin()).abs()).sum();
    for true_class in [0, 1] {
        for (share, flips) in [(0.98, false), (1.02, true)] {
            let model = either(true_class, (0.1 * reach) as f32);
            let samples = samples(&model, &[vec![128; PIXELS]]);
            assert_eq!(samples[0].label as usize, true_class);
            let clean = CleanBlock::new(&model, &samples, &[], 8);
            for optimizer in [OptimizerName::Steepest, OptimizerName::Momentum, OptimizerName::Apgd] {
                let found = searched(bench(&model, &clean, 8), optimizer, Criterion::first(1), 0.1 * share, 20);
                assert_eq!(found.chains[0][0].flipped, flips, "{optimizer:?}, class {true_class}");
            }
        }
    }
}

/// An attack that goes on after a flip ends on the surface of its ball, and knows the nearest flip that it passed: the first iterate beyond
/// the boundary, at most a step from it.
#[test]
fn attacks_that_go_on_know_the_nearest_flip_that_they_passed() {
    let reach: f64 = (0..PIXELS).map(|index| f64::from(0.02 * (index as f32 * 0.7).sin()).abs()).sum();
    for true_class in [0, 1] {
        let model = either(true_class, (0.1 * reach) as f32);
        let samples = samples(&model, &[vec![128; PIXELS]]);
        let on = AttackConfig {
            stop: Stop::Budget,
            steps: 20,
            ..class_logit(Loss::Margin, Target::Untargeted, Norm::Linf, &[0.05, 0.3])
        };
        let records = run(&model, &samples, &on, &[], 8).records;
        // Nothing flips in the smaller ball.
        assert!(!records[0].flipped && records[0].nearest_flip.is_none());
        assert!(records[1].flipped && (records[1].linf - 0.3).abs() < 1e-6);
        let (nearest, step) = (records[1].nearest_flip.expect("three steps do not flip, four do"), 2.5 * 0.3 / 20.0);
        assert!(nearest > 0.1 - 1e-6 && nearest < 0.1 + step + 1e-6, "{nearest}");
        // Steps, the last image, the nearest flip and the rounded image.
        assert_eq!((records[1].forwards, records[1].backwards), (24, 20));
        let first = run(&model, &samples, &AttackConfig { stop: Stop::Flip, ..on }, &[], 8).records;
        assert!(first[1].flipped && first[1].nearest_flip.is_none());
    }
}

/// Where steps of one length stay on a plateau's edge, steps that adapt find the best point of a narrow ridge.
#[test]
fn steps_that_adapt_end_nearer_to_the_top() {
    let model = model(Ridge, 2);
    let samples = samples(&model, &[vec![128; PIXELS]]);
    let clean = CleanBlock::new(&model, &samples, &[], 8);
    let best = |optimizer| {
        let found = searched(bench(&model, &clean, 8), optimizer, Criterion::best(), 0.1, 50);
        found.chains[0][0].measure
    };
    let (fixed, adapted) = (best(OptimizerName::Steepest), best(OptimizerName::Apgd));
    assert!(adapted > fixed, "{adapted} {fixed}");
}

/// A margin of at least 1, which is least at distances from grey that no step of one length meets.
struct Ridge;

impl Network for Ridge {
    fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
        let flat = pixels.flatten(1, -1);
        let top = Tensor::linspace(0.013, 0.087, PIXELS as i64, (Kind::Float, tch::Device::Cpu)) + 128.0 / 255.0;
        let off = (flat - top).abs().sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        ControlFlow::Continue(Tensor::cat(&[off + 1.0, pixels.flatten(1, -1).narrow(1, 0, 1) * 0.0], 1))
    }
}

/// Random search finds what gradients would, without one; where it finds nothing, no gradient was missed.
#[test]
fn square_attack_needs_no_gradient() {
    let reach: f64 = (0..PIXELS).map(|index| f64::from(0.02 * (index as f32 * 0.7).sin()).abs()).sum();
    for true_class in [0, 1] {
        for (radius, flips) in [(0.098, false), (0.4, true)] {
            let model = either(true_class, (0.1 * reach) as f32);
            let samples = samples(&model, &[vec![128; PIXELS], vec![129; PIXELS]]);
            let clean = CleanBlock::new(&model, &samples, &[], 8);
            let found = searched(bench(&model, &clean, 8), OptimizerName::Square, Criterion::first(1), radius, 400);
            for row in found.chains.iter().flatten() {
                assert_eq!(row.flipped, flips, "{radius}, class {true_class}");
                assert!(row.lengths.linf <= radius * (1.0 + 1e-6) && row.backwards == 0 && !row.zero_gradient);
            }
        }
    }
}

/// The nearest flip of a linear model is as near as its margin over the dual norm of its weights, whichever class is the true one.
#[test]
fn minimal_norm_methods_end_at_the_closed_form() {
    let weights: Vec<f32> = (0..PIXELS).map(|index| 0.02 * (index as f32 * 0.7).sin()).collect();
    for true_class in [0, 1] {
        for (norm, distance) in [(Norm::Linf, 0.1), (Norm::L2, 0.5), (Norm::L1, 0.3)] {
            let model = either(true_class, (distance * dual(&weights, norm)) as f32);
            let samples = samples(&model, &[vec![128; PIXELS]]);
            let clean = CleanBlock::new(&model, &samples, &[], 8);
            let config = BoundaryConfig {
                norm,
                methods: vec![BoundaryMethod::Path, BoundaryMethod::Fmn, BoundaryMethod::Fab, BoundaryMethod::Apgd],
                max_radius: Epsilon::new(4.0 * distance).unwrap(),
                steps: 100,
                loss: Loss::Margin,
                bisections: 20,
                target: Target::Untargeted,
            };
            let (records, _) = BoundaryBlock { config: &config, bench: bench(&model, &clean, 8) }.run();
            let methods: Vec<&str> = records.iter().map(|record| &*record.method).collect();
            assert_eq!(methods, ["path", "fmn", "fab", "apgd"]);
            for (record, method) in records.iter().zip(&config.methods) {
                let ratio = record.distance / distance;
                let most = if *method == BoundaryMethod::Path { 1.01 } else { 1.001 };
                assert!((0.999..most).contains(&ratio), "{method:?}, {norm}, class {true_class}: {ratio}");
                assert!(record.bracket < 1e-3 * distance && record.status == Status::Ok);
                let bound = method.passes(&config);
                assert!(u64::from(record.forwards) <= bound.forwards, "{} {}", record.forwards, bound.forwards);
            }
            // A radius that is too small censors, and says so.
            let config = BoundaryConfig { max_radius: Epsilon::new(0.9 * distance).unwrap(), ..config };
            let (records, _) = BoundaryBlock { config: &config, bench: bench(&model, &clean, 8) }.run();
            assert!(records.iter().all(|record| record.censored && record.status == Status::Censored));
        }
    }
}

/// Where the exact pass cannot tell which logit is the largest at the nearest flip of the search, the distance ends a little farther
/// out, where it can: the flip is not lost.
#[test]
fn a_nearest_flip_that_cannot_be_told_is_looked_for_farther_out() {
    // Beside 10,000 a margin of less than 0.002 is not told. The search crosses its boundary a step of f32 before the verifier does.
    let (distance, step) = (0.1, 1.0f32 / 1024.0);
    let weight: Vec<f32> = (0..PIXELS).map(|index| 0.02 * (index as f32 * 0.7).sin()).collect();
    let centre = weight.iter().sum::<f32>() * 128.0 / 255.0;
    let margin = (distance * dual(&weight, Norm::Linf)) as f32;
    let far = |margin: f32| {
        let weights = [vec![0.0; PIXELS], weight.clone()].concat();
        model(linear(&weights, &[1e4, 1e4 - margin - centre]), 2)
    };
    let (hasty, sober) = (far(margin), far(margin + step));
    let samples = samples(&sober, &[vec![128; PIXELS]]);
    let clean = CleanBlock::new(&sober, &samples, &[], 8);
    let config = BoundaryConfig {
        norm: Norm::Linf,
        methods: vec![BoundaryMethod::Fmn, BoundaryMethod::Apgd],
        max_radius: Epsilon::new(4.0 * distance).unwrap(),
        steps: 100,
        loss: Loss::Margin,
        bisections: 10,
        target: Target::Untargeted,
    };
    let bench = Bench { model: &hasty, ..bench(&sober, &clean, 8) };
    let (records, _) = BoundaryBlock { config: &config, bench }.run();
    for record in &records {
        let ratio = record.distance / distance;
        assert!(!record.censored && record.status == Status::Ok, "{}: lost", record.method);
        assert!((1.0..1.1).contains(&ratio), "{}: {ratio}", record.method);
    }
}

/// Lengths of the shortest ways along `normals` until they have gained `gaps`, inside the box, by bisection over the common multiplier:
/// the exact distances of a linear model.
fn exact(image: &[f64], normal: &[f64], gap: f64, norm: Norm) -> f64 {
    let way = |multiplier: f64| -> Vec<f64> {
        let step = |(x, w): (&f64, &f64)| {
            let wish = if norm == Norm::Linf { w.signum() * multiplier } else { w * multiplier };
            (x + wish).clamp(0.0, 1.0) - x
        };
        image.iter().zip(normal).map(step).collect()
    };
    let gain = |way: &[f64]| way.iter().zip(normal).map(|(d, w)| d * w).sum::<f64>();
    let (mut low, mut high) = (0.0, 1e4);
    if gain(&way(high)) < gap {
        return f64::INFINITY;
    }
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        *(if gain(&way(middle)) < gap { &mut low } else { &mut high }) = middle;
    }
    let way = way(high);
    match norm {
        Norm::Linf => way.iter().fold(0.0, |most: f64, d| most.max(d.abs())),
        _ => way.iter().map(|d| d * d).sum::<f64>().sqrt(),
    }
}

/// Every method ends at the closed form in a linear model with several classes, where the box limits the way (many values are 0 or 255),
/// whichever class is the true one: 0 too. To one class there is no closed form: it has to be reached, not nearer than its own plane.
#[test]
fn minimal_norm_methods_end_at_the_closed_form_among_classes_and_in_the_box() {
    const CLASSES: usize = 4;
    let noise = am_eval::random::Noise::new(7, "laws");
    let weight = noise.uniform("weight", CLASSES * PIXELS);
    let pixel = |value: &f32| (128.0 + 180.0 * value).clamp(0.0, 255.0) as u8;
    let images: Vec<Vec<u8>> =
        (0..16).map(|i| noise.uniform(&format!("image {i}"), PIXELS).iter().map(pixel).collect()).collect();
    // Every class is as likely for a grey image, so that boundaries are near.
    let centred = |class: usize| weight[class * PIXELS..(class + 1) * PIXELS].iter().sum::<f32>() * -0.5;
    let bias: Vec<f32> = (0..CLASSES).map(centred).collect();
    let model = model(linear(&weight, &bias), CLASSES as i64);
    let samples = samples(&model, &images);
    assert!(samples.iter().any(|sample| sample.label == 0) && samples.iter().any(|sample| sample.label > 0));
    let clean = CleanBlock::new(&model, &samples, &[], 8);
    let mut far = Vec::new();
    let rules = [Target::Untargeted, Target::LeastLikely];
    for (norm, target) in [Norm::Linf, Norm::L2].into_iter().flat_map(|norm| rules.map(|rule| (norm, rule))) {
        let methods: Vec<BoundaryMethod> = BoundaryMethod::ALL
            .into_iter()
            .filter(|method| method.norms().contains(&norm) && *method != BoundaryMethod::Path)
            .collect();
        assert_eq!(methods.len(), if norm == Norm::L2 { 6 } else { 4 });
        let max_radius = Epsilon::new(if norm == Norm::L2 { 6.0 } else { 1.0 }).unwrap();
        let (steps, loss, bisections) = (60, Loss::Margin, 20);
        let config = BoundaryConfig { norm, methods, max_radius, steps, loss, bisections, target };
        let (records, _) = BoundaryBlock { config: &config, bench: bench(&model, &clean, 8) }.run();
        for (place, record) in records.iter().enumerate() {
            let sample = place % samples.len();
            let image: Vec<f64> = images[sample].iter().map(|&value| f64::from(value) / 255.0).collect();
            let class_of_sample = samples[sample].label as usize;
            let row = |class: usize| weight[class * PIXELS..(class + 1) * PIXELS].iter().map(|&w| f64::from(w));
            let logit = |class: usize| row(class).zip(&image).map(|(w, x)| w * x).sum::<f64>() + f64::from(bias[class]);
            let mut others: Vec<usize> = (0..CLASSES).filter(|&class| class != class_of_sample).collect();
            if target == Target::LeastLikely {
                others.sort_by(|&a, &b| logit(a).total_cmp(&logit(b)));
                others.truncate(1);
                assert!(record.censored || record.adv_pred as usize == others[0], "{record:?}");
            }
            let nearest = others
                .into_iter()
                .map(|class| {
                    let normal: Vec<f64> = row(class).zip(row(class_of_sample)).map(|(a, b)| a - b).collect();
                    exact(&image, &normal, logit(class_of_sample) - logit(class), norm)
                })
                .fold(f64::INFINITY, f64::min);
            let ratio = record.distance / nearest;
            let most = if target == Target::Untargeted { 1.001 } else { 2.0 };
            if !(0.9999..most).contains(&ratio) {
                far.push(format!("{}, {norm}, sample {sample}: {ratio}", record.method));
            }
            let bound = config.methods[place / samples.len()].passes(&config);
            let spent = (u64::from(record.forwards), u64::from(record.backwards));
            assert!(
                spent.0 <= bound.forwards + 1 && spent.1 <= bound.backwards + 9,
                "{}: {spent:?}, {bound:?}",
                record.method
            );
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

/// Logits that libtorch cannot follow back to the pixels.
struct Detached(Linear);

impl Network for Detached {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        self.0.forward(pixels.detach(), probe)
    }
}

/// A model without gradients, which runs refuse, crashes nothing that is run on it all the same, and is flagged.
#[test]
fn models_without_gradients_crash_nothing() {
    let model = model(Detached(two_classes(1.0)), 2);
    let samples = samples(&model, &[vec![128; PIXELS]]);
    let clean = CleanBlock::new(&model, &samples, &[], 8);
    let found = searched(bench(&model, &clean, 8), OptimizerName::Steepest, Criterion::first(1), 0.01, 5);
    assert!(found.chains[0][0].zero_gradient && !found.chains[0][0].flipped);
    for record in distances(&model, &samples, Norm::L2, 1.0) {
        assert!(record.linearized.is_infinite() && record.censored);
    }
}
