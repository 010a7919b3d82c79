//! What another model says of an image that an attack made.

use std::sync::Arc;

use super::Cell;
use super::columns::columns;
use crate::terms::SampleId;

columns! {
    /// One image of one sample, shown to one other model. There is one for each class-logit cell whose attack the suite's `[transfer]`
    /// selects, each other model (the victim), and each sample that the attacked model (the source) and the victim both classify
    /// rightly; the image is the one that the source's record in the cell tells of.
    pub struct TransferRecord {
        supplied {
            /// the source's cell
            cell: Arc<Cell>,
        }
        /// the victim's name in the suite
        victim: Arc<str>,
        /// the sample
        sample_id: SampleId,
        /// whether the image flips the source, as the source's record says
        flipped: bool,
        /// the class that the victim predicts on the image
        victim_pred: u32,
        /// verified in f32: it differs from the class that the victim predicts on the clean image
        fooled: bool,
        /// whether random noise as long as the perturbation, in the attack's norm, changes the victim's prediction
        fooled_by_noise: bool,
        /// forward passes of the victim spent on this record alone; 0 where an earlier cell tells of the same image
        forwards: u32,
    }
}
