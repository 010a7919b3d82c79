//! Which images stay in memory once their rows are judged: with many cells they are all that takes memory.

use std::collections::HashMap;

use tch::Tensor;

use super::Finished;

/// Whose images are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// Those of all rows.
    All,
    /// Those of which pictures may be made: for each sample its surest flip in the smallest ball, among the rows of so many first chains.
    Pictured(usize),
}

/// The rows that have kept their images, by sample: chain, and place in it.
#[derive(Default)]
pub(super) struct Gallery(HashMap<usize, (usize, usize)>);

impl Gallery {
    /// Lets go of the image of the row that was added last to `chain`, or of the one that it outdoes.
    pub(super) fn look(&mut self, retain: Retain, chains: &mut [Vec<Finished>], chain: usize) {
        let Retain::Pictured(first) = retain else { return };
        let place = chains[chain].len() - 1;
        let row = &chains[chain][place];
        let sample = row.row.sample;
        let surer = |other: &(usize, usize)| {
            let other = &chains[other.0][other.1];
            let radius = row.row.epsilon.cmp(&other.row.epsilon);
            radius.then(other.verdict.confidence.total_cmp(&row.verdict.confidence)).is_lt()
        };
        let keeps = chain < first && row.flipped && self.0.get(&sample).is_none_or(surer);
        if !keeps {
            chains[chain][place].image = Tensor::new();
            return;
        }
        if let Some((chain, place)) = self.0.insert(sample, (chain, place)) {
            chains[chain][place].image = Tensor::new();
        }
        // Without the batch that it is a part of.
        let image = &mut chains[chain][place].image;
        *image = image.copy();
    }
}
