//! Attacks on inner features, and the views over which gradients are averaged.

use serde::{Deserialize, Serialize};

use crate::terms::words;

words! {
    /// What is made of a layer's activation g' of the attacked image; g is that of the clean one, y the clean prediction.
    pub enum FeatureObjective {
        /// Feature disruptive attack: raise what was below the mean over channels, lower what was above (Ganeshan et al. 2019,
        /// <https://arxiv.org/abs/1909.04385>).
        Fda = "fda",
        /// Neural representation distortion: the mean squared change (Naseer et al. 2018, <https://arxiv.org/abs/1811.09020>).
        Nrdm = "nrdm",
        /// Dispersion reduction: lower the standard deviation (Lu et al. 2020, <https://arxiv.org/abs/1911.11616>).
        Dr = "dr",
        /// Intermediate level attack: farther along the change that ten steps against the margin made (Huang et al. 2019,
        /// <https://arxiv.org/abs/1907.10823>).
        Ila = "ila",
        /// Feature importance-aware attack: lower what speaks for y, by gradients averaged over images with random pixels dropped (Wang et al.
        /// 2021, <https://arxiv.org/abs/2107.14185>).
        Fia = "fia",
        /// Neuron attribution-based attack: the same, by gradients averaged along the way from black to the image (Zhang et al. 2022,
        /// <https://arxiv.org/abs/2204.00008>).
        Naa = "naa",
        /// Feature adversaries: towards the activation of an image of another class (Sabour et al. 2016,
        /// <https://arxiv.org/abs/1511.05122>).
        Guided = "guided",
        /// The margin of a linear readout that was trained on the layer (after LAFEAT; Yu et al. 2021, <https://arxiv.org/abs/2104.09284>).
        Readout = "readout",
    }
}

/// The views of an image over which each step's gradient is averaged: every displaced copy at every scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GradientViews {
    /// Chance that a view is shrunk by up to a tenth and moved, at each step anew; 0 for none.
    pub diversity: f64,
    /// Scales: the image, its half, its quarter and so on.
    pub scales: usize,
    /// Copies: the image, and others at fixed random places around it.
    pub samples: usize,
    /// How far those are, as a share of epsilon in the attack's norm.
    pub radius: f64,
    /// Side of the Gaussian kernel that blurs the gradient: an odd number; 1 for none.
    pub translation: usize,
    /// Share of the patches, at each step others, whose perturbation a view has; 1 for all.
    #[serde(default = "all_patches", skip_serializing_if = "is_all")]
    pub patches: f64,
    /// The backward pass, if it is not the derivative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backward: Option<Backward>,
}

fn all_patches() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_all(share: &f64) -> bool {
    *share >= 1.0
}

words! {
    /// A backward pass of a Vision Transformer that is not the derivative.
    pub enum Backward {
        /// No gradient through attention weights (PNA; Wei et al. 2022, <https://arxiv.org/abs/2109.04176>).
        Pna = "pna",
        /// Smaller gradients in blocks, none at their extreme tokens (TGR; Zhang et al. 2023, <https://arxiv.org/abs/2303.15754>).
        Tgr = "tgr",
    }
}

impl Backward {
    /// The native networks that it is for.
    pub fn networks(self) -> &'static str {
        match self {
            Backward::Pna => "Vision Transformers and Swin Transformers",
            Backward::Tgr => "Vision Transformers",
        }
    }
}

impl GradientViews {
    /// The image alone.
    pub const PLAIN: GradientViews = GradientViews {
        diversity: 0.0,
        scales: 1,
        samples: 1,
        radius: 0.0,
        translation: 1,
        patches: 1.0,
        backward: None,
    };

    /// Gradients averaged over so many images of a neighbourhood that is a share of the ball.
    pub const fn around(samples: usize, radius: f64) -> GradientViews {
        GradientViews { samples, radius, ..GradientViews::PLAIN }
    }

    /// Views of one step.
    pub fn count(&self) -> usize {
        self.scales * self.samples
    }

    /// Whether the first view is the image itself, whose logits then tell what is reached.
    pub fn begins_plain(&self) -> bool {
        self.diversity == 0.0 && self.patches >= 1.0
    }
}
