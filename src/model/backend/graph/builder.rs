//! Programs, and how they are put together.

use std::collections::BTreeSet;

use tch::TchError;

use super::ending::LeftOut;
use super::folding;
use super::value::{Cost, Frame, Kernel, Part, Rule, Slot, Step, Value};
use super::{Arg, Args};
use crate::model::Compute;

/// Most values of a constant that is computed ahead of the passes; larger ones are computed in each.
const MOST_FOLDED: usize = 1 << 26;

/// Steps in order, with the constants that they read.
pub struct Program {
    /// What is the same in every pass, by slot.
    pub constants: Vec<Option<Value>>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Where the normalized pixels go.
    pub input: Slot,
    /// Where the logits come from.
    pub logits: Slot,
    /// Whether [`Compute::folded`] changes how it computes.
    pub folds: bool,
    /// What the file makes of the logits, and does not compute here.
    pub left_out: Option<LeftOut>,
}

/// A program under construction.
pub struct Builder {
    /// How it will compute.
    pub compute: Compute,
    constants: Vec<Option<Value>>,
    steps: Vec<Step>,
    node: String,
    operator: String,
    line: Option<String>,
}

impl Builder {
    /// An empty program.
    pub fn new(compute: Compute) -> Self {
        let (node, operator) = (String::new(), String::new());
        Builder { compute, constants: Vec::new(), steps: Vec::new(), node, operator, line: None }
    }

    /// A slot for a value of the pass.
    pub fn slot(&mut self) -> Slot {
        self.constants.push(None);
        Slot(self.constants.len() - 1)
    }

    /// A slot with a value that is the same in every pass.
    pub fn with(&mut self, value: Value) -> Slot {
        self.constants.push(Some(value));
        Slot(self.constants.len() - 1)
    }

    /// Gives `slot` a value that is the same in every pass.
    pub fn set(&mut self, slot: Slot, value: Value) {
        self.constants[slot.0] = Some(value);
    }

    /// The value in `slot`, if it is the same in every pass.
    pub fn constant(&self, slot: Slot) -> Option<&Value> {
        self.constants.get(slot.0)?.as_ref()
    }

    /// Says which node the next steps are for, and which line of code that comes from.
    pub fn at(&mut self, node: &str, operator: &str, line: Option<String>) {
        (self.node, self.operator, self.line) = (node.to_owned(), operator.to_owned(), line);
    }

    /// A step with one output, about which the listing says nothing.
    pub fn push(&mut self, label: &str, kernel: Kernel, reads: Vec<Slot>) -> Slot {
        let write = self.slot();
        let operator = format!("{} ({label})", self.operator);
        let step = self.step(operator, kernel, reads, vec![write], false);
        // If a value that is known cannot be computed, the pass will say so.
        let _ = self.finish(step);
        write
    }

    /// A step for a node: its operator lowers its arguments; `outputs` are the slots that it fills, the parts of one list if they are
    /// `apart`.
    ///
    /// # Errors
    /// If the arguments cannot be used, as a clause about the node.
    pub fn node(
        &mut self,
        lower: super::Lower,
        entries: Vec<(String, Arg)>,
        outputs: Vec<Slot>,
        apart: bool,
    ) -> Result<(), String> {
        let mut args = Args::new(entries, self);
        let kernel = lower(&mut args)?;
        if let Some(left) = args.left() {
            return Err(format!("has the argument `{left}`, which is not supported"));
        }
        let (reads, cost, rule) = (std::mem::take(&mut args.reads), args.cost, args.rule.clone());
        let (part, stiff) = (std::mem::take(&mut args.part), args.stiff);
        let step = Step { cost, rule, part, stiff, ..self.step(self.operator.clone(), kernel, reads, outputs, apart) };
        self.finish(step).map_err(|error| format!("fails: {}", first_line(&error)))
    }

    fn step(&self, operator: String, kernel: Kernel, reads: Vec<Slot>, writes: Vec<Slot>, apart: bool) -> Step {
        let (cost, rule) = (Cost::None, Rule::Inherit);
        let (node, line) = (self.node.clone(), self.line.clone());
        let (part, folded, over) = (Part::Other, None, None);
        Step {
            node,
            operator,
            line,
            kernel,
            reads,
            writes,
            apart,
            cost,
            rule,
            part,
            folded,
            over,
            stiff: None,
            last: Vec::new(),
            sites: Vec::new(),
        }
    }

    /// Does the step at once if all that it reads is known.
    fn finish(&mut self, step: Step) -> Result<(), TchError> {
        if step.reads.iter().all(|slot| self.constants[slot.0].is_some()) {
            let value = tch::no_grad(|| (step.kernel)(&Frame::new(&self.constants)))?;
            if value.numel() <= MOST_FOLDED {
                return store(&mut self.constants, &step, value);
            }
        }
        self.steps.push(step);
        Ok(())
    }

    /// The program that reads pixels from `input` and gives `logits`, without the steps that it does not need.
    pub fn program(mut self, input: Slot, logits: Slot) -> Program {
        let (logits, left_out) = super::ending::before_probabilities(&mut self.steps, &self.constants, logits);
        let mut needed = BTreeSet::from([logits]);
        let mut retained: Vec<Step> = Vec::with_capacity(self.steps.len());
        for step in self.steps.drain(..).rev() {
            if step.writes.iter().any(|slot| needed.contains(slot)) {
                needed.extend(step.reads.iter().copied());
                retained.push(step);
            }
        }
        retained.reverse();
        super::parting::part(&mut retained, &mut self.constants);
        let pairs = folding::pairs(&retained, &self.constants, logits);
        if self.compute.folded {
            folding::fold(&mut retained, &self.constants, &pairs, self.compute);
        }
        super::overwriting::mark(&mut retained, self.constants.len(), logits);
        // Constants that only the dropped and the finished steps read are dropped with them.
        for (place, constant) in self.constants.iter_mut().enumerate() {
            if !needed.contains(&Slot(place)) {
                *constant = None;
            }
        }
        // Backwards, the first reader of a value is its last.
        let mut alive = BTreeSet::from([logits]);
        for step in retained.iter_mut().rev() {
            let ended = step.reads.iter().chain(&step.writes).filter(|slot| self.constants[slot.0].is_none());
            step.last = ended.copied().filter(|slot| alive.insert(*slot)).collect();
        }
        let folds = !pairs.is_empty();
        Program { constants: self.constants, steps: retained, input, logits, folds, left_out }
    }
}

/// Puts a step's outputs where they go.
pub fn store(values: &mut [Option<Value>], step: &Step, value: Value) -> Result<(), TchError> {
    match (value, step.apart, step.writes.as_slice()) {
        (Value::List(parts), true, writes) if parts.len() >= writes.len() => {
            for (slot, part) in writes.iter().zip(parts) {
                values[slot.0] = Some(part);
            }
            Ok(())
        }
        (Value::List(parts), true, writes) => {
            let (found, expected) = (parts.len(), writes.len());
            Err(super::refuse(format!("it gives {found} values, the file names {expected}")))
        }
        (value, _, [slot, ..]) => {
            values[slot.0] = Some(value);
            Ok(())
        }
        (_, _, []) => Ok(()),
    }
}

/// What libtorch says before it explains itself at length.
pub fn first_line(error: &TchError) -> String {
    let text = error.to_string();
    let text =
        text.strip_prefix("Internal torch error: ").or(text.strip_prefix("tensor shape error: ")).unwrap_or(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.trim_end_matches('.').to_owned()
}
