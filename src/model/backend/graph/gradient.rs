//! Whether attacks have a gradient to follow, and if not, the nodes that cut it off; and whether an image's answer is its own.

use tch::{Kind, Tensor};

use super::builder::Program;
use super::network::Failure;
use super::problems::Problems;
use super::value::{Frame, Slot, Step, Value, wanted};
use crate::model::Flow;

/// A pass on several images that keeps what the way back needs.
pub struct Pass {
    pixels: Tensor,
    /// What the network answers.
    pub logits: Tensor,
    cuts: Problems,
    flats: Problems,
}

impl Pass {
    /// A pass on `pixels`, which shows every step to `see`. It breaks off where `see` does.
    ///
    /// # Errors
    /// The step that fails.
    pub fn forward<'p>(
        program: &'p Program,
        pixels: &Tensor,
        mut see: impl FnMut(&Step, &Frame) -> Flow<()>,
    ) -> Result<Flow<Pass>, Failure<'p>> {
        let pixels = pixels.copy().set_requires_grad(true);
        let (mut cuts, mut flats) = (Problems::default(), Problems::default());
        let pass = tch::with_grad(|| {
            program.run(pixels.shallow_clone(), wanted, |step, frame| {
                look(step, frame, &mut cuts, &mut flats);
                see(step, frame)
            })
        })?;
        Ok(pass.map_continue(|logits| Pass { pixels, logits, cuts, flats }))
    }

    /// The gradient of the first image's logits with respect to all pixels: whether there is one, and whether it is that image's alone.
    ///
    /// # Errors
    /// If the pixels have no gradient, or one that is zero because of operators that are flat, with the nodes.
    pub fn back(self) -> Result<Way, String> {
        let Pass { pixels, logits, cuts, flats } = self;
        let failed = |error: tch::TchError| format!("it gives no gradient with respect to its pixels: {error}");
        if !logits.requires_grad() {
            return Err(without(cuts));
        }
        let sum = tch::with_grad(|| logits.f_select(0, 0)?.f_sum(Kind::Float)).map_err(failed)?;
        let gradients = Tensor::f_run_backward(&[sum], &[&pixels], false, false).map_err(failed)?;
        let Some(gradient) = gradients.first().filter(|gradient| gradient.defined()) else { return Err(without(cuts)) };
        let largest = |row: i64| {
            let size = gradient.f_select(0, row)?.f_abs()?.f_max()?;
            size.f_double_value(&[])
        };
        let (first, second) = (largest(0).map_err(failed)?, largest(1).map_err(failed)?);
        match (first.max(second), flats.text()) {
            (0.0, Some(nodes)) => {
                Err(format!("its gradient with respect to the pixels is zero, and {NEEDED}: {nodes}"))
            }
            _ if second > first * ROUNDING => Ok(Way::Mixed),
            _ => Ok(Way::Apart),
        }
    }
}

/// What an image's answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On that image alone.
    Apart,
    /// On the other images of the batch too.
    Mixed,
}

/// A gradient with respect to another image, as a share of that with respect to the image itself, that rounding explains.
const ROUNDING: f64 = 1e-5;

fn without(cuts: Problems) -> String {
    let nodes = cuts.text().map_or(String::new(), |text| format!(": {text}"));
    format!("it gives no gradient with respect to its pixels, and {NEEDED}{nodes}")
}

/// Who needs a gradient.
const NEEDED: &str = "all attacks but those by scores (`optimizer = \"square\"`) need one";

/// Why steps that round pass no gradient on, though one may come by another way: attacks would follow a part of it only.
pub fn rounded(program: &Program) -> Option<String> {
    let mut found = Problems::default();
    for step in &program.steps {
        if let Some(why) = step.stiff {
            found.add_at(format!("operator `{}` {why}", step.operator), &step.node, step.line.clone());
        }
    }
    (!found.is_empty()).then(|| without(found))
}

/// Operators whose slope is zero wherever they have one.
const FLAT: &[&str] = &["round", "floor", "ceil", "trunc", "sign", "sgn", "heaviside", "floor_divide"];

fn look(step: &Step, frame: &Frame, cuts: &mut Problems, flats: &mut Problems) {
    if !step.reads.iter().any(|&slot| follows(frame, slot)) {
        return;
    }
    let name = step.operator.split(['.', ' ']).next().unwrap_or_default();
    if FLAT.contains(&name.to_lowercase().as_str()) {
        flats.add_at(format!("operator `{}` is flat", step.operator), &step.node, step.line.clone());
    }
    if !step.writes.iter().any(|&slot| follows(frame, slot)) {
        cuts.add_at(format!("operator `{}` passes no gradient on", step.operator), &step.node, step.line.clone());
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
