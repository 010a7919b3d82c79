//! What a run remembers: one [`Record`] per sample and cell, one [`DistanceRecord`] per sample, model and method.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::terms::{CellKind, Epsilon, LayerName, Norm, SampleId};

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The attack ran.
    Ok,
    /// The clean image is already misclassified; it was not attacked.
    SkippedMisclassified,
    /// The unit's activation and gradient stayed zero.
    DeadUnit,
    /// The objective's gradient was zero on the whole path.
    ZeroGradient,
    /// The network gave NaN or infinity. If it did so on the image that the record tells of, the sample counts as flipped.
    NonFinite,
    /// The largest logit of the image that the record tells of cannot be told in f32: the sample counts as flipped.
    Undecided,
    /// No adversarial point was found within the search radius.
    Censored,
}

impl Status {
    /// The name used in CSV files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::SkippedMisclassified => "skipped-misclassified",
            Status::DeadUnit => "dead-unit",
            Status::ZeroGradient => "zero-gradient",
            Status::NonFinite => "non-finite",
            Status::Undecided => "undecided",
            Status::Censored => "censored",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [
            Status::Ok,
            Status::SkippedMisclassified,
            Status::DeadUnit,
            Status::ZeroGradient,
            Status::NonFinite,
            Status::Undecided,
            Status::Censored,
        ];
        let known = all.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| {
            "known are ok, skipped-misclassified, dead-unit, zero-gradient, non-finite, undecided, censored".to_owned()
        })
    }
}

/// One row of the summary: (model, attack, unit or target, epsilon).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// The model's name in the suite.
    pub model: String,
    /// The data set's name.
    pub dataset: String,
    /// The attack's name in the suite; controls carry the name of the attack that they stand beside.
    pub attack: String,
    /// Attack or control.
    pub kind: CellKind,
    /// The target rule of a class-logit attack (`least-likely`, `untargeted`, `class:3`); empty for others.
    pub target: String,
    /// The layer of a unit attack; none for class logits.
    pub layer: Option<LayerName>,
    /// The unit (`17`, `17@3,5`), or `draw:K` for a noise control; none for class logits.
    pub unit: Option<String>,
    /// The ball's norm.
    pub norm: Norm,
    /// The ball's radius.
    pub epsilon: Epsilon,
}

/// What is known about one sample in one cell: one row of `samples.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The cell.
    pub cell: Arc<Cell>,
    /// The sample.
    pub sample_id: SampleId,
    /// True class.
    pub label: u32,
    /// Class predicted on the clean image.
    pub clean_pred: u32,
    /// The class that this sample was driven towards; none if untargeted or a unit attack.
    pub target: Option<u32>,
    /// The part of a composed attack that flipped the sample; none if none did, and for other attacks.
    pub part: Option<Arc<str>>,
    /// Steps taken, over all restarts.
    pub steps: u32,
    /// Forward passes spent on this record alone, verification included, the shared clean pass not.
    pub forwards: u32,
    /// Backward passes spent on this record alone.
    pub backwards: u32,
    /// Class predicted on the adversarial image.
    pub adv_pred: u32,
    /// Verified in f32: the prediction differs from the clean one. Also set where no prediction is certain (see `status`), since
    /// such a sample is not robust.
    pub flipped: bool,
    /// The prediction still differs after rounding to 8 bits.
    pub flipped_u8: bool,
    /// The adversarial prediction is the target and the clean one was not; none if there is no target.
    pub target_hit: Option<bool>,
    /// Logit of the label minus the best other, on the clean image.
    pub margin_clean: f32,
    /// The same on the adversarial image.
    pub margin_adv: f32,
    /// Softmax probability of the clean prediction, on the clean image.
    pub confidence_clean: f32,
    /// Softmax probability of the adversarial prediction, on the adversarial image.
    pub confidence_adv: f32,
    /// The unit's activation on the clean image; none for class-logit attacks.
    pub activation_clean: Option<f32>,
    /// The unit's activation on the adversarial image.
    pub activation_adv: Option<f32>,
    /// Gain over the standard deviation of the unit's activation on the reference images.
    pub activation_gain_z: Option<f32>,
    /// Norms of the perturbation that was found, in pixel units of [0, 1].
    pub linf: f32,
    /// Euclidean norm.
    pub l2: f32,
    /// Sum of absolute values.
    pub l1: f32,
    /// Number of changed values (pixels times channels).
    pub l0: u32,
    /// What became of it.
    pub status: Status,
}

impl Record {
    /// Whether the clean prediction is the label.
    pub fn clean_correct(&self) -> bool {
        self.clean_pred == self.label
    }

    /// The perturbation's length in `norm`.
    pub fn length(&self, norm: Norm) -> f32 {
        match norm {
            Norm::Linf => self.linf,
            Norm::L2 => self.l2,
            Norm::L1 => self.l1,
            Norm::L0 => self.l0 as f32,
        }
    }
}

/// Distance of one sample from the decision boundary: one row of `distances.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceRecord {
    /// The model's name in the suite.
    pub model: Arc<str>,
    /// The sample.
    pub sample_id: SampleId,
    /// True class.
    pub label: u32,
    /// Class predicted on the clean image.
    pub clean_pred: u32,
    /// The norm of the distance.
    pub norm: Norm,
    /// The search method (`path`).
    pub method: Arc<str>,
    /// Norm of the smallest verified perturbation that flips, measured after clipping to [0, 1]; infinite if none was
    /// found, 0 if the clean image is already misclassified.
    pub distance: f64,
    /// Width of the bracket that the bisection ended with: the true boundary on the path lies within it below `distance`.
    pub bracket: f64,
    /// Largest radius that was searched: where a censored observation ends.
    pub searched: f64,
    /// Whether no flip was found.
    pub censored: bool,
    /// First-order estimate: the smallest over classes of margin / dual norm of its gradient at the clean image.
    pub linearized: f64,
    /// Class on the other side.
    pub adv_pred: u32,
    /// Forward passes spent.
    pub forwards: u32,
    /// Backward passes spent.
    pub backwards: u32,
    /// What became of it.
    pub status: Status,
}

/// A picture for the gallery: one flipped sample, as PNG files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The record's cell.
    pub cell: Cell,
    /// The sample.
    pub sample_id: SampleId,
    /// True class.
    pub label: u32,
    /// Class predicted on the clean image.
    pub clean_pred: u32,
    /// Class predicted on the adversarial image.
    pub adv_pred: u32,
    /// Softmax probability of the clean prediction, on the clean image.
    pub confidence_clean: f32,
    /// Softmax probability of the adversarial prediction, on the adversarial image.
    pub confidence_adv: f32,
    /// Largest absolute change, in pixel units of [0, 1].
    pub linf: f32,
    /// Euclidean norm of the perturbation.
    pub l2: f32,
    /// Its length in the norm of the cell, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<f32>,
    /// The clean image as PNG.
    pub clean: Vec<u8>,
    /// `0.5 + gain * perturbation / 2`, clipped, as PNG.
    pub perturbation: Vec<u8>,
    /// The factor that makes the perturbation visible.
    pub gain: f32,
    /// The adversarial image, rounded to 8 bits, as PNG.
    pub adversarial: Vec<u8>,
}
