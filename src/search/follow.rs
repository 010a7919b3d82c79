//! One row, step by step: what a search keeps only the end of.

use tch::Tensor;

use super::Search;
use super::batch::Active;
use crate::rows::Row;

impl Search<'_> {
    /// Takes a row from its start to its last step as the search would, and shows `see` each image `[1, C, H, W]` on the way: the first, and what
    /// each step makes of it.
    pub fn follow(&self, row: Row, mut see: impl FnMut(&Tensor)) {
        let mut batch = self.enter(vec![Active::new(0, row)]);
        for _ in 0..self.pace.steps {
            see(&batch.looks_at());
            self.step(&mut batch);
        }
        see(&batch.looks_at());
    }
}
