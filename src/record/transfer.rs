//! What another model says of an image that an attack made.

use std::sync::Arc;

use super::Cell;
use crate::terms::SampleId;

/// One image of one sample, shown to one other model. There is one for each class-logit cell whose attack the suite's `[transfer]`
/// selects, each other model (the victim), and each sample that the attacked model (the source) and the victim both classify
/// rightly; the image is the one that the source's record in the cell tells of.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferRecord {
    /// The source's cell.
    pub cell: Arc<Cell>,
    /// The victim's name in the suite.
    pub victim: Arc<str>,
    /// The sample.
    pub sample_id: SampleId,
    /// Whether the image flips the source, as the source's record says.
    pub flipped: bool,
    /// The class that the victim predicts on the image.
    pub victim_pred: u32,
    /// Verified in f32: it differs from the class that the victim predicts on the clean image.
    pub fooled: bool,
    /// Whether random noise as long as the perturbation, in the attack's norm, changes the victim's prediction.
    pub fooled_by_noise: bool,
    /// Forward passes of the victim spent on this record alone; 0 where an earlier cell tells of the same image.
    pub forwards: u32,
}
