//! One row of an attack, step by step: what a search keeps only the end of.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};

use super::{AttackBlock, kind};
use crate::judge::Lengths;
use crate::model::NoProbe;
use crate::objective::{Objective, margin, pick};
use crate::optimizer::{self, Needs, Pace, Pass, Seen, gradient};
use crate::region::{Balls, Regions};
use crate::rows::{Drives, Entrants, Row, floats, integers};
use crate::terms::{Norm, Unit};

/// What is seen at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Length of the perturbation in the attack's norm.
    pub length: f64,
    /// What the attack maximizes.
    pub objective: f32,
    /// Logit of the clean prediction less the best other.
    pub margin: f32,
    /// The predicted class.
    pub prediction: i64,
}

/// Makes the objective of some rows.
pub type ObjectiveOf<'a> = dyn Fn(&[Row]) -> Box<dyn Objective> + 'a;

/// What a row does that is followed.
pub struct Way<'a> {
    /// What it drives.
    pub drives: Drives,
    /// The class that it drives towards, if it does.
    pub target: Option<i64>,
    /// What it maximizes.
    pub objective: Box<ObjectiveOf<'a>>,
}

/// A row's way from the clean image on.
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
    /// Their images `[1, C, H, W]`.
    pub images: Vec<Tensor>,
    /// The class that was driven towards, if one was.
    pub target: Option<i64>,
}

impl Trace {
    /// The first step that flips the prediction.
    pub fn first_flip(&self, clean: i64) -> Option<usize> {
        self.steps.iter().position(|step| step.prediction != clean)
    }
}

impl AttackBlock<'_> {
    /// Follows the attack on one sample in its largest ball, from the clean image; `unit` is what a unit attack drives. None for
    /// compositions, which have several ways.
    pub fn trace(&self, sample: usize, unit: Option<Unit>) -> Option<Trace> {
        let bench = self.bench;
        let predictions = bench.clean.predictions();
        let epsilon = *self.attack.epsilons.iter().max()?;
        let kind = kind(&self.attack.goal);
        let Way { drives, target, objective } = kind.way(self, sample, unit)?;
        let rows = [Row { sample, epsilon, restart: 0, drives }];
        let objective = objective(&rows);
        let keys = [rows[0].key(&bench.clean.ids[sample])];
        let noise = self.noise("start");
        let center = bench.clean.pixels.narrow(0, sample as i64, 1);
        let entrants = Entrants {
            rows: &rows,
            keys: &keys,
            noise: &noise,
            center: center.shallow_clone(),
            steps: self.attack.steps,
        };
        let region = Balls(self.attack.norm).around(&entrants);
        let first = region.start(&entrants, &[false]);
        let pace = Pace::new(self.attack.steps, self.attack.step_size);
        let mut optimizer = optimizer::find(self.attack.optimizer)(pace, &entrants, first, &*region);
        let mut trace = Trace { steps: Vec::new(), images: Vec::new(), target };
        for step in 0..=self.attack.steps {
            let query = optimizer.query().detach();
            let needs = optimizer.needs();
            let pixels = query.detach().set_requires_grad(needs != Needs::Score);
            let scored = tch::with_grad(|| objective.score(bench.verifier, &pixels, true));
            let logits = scored.logits?;
            trace.add(self.attack.norm, &query, &center, &scored.score.detach(), &logits.detach(), predictions[sample]);
            if step == self.attack.steps {
                break;
            }
            let slope =
                (needs == Needs::Gradient).then(|| gradient(&scored.score, &pixels, false).nan_to_num(0.0, 0.0, 0.0));
            let pass = (needs == Needs::Logits).then(|| Pass::new(&logits, &pixels));
            if step == 0 && slope.as_ref().is_some_and(|slope| slope.abs().max().double_value(&[]) == 0.0) {
                // As in the search: what has no gradient begins at random.
                let first = region.start(&entrants, &[true]);
                optimizer = optimizer::find(self.attack.optimizer)(pace, &entrants, first, &*region);
                continue;
            }
            let score = scored.score.detach();
            let observed =
                Seen { score: &score, gradient: slope.as_ref(), level: scored.level.as_ref(), pass: pass.as_ref() };
            tch::no_grad(|| optimizer.tell(&observed, &*region));
        }
        Some(trace)
    }

    /// The logits `[N, K]` of images, by the model that decides.
    pub fn answers(&self, images: &Tensor) -> Tensor {
        match tch::no_grad(|| self.bench.verifier.forward(images, &mut NoProbe)) {
            ControlFlow::Continue(logits) => logits,
            ControlFlow::Break(()) => unreachable!("NoProbe never leaves the network"),
        }
    }

    /// The gradient of the margin towards the nearest other class, at a sample's clean image: `[1, C, H, W]`.
    pub fn margin_gradient(&self, sample: usize) -> Tensor {
        let pixels = self.bench.clean.pixels.narrow(0, sample as i64, 1).detach().set_requires_grad(true);
        let class = Tensor::from_slice(&[self.bench.clean.judgements[sample].prediction]).to_device(pixels.device());
        let score = tch::with_grad(|| -margin(&self.bench.verifier.logits(&pixels), &class));
        gradient(&score, &pixels, false).nan_to_num(0.0, 0.0, 0.0)
    }
}

impl Trace {
    fn add(&mut self, norm: Norm, image: &Tensor, center: &Tensor, score: &Tensor, logits: &Tensor, clean: i64) {
        let lengths = Lengths::measure(image, center)[0];
        let class = Tensor::from_slice(&[clean]).to_device(logits.device());
        self.steps.push(Step {
            length: match norm {
                Norm::Linf => lengths.linf,
                Norm::L2 => lengths.l2,
                Norm::L1 => lengths.l1,
                Norm::L0 => lengths.l0 as f64,
            },
            objective: floats(score)[0],
            margin: floats(&margin(logits, &class))[0],
            prediction: integers(&logits.argmax(-1, false))[0],
        });
        self.images.push(image.copy());
    }
}

/// The probability `[N]` of a class in logits `[N, K]`.
pub fn chance(logits: &Tensor, class: i64) -> Vec<f32> {
    let index = Tensor::full([logits.size()[0]], class, (Kind::Int64, logits.device()));
    floats(&pick(&logits.softmax(-1, Kind::Float), &index))
}
