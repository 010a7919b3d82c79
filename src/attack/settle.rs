//! Records from what the search found.

use std::sync::Arc;

use tch::Tensor;

use super::AttackBlock;
use crate::record::{Cell, CellKind, Record, Status};
use crate::rows::Row;
use crate::search::Finished;
use crate::suite::Target;
use crate::terms::Epsilon;

/// A record with the row and the adversarial image that it tells of, if its sample was attacked.
pub struct Entry {
    /// The record.
    pub record: Record,
    /// The row, and its image `[1, C, H, W]`, if that was kept.
    pub found: Option<(Row, Tensor)>,
    /// Whether the loss of every row at the cell's own radius still moved at the end, if all of them took all steps and none flipped.
    pub still_moves: Option<bool>,
}

impl AttackBlock<'_> {
    /// The entries of an untargeted attack on class logits, radius by radius. `rows`: those of a sample, none if it was not attacked; a flip
    /// counts, whatever class they were driven towards. `part`: the part of a composition that flipped a sample inside a ball.
    pub(super) fn untargeted<'r>(
        &self,
        rows: impl Fn(usize) -> &'r [Finished],
        part: impl Fn(usize, Epsilon) -> Option<&'static str>,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        for &epsilon in &self.attack.epsilons {
            let cell = self.cell(CellKind::ClassLogit, Some(Target::Untargeted), None, None, epsilon);
            for sample in 0..self.bench.clean.len() {
                let mut entry = self.settled(&cell, sample, rows(sample), false);
                entry.record.part = part(sample, epsilon).map(Into::into);
                entries.push(entry);
            }
        }
        entries
    }

    /// The record of one sample in `cell` from all rows of its chain: the best of those that count in the cell's ball, since a smaller
    /// ball lies inside every larger one. Attacks that compare what is `driven` prefer the cell's own radius.
    pub(super) fn settled(&self, cell: &Arc<Cell>, sample: usize, rows: &[Finished], driven: bool) -> Entry {
        let epsilon = cell.epsilon;
        let runs = || rows.iter().filter(|row| row.row.sample == sample && row.counts_in(epsilon, cell.norm));
        let same_radius = runs().filter(|row| row.row.epsilon == epsilon);
        let better = |a: &&Finished, b: &&Finished| {
            // At the same level the cell's own radius comes first, and for class logits the smallest that flips; then what survives 8 bits.
            let at_radius = |row: &Finished| row.row.epsilon == epsilon;
            let radius = if driven { at_radius(a).cmp(&at_radius(b)) } else { b.row.epsilon.cmp(&a.row.epsilon) };
            let radius = if a.level() == 0 { at_radius(a).cmp(&at_radius(b)) } else { radius };
            let rounded = a.flipped_u8.cmp(&b.flipped_u8);
            a.level().cmp(&b.level()).then(radius).then(rounded).then(a.measure.total_cmp(&b.measure))
        };
        let Some(best) = runs().max_by(better) else { return self.skipped(cell, sample) };
        let mut entry = self.entry(cell, best);
        // Work is counted in the cell whose radius it was done for.
        entry.still_moves = same_radius.clone().map(|row| row.still_moves).reduce(|a, b| Some(a? && b?)).flatten();
        entry.still_moves = entry.still_moves.filter(|_| !entry.record.flipped);
        let record = &mut entry.record;
        let (mut zero, mut broken, mut ran) = (true, record.status == Status::NonFinite, false);
        (record.steps, record.forwards, record.backwards) = (0, 0, 0);
        for row in same_radius {
            record.nearest_flip = nearer(record.nearest_flip, row.nearest);
            record.steps += row.steps;
            record.forwards += row.forwards;
            record.backwards += row.backwards;
            ran = true;
            zero &= row.zero_gradient;
            broken |= row.non_finite;
        }
        record.status = match (broken, ran && zero) {
            (true, _) => Status::NonFinite,
            _ if record.status == Status::Undecided => Status::Undecided,
            (_, true) if !record.flipped => Status::ZeroGradient,
            _ => Status::Ok,
        };
        entry
    }

    pub(super) fn entry(&self, cell: &Arc<Cell>, row: &Finished) -> Entry {
        let mut entry = self.skipped(cell, row.row.sample);
        let record = &mut entry.record;
        record.status = match (row.non_finite, row.verdict.decided) {
            (true, _) => Status::NonFinite,
            (false, false) => Status::Undecided,
            (false, true) => Status::Ok,
        };
        record.steps = row.steps;
        record.forwards = row.forwards;
        record.backwards = row.backwards;
        record.adv_pred = row.verdict.prediction as u32;
        record.flipped = row.flipped;
        record.flipped_u8 = row.flipped_u8;
        record.target_hit = Some(row.hit).filter(|_| cell.target.is_some_and(|target| target != Target::Untargeted));
        record.margin_adv = row.verdict.margin;
        record.confidence_adv = row.verdict.confidence;
        record.activation_adv = row.verdict.activation;
        record.linf = row.lengths.linf as f32;
        record.l2 = row.lengths.l2 as f32;
        record.l1 = row.lengths.l1 as f32;
        record.l0 = row.lengths.l0;
        record.nearest_flip = row.nearest.map(|length| length as f32);
        entry.found = row.image.defined().then(|| (row.row.clone(), row.image.shallow_clone()));
        entry
    }

    /// The record of a sample that was not attacked.
    pub(super) fn skipped(&self, cell: &Arc<Cell>, sample: usize) -> Entry {
        let clean = &self.bench.clean.judgements[sample];
        let status = match (clean.finite, clean.decided) {
            (false, _) => Status::NonFinite,
            (true, false) if clean.prediction == self.bench.clean.labels[sample] => Status::Undecided,
            _ => Status::SkippedMisclassified,
        };
        let record = Record {
            cell: cell.clone(),
            sample_id: self.bench.clean.ids[sample].clone(),
            label: self.bench.clean.labels[sample] as u32,
            clean_pred: clean.prediction as u32,
            target: None,
            part: None,
            nearest_flip: None,
            steps: 0,
            forwards: 0,
            backwards: 0,
            adv_pred: clean.prediction as u32,
            // Right by the largest logit, but not for certain: such a sample is not robust.
            flipped: status == Status::Undecided,
            flipped_u8: false,
            target_hit: None,
            margin_clean: clean.margin,
            margin_adv: clean.margin,
            confidence_clean: clean.confidence,
            confidence_adv: clean.confidence,
            activation_clean: None,
            activation_adv: None,
            activation_gain_z: None,
            linf: 0.0,
            l2: 0.0,
            l1: 0.0,
            l0: 0,
            status,
        };
        Entry { record, found: None, still_moves: None }
    }
}

/// The shorter of two lengths, of which there may be none.
fn nearer(known: Option<f32>, found: Option<f64>) -> Option<f32> {
    let found = found.map(|length| length as f32);
    known.into_iter().chain(found).reduce(f32::min)
}
