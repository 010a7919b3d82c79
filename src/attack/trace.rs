//! One row of an attack, step by step: what a search keeps only the end of.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};

use super::{AttackBlock, ByMargin, kind};
use crate::judge::Lengths;
use crate::model::NoProbe;
use crate::objective::{Objective, margin, pick};
use crate::optimizer::{Pace, gradient};
use crate::region::Balls;
use crate::rows::{Drives, Row, floats, integers};
use crate::search::{Criterion, Retain, Search};
use crate::terms::{Norm, Unit};

/// What is seen at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Length of the perturbation in the attack's norm.
    pub length: f64,
    /// What the attack maximizes, of the image itself, whatever views its gradient was averaged over.
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
    /// What was driven.
    pub drives: Drives,
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
    /// Follows the attack on one sample in its largest ball, from the clean image, by the same steps and views as its search; `unit` is what
    /// a unit attack drives. None for compositions, which have several ways.
    pub fn trace(&self, sample: usize, unit: Option<Unit>) -> Option<Trace> {
        let bench = self.bench;
        let epsilon = *self.attack.epsilons.iter().max()?;
        let kind = kind(&self.attack.goal);
        let Way { drives, target, objective } = kind.way(self, sample, unit)?;
        let row = Row { sample, epsilon, restart: 0, drives };
        let search = Search {
            bench,
            regions: &Balls(self.attack.norm),
            objective: &*objective,
            optimizer: self.attack.optimizer,
            pace: Pace::new(self.attack.steps, self.attack.step_size),
            criterion: Criterion::best(),
            referee: &ByMargin(bench),
            views: self.attack.views,
            noise: self.noise("start"),
            retain: Retain::All,
            known: None,
        };
        let measure = objective(std::slice::from_ref(&row));
        let center = bench.clean.pixels.narrow(0, sample as i64, 1);
        let clean = bench.clean.judgements[sample].prediction;
        let mut trace = Trace { drives, steps: Vec::new(), images: Vec::new(), target };
        search.follow(row, |image| {
            let scored = tch::no_grad(|| measure.score(bench.verifier, image, true));
            let logits = scored.logits.unwrap_or_else(|| self.answers(image));
            trace.add(self.attack.norm, image, &center, &scored.score, &logits, clean);
        });
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
            length: lengths.get(norm),
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
