//! What a suite asks about the inside of its networks: `[damage]`, `[trajectories]` and `[[universal]]`.

use serde::{Deserialize, Serialize};

use super::{Direction, LayerChoice, UnitSelection};
use crate::terms::{Epsilon, Norm, words};

/// `[damage]`: what adversarial images change layer by layer, and which of it flips them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DamageConfig {
    /// Layers whose activation is compared with the clean one.
    pub layers: Vec<LayerChoice>,
    /// Names of attacks, in the suite's order, at least one.
    pub attacks: Vec<String>,
    /// Samples that are looked at, evenly over the run.
    pub samples: usize,
    /// Layers whose clean activation is put back into flipped images.
    pub patch: Vec<LayerChoice>,
    /// Units of these layers of which the same is done.
    pub patch_units: Option<UnitSelection>,
}

/// `[trajectories]`: the way of some samples over the boundary, and slices of the decision regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryConfig {
    /// Names of attacks, in the suite's order, at least one.
    pub attacks: Vec<String>,
    /// Samples of each model and attack.
    pub samples: usize,
    /// Images of a film strip.
    pub frames: usize,
    /// Points along each side of a slice; 0 draws none.
    pub slice: usize,
    /// What spans a slice beside the attack's perturbation.
    #[serde(default, skip_serializing_if = "SliceAcross::is_gradient")]
    pub across: SliceAcross,
}

/// The second direction of a slice, at right angles to the attack's perturbation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SliceAcross {
    /// The gradient of the margin at the clean image.
    #[default]
    Gradient,
    /// The perturbation by which another unit of the same attack is driven.
    Unit,
}

impl SliceAcross {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_gradient(&self) -> bool {
        *self == SliceAcross::Gradient
    }
}

/// `[[universal]]`: one perturbation for many images, from a unit or a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UniversalConfig {
    /// The name used in files and reports.
    pub name: String,
    /// The models it runs on, by name, in the suite's order; none means all of them.
    pub models: Option<Vec<String>>,
    /// What the perturbation is made from.
    pub source: UniversalSource,
    /// The layers.
    pub layers: Vec<LayerChoice>,
    /// The units of each layer; classes are units of `logits`.
    pub units: UnitSelection,
    /// Raise or lower activations.
    pub direction: Direction,
    /// The norm of the ball.
    pub norm: Norm,
    /// Its radii, ascending. A perturbation is made for the largest and shortened for the others.
    pub epsilons: Vec<Epsilon>,
    /// Steps.
    pub steps: usize,
    /// Share of the samples that the perturbation is made from, if it is made from images; the others judge it.
    pub train: f64,
}

impl UniversalConfig {
    /// Whether it runs on this model.
    pub fn applies_to(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|name| name == model))
    }
}

words! {
    /// What a universal perturbation is made from.
    pub enum UniversalSource {
        /// The picture of the unit (preset lucid, from noise), less grey: a transplant.
        Picture = "picture",
        /// Nothing but the mean image 0.5: data-free.
        None = "none",
        /// Noise with the mean and deviation of the images.
        Range = "range",
        /// Images.
        Images = "images",
    }
}
