//! A program as a network: passes that show activations to probes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use tch::{TchError, Tensor};

use super::builder::{Program, first_line, store};
use super::overwriting::overwritten;
use super::value::{Frame, Slot, Step, Value, refuse};
use crate::model::{Flow, Network, Probe, Site, Tokens};

/// What passes on sample images have told about a graph.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// Where probes see values, by the values' names in the file.
    pub sites: BTreeMap<String, Vec<Site>>,
    /// Logits.
    pub classes: i64,
    /// What the tokens of activations `[N, T, D]` are.
    pub tokens: Tokens,
    /// Convolutions over images.
    pub convolutions: usize,
    /// Whether [`crate::model::Compute::folded`] changes how it computes.
    pub folds: bool,
}

/// A step that failed.
pub struct Failure<'p> {
    /// The step.
    pub step: &'p Step,
    /// How.
    pub error: TchError,
}

impl std::fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} fails: {}", self.step, first_line(&self.error))
    }
}

impl Program {
    /// One pass. `after` sees the frame behind each step, before values that are no longer needed are forgotten, and may end the pass.
    /// `wanted` says of the output of a convolution whether it has to be there, or may be left out for that of the normalization behind
    /// it, and of other values whether they have to stay as they are when a later step could put its output there.
    ///
    /// # Errors
    /// The step that fails.
    pub fn run(
        &self,
        pixels: Tensor,
        wanted: impl Fn(Slot) -> bool,
        mut after: impl FnMut(&Step, &mut Frame) -> Flow<()>,
    ) -> Result<Flow<Tensor>, Failure<'_>> {
        let mut frame = Frame::new(&self.constants);
        frame.values[self.input.0] = Some(Value::Tensor(pixels));
        for step in &self.steps {
            let spared = !step.writes.iter().any(|slot| wanted(*slot));
            let value = match (&step.folded, &step.over) {
                (Some(folded), _) if spared => (folded.kernel)(&frame).map(|value| {
                    frame.values[folded.output.0] = Some(value);
                }),
                (_, Some(over)) if !wanted(over.slot) => {
                    overwritten(step, over, &frame).and_then(|value| store(&mut frame.values, step, value))
                }
                // What is there came from the step before, as one with it.
                _ if step.writes.first().is_some_and(|slot| frame.values[slot.0].is_some()) => Ok(()),
                _ => (step.kernel)(&frame).and_then(|value| store(&mut frame.values, step, value)),
            };
            value.map_err(|error| Failure { step, error })?;
            if after(step, &mut frame).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            for slot in &step.last {
                frame.values[slot.0] = None;
            }
        }
        match (frame.tensor(self.logits), self.steps.last()) {
            (Ok(logits), _) => Ok(ControlFlow::Continue(logits.shallow_clone())),
            (Err(error), Some(step)) => Err(Failure { step, error }),
            // Without a step the logits are the pixels or a constant, which a survey refuses.
            (Err(_), None) => Ok(ControlFlow::Break(())),
        }
    }
}

/// A graph that is ready for passes.
pub struct GraphNetwork {
    program: Program,
    tokens: Tokens,
    /// Values that passes leave out or overwrite where no probe wants them.
    spared: BTreeSet<Slot>,
}

impl GraphNetwork {
    /// Puts the sites of `outline` into the program; `names` are the slots of the file's values.
    pub fn new(mut program: Program, names: &BTreeMap<String, Slot>, outline: &Outline) -> Self {
        let mut sites: BTreeMap<Slot, Vec<Site>> = BTreeMap::new();
        for (name, activation) in &outline.sites {
            if let Some(slot) = names.get(name) {
                sites.entry(*slot).or_default().extend(activation.iter().cloned());
            }
        }
        for step in &mut program.steps {
            let with_sites = step.writes.iter().filter_map(|slot| Some((*slot, sites.remove(slot)?)));
            let named = |(slot, sites): (Slot, Vec<Site>)| {
                sites.into_iter().enumerate().map(move |(place, site)| (slot, Site { again: place > 0, ..site }))
            };
            step.sites = with_sites.flat_map(named).collect();
        }
        let folded = program.steps.iter().filter(|step| step.folded.is_some()).flat_map(|step| step.writes.clone());
        let over = program.steps.iter().filter_map(|step| step.over.as_ref()).map(|over| over.slot);
        let spared = folded.chain(over).collect();
        GraphNetwork { program, tokens: outline.tokens, spared }
    }

    /// Of the values that passes can spare those that `probe` wants.
    fn wanted(&self, probe: &dyn Probe) -> BTreeSet<Slot> {
        let sites = self.program.steps.iter().flat_map(|step| &step.sites);
        let wanted = sites.filter(|(slot, site)| self.spared.contains(slot) && probe.wants(site));
        wanted.map(|(slot, _)| *slot).collect()
    }
}

impl Network for GraphNetwork {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let wanted = self.wanted(probe);
        let pass = self.program.run(
            pixels,
            |slot| wanted.contains(&slot),
            |step, frame| {
                for (slot, site) in &step.sites {
                    let Some(Value::Tensor(activation)) = frame.values[slot.0].take() else { continue };
                    frame.values[slot.0] = Some(Value::Tensor(site.show(activation, probe)?));
                }
                ControlFlow::Continue(())
            },
        );
        // The graph was tried when it was read; what fails now is libtorch, which panics like its other operations.
        pass.unwrap_or_else(|failure| panic!("{failure}: {}", failure.error))
    }

    fn tokens(&self) -> Tokens {
        self.tokens
    }
}

/// A slot's tensor, or that there is none.
pub fn shape_of(frame: &Frame, slot: Slot) -> Result<Vec<i64>, TchError> {
    match frame.value(slot)? {
        Value::Tensor(tensor) => Ok(tensor.size()),
        other => Err(refuse(format!("expected a tensor, found {other:?}"))),
    }
}
