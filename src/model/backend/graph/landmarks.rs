//! Values that a person would name although no module does: in graphs without names of modules, the residual sums at the end of blocks.

use std::collections::BTreeSet;

use super::value::{Slot, Step};

/// What a pass has told of a value, as far as landmarks need it.
pub struct Summand {
    /// Its shape.
    pub shape: Vec<i64>,
    /// Whether it has channels and a map for each, `[N, C, H, W]`.
    pub is_map: bool,
}

/// Sums of two values of one shape that depend on the pixels, of which one is read elsewhere too (the stream that a block adds to), or
/// which are maps of a convolutional network (whose blocks may change the stream before they add to it). Sums of one rotation of two
/// values, as in rotary embeddings of attention, are none.
pub fn residual_sums(steps: &[Step], summand: impl Fn(Slot) -> Option<Summand>) -> BTreeSet<Slot> {
    let readers = |slot: &Slot| steps.iter().filter(|step| step.reads.contains(slot)).count();
    let sums = steps.iter().filter(|step| is_sum(&step.operator)).filter_map(|step| {
        let ([first, second], [output]) = (&step.reads[..], &step.writes[..]) else { return None };
        let (one, other) = (summand(*first)?, summand(*second)?);
        let stream = readers(first) > 1 || readers(second) > 1 || one.is_map;
        (one.shape == other.shape && stream).then_some(*output)
    });
    sums.collect()
}

/// Whether an operator is a sum of two tensors.
fn is_sum(operator: &str) -> bool {
    matches!(operator, "Add" | "Sum") || operator.split('.').next().is_some_and(|name| matches!(name, "add" | "add_"))
}
