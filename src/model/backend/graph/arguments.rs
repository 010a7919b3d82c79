//! The arguments of a node, taken by name and type when it is lowered.

use tch::{Kind, TchError, Tensor};

use super::builder::Builder;
use super::numbers::{Int, Ints, Number, Operand};
use super::value::{Cost, Part, Rule, Slot, Value, one};
use crate::model::{Compute, channels_last};

/// An argument as the file has it.
#[derive(Debug, Clone)]
pub enum Arg {
    /// Nothing.
    None,
    /// A value of the graph.
    Slot(Slot),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A word.
    Text(String),
    /// A kind of number.
    Kind(Kind),
    /// Several.
    List(Vec<Arg>),
}

/// Begins the names of arguments that may be left.
pub const ASIDE: char = '~';

/// A node's arguments. What is never taken is an argument that the operator does not know.
pub struct Args<'b> {
    entries: Vec<(String, Arg, bool)>,
    /// What the kernel will read.
    pub reads: Vec<Slot>,
    /// The program so far.
    pub builder: &'b mut Builder,
    /// The arithmetic of the step.
    pub cost: Cost,
    /// The channels of its outputs.
    pub rule: Rule,
    /// What the step is, for folding.
    pub part: Part,
    /// Why the step passes no gradient on, if it does not.
    pub stiff: Option<&'static str>,
}

impl<'b> Args<'b> {
    /// The arguments by name, in the order of the operator's schema.
    pub fn new(entries: Vec<(String, Arg)>, builder: &'b mut Builder) -> Self {
        let entries = entries.into_iter().map(|(name, arg)| (name, arg, false)).collect();
        let (cost, rule, part) = (Cost::None, Rule::Inherit, Part::Other);
        Args { entries, reads: Vec::new(), builder, cost, rule, part, stiff: None }
    }

    /// The argument; none if it is not given.
    pub fn take(&mut self, name: &str) -> Option<Arg> {
        let entry = self.entries.iter_mut().find(|(known, ..)| known == name)?;
        entry.2 = true;
        match &entry.1 {
            Arg::None => None,
            arg => Some(arg.clone()),
        }
    }

    /// The name of the argument at a place.
    pub fn name(&self, place: usize) -> Option<String> {
        self.entries.get(place).map(|(name, ..)| name.clone())
    }

    /// Arguments that change nothing here.
    pub fn ignore(&mut self, names: &[&str]) {
        for name in names {
            let _ = self.take(name);
        }
    }

    /// An argument that was given and not taken.
    pub fn left(&self) -> Option<&str> {
        let left = self
            .entries
            .iter()
            .find(|(name, arg, taken)| !taken && !matches!(arg, Arg::None) && !name.starts_with(ASIDE));
        left.map(|(name, ..)| name.as_str())
    }

    fn read(&mut self, slot: Slot) -> Slot {
        self.reads.push(slot);
        slot
    }

    /// The first argument, a tensor: `self` of some operators, `input` of others. Decomposed programs have numbers there too, which are
    /// tensors without dimensions.
    pub fn first(&mut self) -> Result<Slot, String> {
        let (name, arg, taken) = self.entries.first_mut().ok_or("has no arguments")?;
        let number = match arg {
            Arg::Int(value) => Tensor::from(*value),
            Arg::Float(value) => Tensor::from(*value as f32),
            _ => {
                let name = name.clone();
                return self.slot(&name);
            }
        };
        *taken = true;
        let slot = self.builder.with(Value::Tensor(number));
        Ok(self.read(slot))
    }

    /// A tensor.
    pub fn slot(&mut self, name: &str) -> Result<Slot, String> {
        self.optional(name)?.ok_or_else(|| format!("lacks the tensor `{name}`"))
    }

    /// A tensor, if it is given.
    pub fn optional(&mut self, name: &str) -> Result<Option<Slot>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Arg::Slot(slot)) => Ok(Some(self.read(slot))),
            Some(other) => Err(wrong(name, "a tensor", &other)),
        }
    }

    /// The tensor of this name as the file has it, for [`Part`].
    pub fn stored(&self, name: &str) -> Option<Slot> {
        self.entries.iter().find(|(known, ..)| known == name).and_then(|(_, arg, _)| match arg {
            Arg::Slot(slot) => Some(*slot),
            _ => None,
        })
    }

    /// A weight of a convolution or matrix product, in the precision and layout that the network computes in.
    pub fn weight(&mut self, name: &str) -> Result<Slot, String> {
        let slot = self.slot(name)?;
        Ok(self.cast(slot, true))
    }

    /// The bias that goes with it.
    pub fn bias(&mut self, name: &str) -> Result<Option<Slot>, String> {
        let slot = self.optional(name)?;
        Ok(slot.map(|slot| self.cast(slot, false)))
    }

    /// The value of `slot` in the precision of convolutions and matrix products: one step more, which is done at once for a constant.
    pub fn cast(&mut self, slot: Slot, weight: bool) -> Slot {
        let compute = self.builder.compute;
        let rank = self.builder.constant(slot).map(|value| match value {
            Value::Tensor(tensor) => tensor.dim(),
            _ => 0,
        });
        let layout = weight && compute.channels_last && rank == Some(4);
        if compute.kind == Kind::Float && !layout {
            return slot;
        }
        let kind = compute.kind;
        let cast = one(move |frame| {
            if layout { convolution_weight(frame.tensor(slot)?, compute) } else { frame.tensor(slot)?.f_to_kind(kind) }
        });
        let Ok(kernel) = cast else { return slot };
        let made = self.builder.push("cast", kernel, vec![slot]);
        self.read(made)
    }

    /// Several tensors.
    pub fn slots(&mut self, name: &str) -> Result<Vec<Slot>, String> {
        let slots = self.optional_slots(name)?;
        slots.into_iter().map(|slot| slot.ok_or_else(|| format!("lacks a tensor in `{name}`"))).collect()
    }

    /// Several tensors, of which some may be left out.
    pub fn optional_slots(&mut self, name: &str) -> Result<Vec<Option<Slot>>, String> {
        let list = match self.take(name) {
            None => return Err(format!("lacks the tensors `{name}`")),
            Some(Arg::List(list)) => list,
            Some(single) => vec![single],
        };
        let slots = list.into_iter().map(|arg| match arg {
            Arg::None => Ok(None),
            Arg::Slot(slot) => Ok(Some(self.read(slot))),
            other => Err(wrong(name, "tensors", &other)),
        });
        slots.collect()
    }

    fn integer(&mut self, name: &str, arg: Arg) -> Result<Int, String> {
        match arg {
            Arg::Int(value) => Ok(Int::Fixed(value)),
            Arg::Bool(value) => Ok(Int::Fixed(i64::from(value))),
            Arg::Slot(slot) => {
                let slot = self.read(slot);
                // What is known already is a fixed number.
                match self.builder.constant(slot) {
                    Some(Value::Int(value)) => Ok(Int::Fixed(*value)),
                    _ => Ok(Int::Computed(slot)),
                }
            }
            other => Err(wrong(name, "a whole number", &other)),
        }
    }

    /// A whole number, if it is given.
    pub fn optional_int(&mut self, name: &str) -> Result<Option<Int>, String> {
        self.take(name).map(|arg| self.integer(name, arg)).transpose()
    }

    /// A whole number.
    pub fn int(&mut self, name: &str) -> Result<Int, String> {
        self.optional_int(name)?.ok_or_else(|| format!("lacks the number `{name}`"))
    }

    /// A whole number that must be fixed.
    pub fn fixed(&mut self, name: &str, usual: i64) -> Result<i64, String> {
        match self.optional_int(name)? {
            None => Ok(usual),
            Some(Int::Fixed(value)) => Ok(value),
            Some(Int::Computed(_)) => Err(format!("has a `{name}` that depends on the images")),
        }
    }

    /// Several whole numbers, if they are given.
    pub fn optional_ints(&mut self, name: &str) -> Result<Option<Ints>, String> {
        let list = match self.take(name) {
            None => return Ok(None),
            Some(Arg::List(list)) => list,
            Some(single) => vec![single],
        };
        let ints: Result<Vec<Int>, String> = list.into_iter().map(|arg| self.integer(name, arg)).collect();
        ints.map(|ints| Some(Ints(ints)))
    }

    /// Several whole numbers.
    pub fn ints(&mut self, name: &str) -> Result<Ints, String> {
        self.optional_ints(name)?.ok_or_else(|| format!("lacks the numbers `{name}`"))
    }

    /// Several whole numbers that must be fixed, if they are given.
    pub fn optional_fixed_ints(&mut self, name: &str) -> Result<Option<Vec<i64>>, String> {
        let Some(ints) = self.optional_ints(name)? else { return Ok(None) };
        let fixed = ints.0.into_iter().map(|int| match int {
            Int::Fixed(value) => Ok(value),
            Int::Computed(_) => Err(format!("has `{name}` that depend on the images")),
        });
        fixed.collect::<Result<_, _>>().map(Some)
    }

    /// Several whole numbers that must be fixed; `usual` where they are not given.
    pub fn fixed_ints(&mut self, name: &str, usual: &[i64]) -> Result<Vec<i64>, String> {
        Ok(self.optional_fixed_ints(name)?.unwrap_or_else(|| usual.to_vec()))
    }

    /// A number, if it is given.
    pub fn optional_number(&mut self, name: &str) -> Result<Option<Number>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Arg::Int(value)) => Ok(Some(Number::Int(value))),
            Some(Arg::Bool(value)) => Ok(Some(Number::Int(i64::from(value)))),
            Some(Arg::Float(value)) => Ok(Some(Number::Float(value))),
            Some(Arg::Slot(slot)) => Ok(Some(Number::Computed(self.read(slot)))),
            Some(other) => Err(wrong(name, "a number", &other)),
        }
    }

    /// A number.
    pub fn number(&mut self, name: &str) -> Result<Number, String> {
        self.optional_number(name)?.ok_or_else(|| format!("lacks the number `{name}`"))
    }

    /// A fixed real number, if it is given.
    pub fn optional_float(&mut self, name: &str) -> Result<Option<f64>, String> {
        match self.optional_number(name)? {
            None => Ok(None),
            Some(Number::Int(value)) => Ok(Some(value as f64)),
            Some(Number::Float(value)) => Ok(Some(value)),
            Some(Number::Computed(slot)) => match self.builder.constant(slot) {
                Some(Value::Float(value)) => Ok(Some(*value)),
                Some(Value::Int(value)) => Ok(Some(*value as f64)),
                _ => Err(format!("has a `{name}` that depends on the images")),
            },
        }
    }

    /// A fixed real number.
    pub fn float(&mut self, name: &str, usual: f64) -> Result<f64, String> {
        Ok(self.optional_float(name)?.unwrap_or(usual))
    }

    /// Several fixed real numbers, if they are given.
    pub fn optional_floats(&mut self, name: &str) -> Result<Option<Vec<f64>>, String> {
        let Some(arg) = self.take(name) else { return Ok(None) };
        let Arg::List(list) = arg else { return Err(wrong(name, "numbers", &arg)) };
        let floats = list.iter().map(|arg| match arg {
            Arg::Float(value) => Ok(*value),
            Arg::Int(value) => Ok(*value as f64),
            other => Err(wrong(name, "fixed numbers", other)),
        });
        floats.collect::<Result<_, _>>().map(Some)
    }

    /// A truth value.
    pub fn truth(&mut self, name: &str, usual: bool) -> Result<bool, String> {
        match self.take(name) {
            None => Ok(usual),
            Some(Arg::Bool(value)) => Ok(value),
            Some(Arg::Int(value)) => Ok(value != 0),
            Some(other) => Err(wrong(name, "true or false", &other)),
        }
    }

    /// A word.
    pub fn text(&mut self, name: &str, usual: &str) -> Result<String, String> {
        match self.take(name) {
            None => Ok(usual.to_owned()),
            Some(Arg::Text(text)) => Ok(text),
            Some(other) => Err(wrong(name, "a word", &other)),
        }
    }

    /// A kind of number, if it is given.
    pub fn kind(&mut self, name: &str) -> Result<Option<Kind>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Arg::Kind(kind)) => Ok(Some(super::value::widened(kind))),
            Some(other) => Err(wrong(name, "a kind of number", &other)),
        }
    }

    /// The shape of a constant; none for a value that is computed in the pass.
    pub fn constant_shape(&self, slot: Slot) -> Option<Vec<i64>> {
        match self.builder.constant(slot)? {
            Value::Tensor(tensor) => Some(tensor.size()),
            _ => None,
        }
    }

    /// A tensor or a number.
    pub fn operand(&mut self, name: &str) -> Result<Operand, String> {
        match self.optional_number(name)? {
            None => Err(format!("lacks `{name}`")),
            Some(Number::Computed(slot)) => Ok(Operand::Slot(slot)),
            Some(number) => Ok(Operand::Number(number)),
        }
    }
}

/// A weight in the precision and layout of convolutions.
pub fn convolution_weight(weight: &Tensor, compute: Compute) -> Result<Tensor, TchError> {
    let weight = weight.f_to_kind(compute.kind)?;
    Ok(if compute.channels_last && weight.dim() == 4 { channels_last(&weight) } else { weight })
}

fn wrong(name: &str, expected: &str, found: &Arg) -> String {
    let mut found = format!("{found:?}");
    if found.len() > 60 {
        found.truncate(found.char_indices().nth(56).map_or(found.len(), |(at, _)| at));
        found.push_str(" ...");
    }
    format!("has {found} as `{name}`; expected {expected}")
}
