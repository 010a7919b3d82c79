//! Batch normalization behind a convolution, computed as one convolution where [`Compute::folded`] asks for it: the same function but for
//! rounding, in fewer passes over the activations. A pass whose probe wants the convolution's own output computes the two apart.

use std::rc::Rc;

use tch::{TchError, Tensor};

use super::convolution_weight;
use super::value::{Folded, Kernel, Part, Slot, Step, Value};
use crate::model::Compute;

/// The places of convolutions whose output a normalization alone reads, each with the place of that.
pub fn pairs(steps: &[Step], constants: &[Option<Value>], logits: Slot) -> Vec<(usize, usize)> {
    let mut readers = vec![0usize; constants.len()];
    steps.iter().flat_map(|step| &step.reads).for_each(|slot| readers[slot.0] += 1);
    readers[logits.0] += 1;
    let mut producers = vec![None; constants.len()];
    let mut found = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        if let (Part::Normalization { input, .. }, [_, others @ ..]) = (&step.part, step.writes.as_slice()) {
            let alone = readers[input.0] == 1 && others.iter().all(|slot| readers[slot.0] == 0);
            if let Some(convolution) = producers[input.0].filter(|_| alone) {
                found.push((convolution, place));
            }
        }
        if let (Part::Convolution { .. }, [output]) = (&step.part, step.writes.as_slice()) {
            producers[output.0] = Some(place);
        }
    }
    found
}

/// Gives each convolution of `pairs` the kernel of both; pairs whose tensors are no constants stay as they are.
pub fn fold(steps: &mut [Step], constants: &[Option<Value>], pairs: &[(usize, usize)], compute: Compute) {
    for &(convolution, normalization) in pairs {
        let output = steps[normalization].writes[0];
        let kernel = together(&steps[convolution].part, &steps[normalization].part, constants, compute);
        steps[convolution].folded = kernel.map(|kernel| Folded { kernel, output });
    }
}

/// The kernel of both; none if a tensor is not known or does not fit.
fn together(convolution: &Part, normalization: &Part, constants: &[Option<Value>], compute: Compute) -> Option<Kernel> {
    let (
        Part::Convolution { input, weight, bias, product },
        Part::Normalization { weight: scale, bias: shift, mean, variance, epsilon, .. },
    ) = (convolution, normalization)
    else {
        return None;
    };
    let known = |slot: Slot| match constants[slot.0].as_ref()? {
        Value::Tensor(tensor) => Some(tensor),
        _ => None,
    };
    let optional = |slot: &Option<Slot>| slot.map_or(Some(None), |slot| known(slot).map(Some));
    let statistics = [Some(known(*mean)?), Some(known(*variance)?), optional(scale)?, optional(shift)?];
    let (weight, bias) = tch::no_grad(|| folded(known(*weight)?, optional(bias)?, statistics, *epsilon).ok())?;
    let (weight, bias) = (convolution_weight(&weight, compute).ok()?, bias.f_to_kind(compute.kind).ok()?);
    let (input, product, kind) = (*input, Rc::clone(product), compute.kind);
    Some(Box::new(move |frame| {
        let x = super::ops::in_kind(frame.tensor(input)?, kind)?;
        product(&x, &weight, Some(&bias)).map(Value::Tensor)
    }))
}

/// Weight and bias of the convolution with the normalization behind it, of which `statistics` are mean, variance, factors and summands.
fn folded(
    weight: &Tensor,
    bias: Option<&Tensor>,
    statistics: [Option<&Tensor>; 4],
    epsilon: f64,
) -> Result<(Tensor, Tensor), TchError> {
    let [Some(mean), Some(variance), scale, shift] = statistics else {
        return Err(super::refuse("a normalization lacks its statistics"));
    };
    let inverse = variance.f_add_scalar(epsilon)?.f_rsqrt()?;
    let factor = scale.map_or_else(|| Ok(inverse.shallow_clone()), |scale| scale.f_mul(&inverse))?;
    let centred = bias.map_or_else(|| mean.f_neg(), |bias| bias.f_sub(mean))?.f_mul(&factor)?;
    let summand = shift.map_or_else(|| Ok(centred.shallow_clone()), |shift| centred.f_add(shift))?;
    let mut shape = vec![1; weight.dim()];
    shape[0] = -1;
    Ok((weight.f_mul(&factor.f_view(shape.as_slice())?)?, summand))
}
