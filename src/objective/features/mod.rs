//! Objectives on a layer's features as a whole: how far they are from what they were, or how little they speak for a class.
//!
//! A new one is one file with a [`Drive`] and one line in [`SharedDrive::find`] (with its word in [`crate::suite::FeatureObjective`] and its passes of
//! preparation in the plan). Features are the layer's activation `[R, C, H, W]`, `[R, T, D]` (class token and patches alike) or `[R, D]`.

mod dr;
mod fda;
mod fia;
mod guided;
mod ila;
mod naa;
mod nrdm;
mod readout;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::rc::Rc;

pub use readout::{Readout, Trained};
use tch::{Device, Kind, Tensor};

use super::{Levels, Objective, Scored, pick};
use crate::model::{Cut, Model, Tap};
use crate::random::Noise;
use crate::rows::{Row, rows};
use crate::suite::FeatureObjective;
use crate::terms::LayerName;

/// What a drive can learn of R rows before their first step.
pub struct Setup<'a> {
    /// The model that searches.
    pub model: &'a Model,
    /// The layer.
    pub layer: &'a LayerName,
    /// The clean images `[R, C, H, W]`.
    pub clean: &'a Tensor,
    /// Their predicted classes `[R]`, i64.
    pub classes: &'a Tensor,
    /// For `ila` images that another attack made, for `guided` images of other classes `[R, C, H, W]`; none for all others.
    pub other: Option<&'a Tensor>,
    /// Names of the rows' random streams.
    pub keys: &'a [String],
    /// Random streams.
    pub noise: &'a Noise,
}

impl Setup<'_> {
    /// The layer's activation for images `[R, C, H, W]`, in f32 and without a graph. One forward pass.
    pub fn features(&self, pixels: &Tensor) -> Tensor {
        let mut tap = Tap::leaving(self.layer);
        tch::no_grad(|| drop(self.model.forward(pixels, &mut tap)));
        wide(tap.into_activation(), self.layer)
    }

    /// The derivative of the clean prediction's probability by the layer's activation at images `[R, C, H, W]`, in f32: zero where it does
    /// not depend on it. One forward and one backward pass.
    pub fn importance(&self, pixels: &Tensor) -> Tensor {
        let mut cut = Cut::at(self.layer);
        let (passed, leaf) = tch::with_grad(|| {
            let passed = self.model.forward(pixels, &mut cut);
            (passed, cut.into_leaf())
        });
        let (ControlFlow::Continue(logits), Some(leaf)) = (passed, leaf) else {
            unreachable!("the layer `{}` was found before the attack began", self.layer)
        };
        let chance = tch::with_grad(|| pick(&logits.softmax(-1, Kind::Float), self.classes).sum(Kind::Float));
        if !chance.requires_grad() {
            return leaf.zeros_like().to_kind(Kind::Float);
        }
        let gradient = Tensor::run_backward(&[chance], &[&leaf], false, false).pop().filter(Tensor::defined);
        gradient.map_or_else(|| leaf.zeros_like(), |gradient| gradient.nan_to_num(0.0, 0.0, 0.0)).to_kind(Kind::Float)
    }
}

fn wide(activation: Option<Tensor>, layer: &LayerName) -> Tensor {
    match activation {
        Some(activation) => activation.to_kind(Kind::Float),
        None => unreachable!("the layer `{layer}` was found before the attack began"),
    }
}

rows! {
    /// What a drive knows of each row.
    pub struct Anchor {
        each {
            /// Mostly the clean features.
            first: Option<Tensor>,
            /// Mostly a direction in them.
            second: Option<Tensor>,
        }
    }
}

impl Anchor {
    /// Nothing is known.
    pub fn none() -> Self {
        Anchor { first: None, second: None }
    }

    /// Features, or a direction.
    pub fn one(first: Tensor) -> Self {
        Anchor { first: Some(first), second: None }
    }

    /// Features and a direction.
    pub fn two(first: Tensor, second: Tensor) -> Self {
        Anchor { first: Some(first), second: Some(second) }
    }

    fn first(&self) -> &Tensor {
        match &self.first {
            Some(first) => first,
            None => unreachable!("a drive asks for what it made"),
        }
    }

    fn second(&self) -> &Tensor {
        match &self.second {
            Some(second) => second,
            None => unreachable!("a drive asks for what it made"),
        }
    }
}

/// What is made of a layer's features.
pub trait Drive {
    /// What it has to know of rows before their first step. Runs without a graph.
    fn anchor(&self, setup: &Setup) -> Anchor;

    /// The objective `[R]`, to be maximized, for the layer's features in f32.
    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor;
}

/// A drive, shared by the rows of a search.
#[derive(Clone)]
pub enum SharedDrive {
    /// One that needs no training.
    Known(&'static dyn Drive),
    /// A readout.
    Trained(Rc<Readout>),
}

impl SharedDrive {
    /// The drive of this name, one line each. `readout` is what was trained on the layer.
    ///
    /// # Panics
    /// If a readout is asked for and none is given.
    pub fn find(name: FeatureObjective, readout: Option<Rc<Readout>>) -> Self {
        let drive: &'static dyn Drive = match name {
            FeatureObjective::Fda => &fda::Fda,
            FeatureObjective::Nrdm => &nrdm::Nrdm,
            FeatureObjective::Dr => &dr::Dr,
            FeatureObjective::Ila => &ila::Ila,
            FeatureObjective::Fia => &fia::Fia,
            FeatureObjective::Naa => &naa::Naa,
            FeatureObjective::Guided => &guided::Guided,
            FeatureObjective::Readout => match readout {
                Some(readout) => return SharedDrive::Trained(readout),
                None => unreachable!("readouts are trained before the attack begins"),
            },
        };
        SharedDrive::Known(drive)
    }

    fn drive(&self) -> &dyn Drive {
        match self {
            SharedDrive::Known(drive) => *drive,
            SharedDrive::Trained(readout) => readout.as_ref(),
        }
    }
}

rows! {
    /// A layer's features, disturbed. The pass leaves the network at the layer.
    pub struct FeatureScore {
        each { levels: Levels, anchor: Anchor }
        all { layer: LayerName, drive: SharedDrive }
    }
}

impl FeatureScore {
    /// For `rows`, with the predicted class of each sample's clean image.
    pub fn new(drive: SharedDrive, setup: &Setup, rows: &[Row], predictions: &[i64], device: Device) -> Self {
        let anchor = tch::no_grad(|| drive.drive().anchor(setup));
        FeatureScore { levels: Levels::new(rows, predictions, device), anchor, layer: setup.layer.clone(), drive }
    }
}

impl Objective for FeatureScore {
    fn score(&self, model: &Model, pixels: &Tensor, full_pass: bool) -> Scored {
        // The logits are looked at alone.
        let mut tap = if full_pass { Tap::passing_without_gradients(&self.layer) } else { Tap::leaving(&self.layer) };
        let logits = match model.forward(pixels, &mut tap) {
            ControlFlow::Continue(logits) => Some(logits),
            ControlFlow::Break(()) => None,
        };
        let score = self.drive.drive().score(&wide(tap.into_activation(), &self.layer), &self.anchor);
        Scored { score, level: logits.as_ref().map(|logits| self.levels.reached(logits)), logits }
    }

    fn truncates(&self) -> bool {
        true
    }
}

/// `[R, values]` of features.
fn flat(features: &Tensor) -> Tensor {
    features.flatten(1, -1)
}

/// The sum of each row `[R]` of features.
fn sum(features: &Tensor) -> Tensor {
    flat(features).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
}

/// The mean of each row `[R]` of features.
fn mean(features: &Tensor) -> Tensor {
    flat(features).mean_dim([1i64].as_slice(), false, Kind::Float)
}

/// Directions of length 1 in the features, or zero.
fn unit_length(direction: &Tensor) -> Tensor {
    let length = sum(&direction.square()).sqrt().clamp_min(1e-30);
    (flat(direction) / length.unsqueeze(1)).view_as(direction)
}
