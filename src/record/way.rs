//! The way of one image over the boundary, and a slice of the decision regions around it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{AtomicFile, CellKind, StoreError, float_text};
use crate::terms::{Epsilon, LayerName, Norm, SampleId};

/// A way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WayRecord {
    /// The model.
    pub model: String,
    /// The attack.
    pub attack: String,
    /// Its kind.
    pub kind: CellKind,
    /// The sample.
    pub sample_id: SampleId,
    /// Its class, which the model predicts on the clean image.
    pub label: u32,
    /// The class that it ends in.
    pub reached: u32,
    /// The layer of an attack on units or features.
    pub layer: Option<LayerName>,
    /// Its unit, or what is made of the features.
    pub unit: Option<String>,
    /// The norm of the ball.
    pub norm: Norm,
    /// Its radius.
    pub epsilon: Epsilon,
    /// The steps, the clean image first.
    pub points: Vec<WayPoint>,
    /// The first step whose image flips the prediction.
    pub first_flip: Option<usize>,
    /// Steps whose images are kept, and their PNG files, relative to the folder of ways.
    pub frames: Vec<(usize, String)>,
    /// The decision regions around the image.
    pub slice: Option<SliceRecord>,
}

/// One step of a way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WayPoint {
    /// Length of the perturbation in the ball's norm.
    pub length: f64,
    /// What the attack maximizes; for units the activation (negative where it is lowered).
    pub objective: f32,
    /// Logit of the label less the best other.
    pub margin: f32,
    /// Probability of the label.
    pub confidence: f32,
    /// Probability of the class that the way ends in.
    pub reached: f32,
    /// The predicted class.
    pub prediction: u32,
}

/// The plane through the clean image that the attack's perturbation and the gradient of the margin span: orthonormal axes, so that
/// places are in units of l2. Images are clipped to the box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceRecord {
    /// Points along each side, by rows: the second axis from its largest value down, the first from its smallest up.
    pub side: usize,
    /// The axes go from minus this to this.
    pub reach: f64,
    /// Predicted classes.
    pub classes: Vec<u32>,
    /// Their probabilities.
    pub confidence: Vec<f32>,
    /// Largest absolute change of a value on the plane, before clipping.
    pub linf: Vec<f32>,
    /// Length of the attack's perturbation in l2: it lies on the first axis.
    pub adversarial: f64,
    /// Its largest absolute change.
    pub adversarial_linf: f64,
    /// The unit whose drive spans the second axis; none for the margin's gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub across: Option<String>,
}

impl SliceRecord {
    /// Place of column or row `index` on its axis (rows from above).
    pub fn place(&self, index: usize) -> f64 {
        let share = index as f64 / (self.side - 1).max(1) as f64;
        (2.0 * share - 1.0) * self.reach
    }
}

/// The columns of `trajectories.csv`.
pub const TRAJECTORY_COLUMNS: [&str; 16] = [
    "model",
    "attack",
    "kind",
    "layer",
    "unit",
    "norm",
    "epsilon",
    "sample_id",
    "label",
    "reached",
    "step",
    "length",
    "objective",
    "margin",
    "confidence",
    "prediction",
];

/// Writes `trajectories.csv`, one row per step: whole, or not at all. Returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_trajectories(path: &Path, ways: &[WayRecord]) -> Result<String, StoreError> {
    let mut writer = csv::WriterBuilder::new().from_writer(AtomicFile::create(path)?);
    let mut write = |row: Vec<String>| {
        let row = row.iter().map(|field| crate::wording::escape::cell(field).into_owned());
        writer.write_record(row).map_err(|error| StoreError::io("write", path)(error.into()))
    };
    write(TRAJECTORY_COLUMNS.map(String::from).to_vec())?;
    for way in ways {
        for (step, point) in way.points.iter().enumerate() {
            write(vec![
                way.model.clone(),
                way.attack.clone(),
                way.kind.to_string(),
                way.layer.as_ref().map(ToString::to_string).unwrap_or_default(),
                way.unit.clone().unwrap_or_default(),
                way.norm.to_string(),
                float_text(way.epsilon.value()),
                way.sample_id.to_string(),
                way.label.to_string(),
                way.reached.to_string(),
                step.to_string(),
                float_text(point.length),
                float_text(f64::from(point.objective)),
                float_text(f64::from(point.margin)),
                float_text(f64::from(point.confidence)),
                point.prediction.to_string(),
            ])?;
        }
    }
    writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?.finish()
}
