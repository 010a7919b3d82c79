//! What logits show as reached.

use tch::{Device, Kind, Tensor};

use crate::rows::{Drives, Row, rows};

rows! {
    /// The clean predictions of R rows, and their targets if they have any.
    pub struct Levels {
        each {
            /// Predicted classes of the clean images `[R]`, i64.
            clean: Tensor,
            /// Target classes `[R]`, i64.
            target: Option<Tensor>,
        }
    }
}

impl Levels {
    /// For `rows`, with the predicted class of each sample's clean image.
    pub fn new(rows: &[Row], predictions: &[i64], device: Device) -> Self {
        let clean: Vec<i64> = rows.iter().map(|row| predictions[row.sample]).collect();
        let target = |row: &Row| match row.drives {
            Drives::Towards(class) => Some(class),
            _ => None,
        };
        let targets: Option<Vec<i64>> = rows.iter().map(target).collect();
        let upload = |classes: &[i64]| Tensor::from_slice(classes).to_device(device);
        Levels { clean: upload(&clean), target: targets.as_deref().map(upload) }
    }

    /// The clean predictions `[R]`.
    pub fn clean(&self) -> &Tensor {
        &self.clean
    }

    /// The targets `[R]`.
    pub fn target(&self) -> Option<&Tensor> {
        self.target.as_ref()
    }

    /// What logits `[R, K]` show `[R]`, i64: 0 the clean prediction, 1 another or none (NaN or infinity), 2 the target.
    pub fn reached(&self, logits: &Tensor) -> Tensor {
        let prediction = logits.argmax(-1, false);
        let finite = logits.isfinite().all_dim(-1, false);
        let flipped = prediction.ne_tensor(&self.clean);
        let level = flipped.logical_or(&finite.logical_not()).to_kind(Kind::Int64);
        match &self.target {
            Some(target) => {
                let hit = prediction.eq_tensor(target).logical_and(&flipped).logical_and(&finite);
                level + hit.to_kind(Kind::Int64)
            }
            None => level,
        }
    }
}
