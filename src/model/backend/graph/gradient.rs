//! Whether attacks have a gradient to follow, and if not, the nodes that cut it off.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};

use super::builder::Program;
use super::problems::Problems;
use super::value::{Frame, Slot, Step, Value, apart};

/// Passes backwards from the logits to the pixels of `samples`, until one has a gradient: that of a single one may vanish by chance.
///
/// # Errors
/// If no pixels have a gradient, or one that is zero because of operators that are flat: with the nodes.
pub fn check(program: &Program, samples: &[Tensor]) -> Result<(), String> {
    let mut found = Ok(());
    for pixels in samples {
        found = pass_backwards(program, pixels);
        if found.is_ok() {
            break;
        }
    }
    found
}

fn pass_backwards(program: &Program, pixels: &Tensor) -> Result<(), String> {
    let pixels = pixels.copy().set_requires_grad(true);
    let (mut cuts, mut flats) = (Problems::default(), Problems::default());
    let pass = tch::with_grad(|| {
        program.run(pixels.shallow_clone(), apart, |step, frame| {
            look(step, frame, &mut cuts, &mut flats);
            ControlFlow::Continue(())
        })
    });
    let failed = |error: tch::TchError| format!("it gives no gradient with respect to its pixels: {error}");
    let logits = match pass {
        Ok(ControlFlow::Continue(logits)) => logits,
        Ok(ControlFlow::Break(())) => return Ok(()),
        Err(failure) => return Err(format!("with gradients, {failure}")),
    };
    if !logits.requires_grad() {
        return Err(without(cuts));
    }
    let sum = tch::with_grad(|| logits.f_sum(Kind::Float)).map_err(failed)?;
    let gradients = Tensor::f_run_backward(&[sum], &[&pixels], false, false).map_err(failed)?;
    let Some(gradient) = gradients.first().filter(|gradient| gradient.defined()) else { return Err(without(cuts)) };
    let largest = gradient.f_abs().and_then(|size| size.f_max()).and_then(|size| size.f_double_value(&[]));
    match (largest.map_err(failed)?, flats.text()) {
        (0.0, Some(nodes)) => {
            Err(format!("its gradient with respect to the pixels is zero, and attacks need one: {nodes}"))
        }
        _ => Ok(()),
    }
}

fn without(cuts: Problems) -> String {
    let nodes = cuts.text().map_or(String::new(), |text| format!(": {text}"));
    format!("it gives no gradient with respect to its pixels, and attacks need one{nodes}")
}

/// Operators whose slope is zero wherever they have one.
const FLAT: &[&str] = &["round", "floor", "ceil", "trunc", "sign", "sgn", "heaviside", "floor_divide"];

fn look(step: &Step, frame: &Frame, cuts: &mut Problems, flats: &mut Problems) {
    if !step.reads.iter().any(|&slot| follows(frame, slot)) {
        return;
    }
    let name = step.operator.split(['.', ' ']).next().unwrap_or_default();
    if FLAT.contains(&name.to_lowercase().as_str()) {
        flats.add(format!("operator `{}` is flat", step.operator), &step.node);
    }
    if !step.writes.iter().any(|&slot| follows(frame, slot)) {
        cuts.add(format!("operator `{}` passes no gradient on", step.operator), &step.node);
    }
}

/// Whether a gradient can flow through the value.
fn follows(frame: &Frame, slot: Slot) -> bool {
    let one = |value: &Value| matches!(value, Value::Tensor(tensor) if tensor.requires_grad());
    match frame.value(slot) {
        Ok(Value::List(values)) => values.iter().any(one),
        Ok(value) => one(value),
        Err(_) => false,
    }
}
