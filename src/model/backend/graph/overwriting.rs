//! Rectifiers and sums that put their output where their first operand lay, as `ReLU(inplace=True)` and `x += y` do: bit for bit the same, with
//! less memory to write and to clear. A pass does so where nothing else reads the operand, the backward pass of what made it does not need
//! it, and no probe wants it.

use std::collections::BTreeSet;

use tch::{TchError, Tensor};

use super::value::{Frame, Over, Part, Slot, Step, Value};

/// Marks the steps that may overwrite their first operand; `slots` is the number of slots.
pub fn mark(steps: &mut [Step], slots: usize, logits: Slot) {
    let mut readers = vec![0usize; slots];
    steps.iter().flat_map(|step| &step.reads).for_each(|slot| readers[slot.0] += 1);
    readers[logits.0] += 1;
    let mut fresh = BTreeSet::new();
    for step in steps {
        let alone = |slot: Slot| readers[slot.0] == 1 && fresh.contains(&slot);
        step.over = match &step.part {
            Part::Rectifier { input } if alone(*input) => Some(Over { slot: *input, addend: None }),
            Part::Sum { first, second } if alone(*first) && first != second => {
                Some(Over { slot: *first, addend: Some(*second) })
            }
            _ => None,
        };
        // The backward pass of these needs their operands and not what they give; that of a rectifier needs what it gives.
        if let (Part::Convolution { .. } | Part::Normalization { .. } | Part::Sum { .. }, [output]) =
            (&step.part, step.writes.as_slice())
        {
            fresh.insert(*output);
        }
    }
}

/// The step's output, where its operand lay if it fits there.
pub fn overwritten(step: &Step, over: &Over, frame: &Frame) -> Result<Value, TchError> {
    let mut operand = frame.tensor(over.slot)?.shallow_clone();
    let Some(addend) = over.addend else { return operand.f_relu_().map(Value::Tensor) };
    let addend = frame.tensor(addend)?;
    let alike = |a: &Tensor, b: &Tensor| a.kind() == b.kind() && a.device() == b.device() && a.size() == b.size();
    if alike(&operand, addend) { operand.f_add_(addend).map(Value::Tensor) } else { (step.kernel)(frame) }
}
