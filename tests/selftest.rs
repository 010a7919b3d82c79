//! The attack unit test: planted adversarial points are found on the shipped models, and not on a model that misleads gradients.
#![cfg(feature = "torch")]

use std::path::Path;
use std::rc::Rc;

use am_eval::attack::{SelfTest, features_layer};
use am_eval::data::{self, Sample};
use am_eval::judge::{Bench, CleanBlock};
use am_eval::model::{Compute, Flow, Geometry, Model, ModelSource, Network, Probe};
use am_eval::record::{CheckKind, Evidence};
use am_eval::suite::{AttackConfig, ModelConfig, Normalize, OnDataError, Suite};
use am_eval::terms::{Epsilon, LayerName, Norm};
use tch::{Device, Tensor};

/// The default attack of suites, in both norms.
const SUITE: &str = r#"schema = 1
name = "selftest"
seed = 2

[data]
kind = "synthetic"
split = "test"
samples = SAMPLES

[[model]]
name = "m"
arch = "cifar/resnet8"
weights = "w"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[[attack]]
name = "linf"
kind = "class-logit"
loss = "margin"
norm = "linf"
epsilons = ["8/255"]
steps = 40

[[attack]]
name = "l2"
kind = "class-logit"
loss = "margin"
norm = "l2"
epsilons = [0.5]
steps = 40
"#;

fn suite(samples: usize) -> Suite {
    Suite::parse("s.toml", SUITE.replace("SAMPLES", &samples.to_string())).unwrap()
}

fn samples(suite: &Suite) -> Vec<Sample> {
    let dataset = data::open(&suite.data).unwrap();
    let selection = data::select(dataset.as_ref(), suite.data.samples, suite.seed, OnDataError::Fail).unwrap();
    selection.load_block(dataset.as_ref(), 0..selection.len()).unwrap()
}

fn shipped(arch: &str, file: &str, mean: [f32; 3], std: [f32; 3]) -> Model {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file);
    let config = ModelConfig::of_file(arch, &weights, Normalize { mean: mean.to_vec(), std: std.to_vec() });
    ModelSource::open(&config, Some([32, 32])).unwrap().build(Compute::f32(Device::Cpu)).unwrap()
}

fn synthetic() -> Model {
    shipped("cifar/resnet8", "synthetic-cnn.safetensors", [0.5; 3], [0.25; 3])
}

/// The evidence of both norms: self-test, then random points.
fn tested(model: Model, count: usize) -> Vec<Evidence> {
    let suite = suite(count);
    let model = Rc::new(model);
    let layer: LayerName = features_layer(&model).unwrap();
    let clean = CleanBlock::new(&model, &samples(&suite), &[], 16);
    let bench = Bench { model: &model, verifier: &model, clean: &clean, seed: 5, capacity: 64, poll: 1 };
    let of_attack = |attack: &AttackConfig| {
        let (norm, epsilon): (Norm, Epsilon) = (attack.norm, attack.epsilons[0]);
        let test = SelfTest { body: model.clone(), layer: &layer, attacks: vec![attack], norm, epsilon, bench };
        test.run(&(0..count).collect::<Vec<_>>())
    };
    suite.attacks.iter().flat_map(of_attack).collect()
}

fn counts(evidence: &[Evidence], check: CheckKind) -> Vec<(u64, u64)> {
    evidence.iter().filter(|piece| piece.check == check).map(|piece| (piece.found, piece.n)).collect()
}

/// Rounds what it is shown, and leads the gradient away by a term too small to change a prediction.
struct Misled(Model);

impl Network for Misled {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let rounded = (&pixels * 31.0).round() / 31.0;
        // The value of the rounded image with the gradient of its negative, a thousandth as steep.
        let led = &rounded - (&pixels - pixels.detach()) * 1e-3;
        self.0.forward(&led, probe)
    }
}

#[test]
fn planted_points_are_found_on_shipped_models() {
    let cifar = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
    let models = [
        ("synthetic-cnn", synthetic()),
        ("synthetic-vit", shipped("cifar/vit-c-tiny", "synthetic-vit.safetensors", [0.5; 3], [0.25; 3])),
        ("cifar10-resnet20", shipped("cifar/resnet20", "cifar10-resnet20.safetensors", cifar.0, cifar.1)),
        ("cifar10-resnet20-adv", shipped("cifar/resnet20", "cifar10-resnet20-adv.safetensors", cifar.0, cifar.1)),
        ("cifar10-vit", shipped("cifar/vit-c", "cifar10-vit.safetensors", cifar.0, cifar.1)),
    ];
    let (mut all_found, mut all) = (0, 0);
    for (name, model) in models {
        let evidence = tested(model, 6);
        for (found, planted) in counts(&evidence, CheckKind::SelfTest) {
            println!("{name}: {found} of {planted}, random {:?}", counts(&evidence, CheckKind::SelfTestNoise));
            assert!(planted >= 5, "{name}: {planted} points could be planted");
            (all_found, all) = (all_found + found, all + planted);
        }
        for (hits, draws) in counts(&evidence, CheckKind::SelfTestNoise) {
            assert!(hits * 10 <= draws, "{name}: {hits} of {draws} random points do as well as the planted ones");
        }
    }
    assert!(all_found as f64 >= 0.98 * all as f64, "{all_found} of {all}");
}

#[test]
fn planted_points_are_missed_where_gradients_mislead() {
    let inner = synthetic();
    let geometry = Geometry { channels: 3, height: 32, width: 32, classes: inner.classes };
    let plain = Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] };
    let misled = Model::custom("misled", Box::new(Misled(inner)), geometry, &plain);
    for (found, planted) in counts(&tested(misled, 6), CheckKind::SelfTest) {
        assert!(planted >= 5 && found * 4 <= planted, "{found} of {planted}");
    }
}
