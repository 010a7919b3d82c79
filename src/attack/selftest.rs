//! An attack unit test: does the suite's attack find an adversarial point that is known to exist?
//!
//! After Zimmermann, Brendel, Tramer and Carlini 2022 ("Increasing Confidence in Adversarial Robustness Evaluations",
//! <https://arxiv.org/abs/2206.13991>): around a sample, points are drawn inside the ball, and one on its surface. A linear readout on the
//! network's own features tells that one from the others. The readout is a classifier of two classes, and by construction it has an
//! adversarial image inside the ball, so an attack that finds none is misled by the network: whatever else it reports is worth nothing.

use std::ops::ControlFlow;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::{AttackBlock, Learned};
use crate::judge::{Bench, CleanBlock};
use crate::model::{Flow, Model, Network, Probe, Tap};
use crate::objective::unit_means;
use crate::random::Noise;
use crate::record::{CheckKind, Evidence};
use crate::region::{Balls, Regions};
use crate::rows::{Drives, Entrants, Row, doubles};
use crate::suite::AttackConfig;
use crate::suite::controls::{FRESH, POINTS, on_two_classes};
use crate::terms::{Epsilon, LayerName, Norm};

/// How far below the planted point's score the readout's threshold lies, as a share of its lead over all other points.
const SLACK: f64 = 0.1;

/// What a self-test runs with.
pub struct SelfTest<'a> {
    /// The model, in f32, whose features are read.
    pub body: Rc<Model>,
    /// The layer of the features.
    pub layer: &'a LayerName,
    /// The suite's class-logit attacks in this norm.
    pub attacks: Vec<&'a AttackConfig>,
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub epsilon: Epsilon,
    /// Models, samples and room.
    pub bench: Bench<'a>,
}

/// The layer whose features a self-test reads if the suite names none: the last one before the classifier. None for a network that shows
/// no layer besides its logits.
pub fn features_layer(model: &Model) -> Option<LayerName> {
    let layers = model.layers();
    let inner = layers.iter().rev().find(|layer| layer.shape != [model.classes])?;
    Some(inner.name.clone())
}

/// Two logits from the features of a network's layer: above 0 for the planted point's class, which is 1.
struct Readout {
    body: Rc<Model>,
    layer: LayerName,
    /// `[D]`.
    weight: Tensor,
    threshold: f64,
}

impl Network for Readout {
    fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
        let score = features(&self.body, &self.layer, &pixels).matmul(&self.weight) - self.threshold;
        ControlFlow::Continue(Tensor::stack(&[-&score, score], 1))
    }
}

/// The mean features `[N, D]` of a layer.
fn features(body: &Model, layer: &LayerName, pixels: &Tensor) -> Tensor {
    let mut tap = Tap::leaving(layer);
    let _ = body.forward(pixels, &mut tap);
    match tap.into_activation() {
        Some(activation) => unit_means(&activation, body.tokens()).to_kind(Kind::Float),
        None => unreachable!("the layer was looked up when the suite was prepared"),
    }
}

impl SelfTest<'_> {
    /// Plants a point near each of `samples` and attacks it. Samples whose point the features do not tell from the others count nothing.
    pub fn run(&self, samples: &[usize]) -> Vec<Evidence> {
        let (mut planted, mut found, mut by_noise) = (0, 0, 0);
        for &sample in samples {
            let Some((readout, noise_hits)) = self.plant(sample) else { continue };
            planted += 1;
            by_noise += noise_hits;
            found += u64::from(self.is_found(&readout, sample));
        }
        let evidence = |check: CheckKind, n: u64, found: u64| Evidence {
            model: self.body.name.clone(),
            check,
            attack: String::new(),
            norm: self.norm,
            epsilon: self.epsilon,
            n,
            found,
        };
        let random = evidence(CheckKind::SelfTestNoise, planted * FRESH as u64, by_noise);
        vec![evidence(CheckKind::SelfTest, planted, found), random]
    }

    /// A readout that calls one point on the ball's surface class 1 and the clean image and all other drawn points class 0, and how many
    /// fresh random points it calls class 1.
    fn plant(&self, sample: usize) -> Option<(Model, u64)> {
        let clean = self.bench.clean;
        let center = clean.pixels.narrow(0, sample as i64, 1);
        let inside = self.points(sample, "inside", POINTS / 2, false);
        let surface = self.points(sample, "surface", POINTS / 2 + 1 + FRESH, true);
        let all = Tensor::cat(&[center, inside, surface], 0);
        let values = tch::no_grad(|| {
            let count = all.size()[0];
            let chunk = self.bench.capacity.max(1) as i64;
            let part = |start: i64| features(&self.body, self.layer, &all.narrow(0, start, chunk.min(count - start)));
            let parts: Vec<Tensor> = (0..count).step_by(chunk as usize).map(part).collect();
            Tensor::cat(&parts, 0).to_device(tch::Device::Cpu).to_kind(Kind::Double)
        });
        let known = values.narrow(0, 0, 1 + POINTS as i64 / 2 * 2);
        let target = values.get(1 + POINTS as i64 / 2 * 2);
        let weight = direction(&known, &target);
        let scores = doubles(&values.matmul(&weight));
        let (others, rest) = scores.split_at(known.size()[0] as usize);
        let (logit, fresh) = (rest[0], &rest[1..]);
        let highest = others.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lead = logit - highest;
        if !lead.is_finite() || lead <= 1e-6 * logit.abs().max(highest.abs()) {
            return None;
        }
        let threshold = logit - SLACK * lead;
        let hits = fresh.iter().filter(|&&score| score > threshold).count() as u64;
        // In units of the lead, so that logits have an ordinary size.
        let weight = (weight / lead).to_kind(Kind::Float).to_device(self.body.device());
        let readout =
            Readout { body: self.body.clone(), layer: self.layer.clone(), weight, threshold: threshold / lead };
        Some((self.body.with_head(Box::new(readout), 2), hits))
    }

    /// Random points of the ball around a sample `[count, C, H, W]`.
    fn points(&self, sample: usize, purpose: &str, count: usize, surface: bool) -> Tensor {
        let clean = self.bench.clean;
        let noise = Noise::new(self.bench.seed, "self-test");
        let row = |restart: usize| Row { sample, epsilon: self.epsilon, restart, drives: Drives::Away };
        let rows: Vec<Row> = (0..count).map(row).collect();
        let key = |row: &Row| format!("{purpose}/{}", row.key(&clean.ids[sample]));
        let keys: Vec<String> = rows.iter().map(key).collect();
        let size = clean.pixels.size();
        let center = clean.pixels.narrow(0, sample as i64, 1).expand([count as i64, size[1], size[2], size[3]], true);
        let entrants = Entrants { rows: &rows, keys: &keys, noise: &noise, center: center.contiguous(), steps: 0 };
        let region = Balls(self.norm).around(&entrants);
        if surface { region.full_noise(&entrants) } else { region.start(&entrants, &vec![true; count]) }
    }

    /// Whether one of the attacks finds an image of class 1.
    fn is_found(&self, readout: &Model, sample: usize) -> bool {
        let clean = self.bench.clean;
        let pixels = clean.pixels.narrow(0, sample as i64, 1);
        let block = CleanBlock::judged(readout, vec![clean.ids[sample].clone()], vec![0], pixels, &[], 1);
        let bench = Bench { model: readout, verifier: readout, clean: &block, ..self.bench };
        self.attacks.iter().filter_map(|attack| on_two_classes(attack, self.epsilon)).any(|attack| {
            let run = AttackBlock {
                attack: &attack,
                dataset: "",
                bench,
                units: &[],
                victims: &[],
                learned: &Learned::default(),
                keep_images: false,
                looked_into: false,
            };
            run.run().records.iter().any(|record| record.flipped)
        })
    }
}

/// The direction `[D]` in which `target` `[D]` stands out most from `known` `[N, D]`: Fisher's linear discriminant.
fn direction(known: &Tensor, target: &Tensor) -> Tensor {
    let mean = known.mean_dim([0i64].as_slice(), false, Kind::Double);
    let spread = known - &mean;
    let covariance = spread.tr().matmul(&spread) / known.size()[0] as f64;
    let size = covariance.size()[0];
    let ridge = (covariance.trace() * (1e-3 / size as f64)).clamp_min(f64::MIN_POSITIVE);
    let whitened = covariance + Tensor::eye(size, (Kind::Double, tch::Device::Cpu)) * ridge;
    let direction = Tensor::linalg_solve(&whitened, &(target - mean).unsqueeze(1), true).squeeze_dim(1);
    let length = direction.square().sum(Kind::Double).sqrt().clamp_min(f64::MIN_POSITIVE);
    direction / length
}
