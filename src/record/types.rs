//! What a run remembers: one [`Record`] per sample and cell, one [`DistanceRecord`] per sample, model and method.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Cell;
use super::columns::columns;
use crate::terms::{Norm, SampleId, words};

words! {
    /// What became of one record.
    pub enum Status {
        /// The attack ran.
        Ok = "ok",
        /// The clean image is already misclassified; it was not attacked.
        SkippedMisclassified = "skipped-misclassified",
        /// The unit's activation and gradient stayed zero.
        DeadUnit = "dead-unit",
        /// The objective's gradient was zero on the whole path.
        ZeroGradient = "zero-gradient",
        /// The network gave NaN or infinity. If it did so on the image that the record tells of, the sample counts as flipped.
        NonFinite = "non-finite",
        /// The largest logit of the image that the record tells of cannot be told in f32: the sample counts as flipped.
        Undecided = "undecided",
        /// No adversarial point was found within the search radius.
        Censored = "censored",
    }
}

columns! {
    /// What is known about one sample in one cell: one row of `samples.csv`.
    pub struct Record {
        supplied {
            /// the cell
            cell: Arc<Cell>,
            /// the sample
            sample_id: SampleId,
            /// true class
            label: u32,
            /// class predicted on the clean image
            clean_pred: u32,
            /// the class that this sample was driven towards; none if untargeted or a unit attack
            target: Option<u32>,
        }
        /// steps taken, over all restarts
        steps: u32,
        /// forward passes spent on this row alone, verification included, the shared clean pass not
        forwards: u32,
        /// backward passes spent on this row alone
        backwards: u32,
        /// class predicted on the adversarial image
        adv_pred: u32,
        /// verified in f32: the prediction differs from the clean one; also set where no prediction is certain
        flipped: bool,
        /// the prediction still differs after rounding to 8 bits
        flipped_u8: bool,
        /// the adversarial prediction is the target and the clean one was not; empty without a target
        target_hit: Option<bool>,
        /// logit of the label minus the best other, on the clean image
        margin_clean: f32,
        /// the same on the adversarial image
        margin_adv: f32,
        /// softmax probability of the clean prediction, on the clean image
        confidence_clean: f32,
        /// softmax probability of the adversarial prediction, on the adversarial image
        confidence_adv: f32,
        /// the unit's activation on the clean image; empty for class logits
        activation_clean: Option<f32>,
        /// the same on the adversarial image
        activation_adv: Option<f32>,
        /// the gain over the standard deviation of the unit's activation on the reference images
        activation_gain_z: Option<f32>,
        /// largest absolute change of any value, in pixel units of [0, 1]
        linf: f32,
        /// Euclidean norm of the change
        l2: f32,
        /// sum of absolute changes
        l1: f32,
        /// number of changed values (pixels times channels)
        l0: u32,
        /// `ok`, `skipped-misclassified`, `dead-unit`, `zero-gradient`, `non-finite`, `undecided` or `censored` (no flip found)
        status: Status,
        /// the part of a composed attack that flipped the sample; empty for other attacks
        part: Option<Arc<str>>,
        /// where an attack goes on after a flip: length of a nearer flip that it passed, verified, in the norm of its ball; else empty
        nearest_flip: Option<f32>,
    }

    /// Distance of one sample from the decision boundary: one row of `distances.csv`.
    pub struct DistanceRecord {
        /// the model's name in the suite
        model: Arc<str>,
        /// what identifies the sample for good: a path, or an index in the official order
        sample_id: SampleId,
        /// true class
        label: u32,
        /// class predicted on the clean image
        clean_pred: u32,
        /// the norm of the distance
        norm: Norm,
        /// how the boundary was searched; ` to ` and a rule behind it, such as `fmn to least-likely`, where one class counts alone
        method: Arc<str>,
        /// norm of the smallest verified perturbation that flips; `inf` if none was found, 0 if the clean image is misclassified
        distance: f64,
        /// width of the last bracket: the boundary on the path lies within it below `distance`
        bracket: f64,
        supplied {
            /// largest radius that was searched: where a censored observation ends
            searched: f64,
        }
        /// whether no flip was found
        censored: bool,
        /// first-order estimate of the distance at the clean image
        linearized: f64,
        /// class predicted on the adversarial image
        adv_pred: u32,
        /// forward passes spent on this row alone, verification included, the shared clean pass not
        forwards: u32,
        /// backward passes spent on this row alone
        backwards: u32,
        /// `ok`, `skipped-misclassified`, `non-finite`, `undecided` or `censored` (no flip found)
        status: Status,
    }
}

/// What stands between a method and the class to which it measures distances.
pub const TOWARDS: &str = " to ";

impl DistanceRecord {
    /// The rule of the class that had to be reached; none if any other did.
    pub fn towards(&self) -> Option<&str> {
        self.method.split_once(TOWARDS).map(|(_, rule)| rule)
    }
}

impl Record {
    /// Whether the clean prediction is the label.
    pub fn clean_correct(&self) -> bool {
        self.clean_pred == self.label
    }

    /// The perturbation's length in `norm`.
    pub fn length(&self, norm: Norm) -> f64 {
        match norm {
            Norm::Linf => self.linf.into(),
            Norm::L2 => self.l2.into(),
            Norm::L1 => self.l1.into(),
            Norm::L0 => self.l0.into(),
        }
    }

    /// The length in `norm` of the nearest flip that a flipped record knows of: its own, or in the norm of its ball one that its attack
    /// passed.
    pub fn nearest_length(&self, norm: Norm) -> f64 {
        let passed = self.nearest_flip.filter(|_| norm == self.cell.norm);
        passed.map_or(self.length(norm), |passed| self.length(norm).min(passed.into()))
    }

    /// The perturbation's length in the norm of its ball.
    pub fn length_in_ball(&self) -> f64 {
        self.length(self.cell.norm)
    }
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
