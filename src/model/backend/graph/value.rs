//! Values and steps of a graph.

use std::rc::Rc;

use tch::{Kind, TchError, Tensor};

use crate::model::Site;

/// Where a value lies during a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub usize);

/// What a slot holds.
#[derive(Debug)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A whole number: a size, mostly.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Several values: the parts of a split.
    List(Vec<Value>),
}

impl Value {
    /// The same value; tensors share their memory.
    pub fn share(&self) -> Value {
        match self {
            Value::Tensor(tensor) => Value::Tensor(tensor.shallow_clone()),
            Value::Int(value) => Value::Int(*value),
            Value::Float(value) => Value::Float(*value),
            Value::Bool(value) => Value::Bool(*value),
            Value::List(values) => Value::List(values.iter().map(Value::share).collect()),
        }
    }

    /// Values of its tensors.
    pub fn numel(&self) -> usize {
        match self {
            Value::Tensor(tensor) => tensor.numel(),
            Value::List(values) => values.iter().map(Value::numel).sum(),
            _ => 1,
        }
    }
}

/// The values of a pass so far.
pub struct Frame<'p> {
    /// What is the same in every pass, by slot.
    pub constants: &'p [Option<Value>],
    /// What this pass has computed and still needs, by slot.
    pub values: Vec<Option<Value>>,
}

impl<'p> Frame<'p> {
    /// A pass that has computed nothing.
    pub fn new(constants: &'p [Option<Value>]) -> Self {
        Frame { constants, values: std::iter::repeat_with(|| None).take(constants.len()).collect() }
    }

    /// What `slot` holds.
    pub fn value(&self, slot: Slot) -> Result<&Value, TchError> {
        let found = self.values[slot.0].as_ref().or(self.constants[slot.0].as_ref());
        found.ok_or_else(|| refuse("an operand was not computed before it is used"))
    }

    /// The tensor in `slot`.
    pub fn tensor(&self, slot: Slot) -> Result<&Tensor, TchError> {
        match self.value(slot)? {
            Value::Tensor(tensor) => Ok(tensor),
            other => Err(refuse(format!("expected a tensor, found {other:?}"))),
        }
    }

    /// The tensor in `slot`, if there is one.
    pub fn optional(&self, slot: Option<Slot>) -> Result<Option<&Tensor>, TchError> {
        slot.map(|slot| self.tensor(slot)).transpose()
    }

    /// The tensors in `slots`.
    pub fn tensors(&self, slots: &[Slot]) -> Result<Vec<&Tensor>, TchError> {
        slots.iter().map(|&slot| self.tensor(slot)).collect()
    }
}

/// An error of this crate's own in the place of one of libtorch's.
pub fn refuse(problem: impl Into<String>) -> TchError {
    TchError::Shape(problem.into())
}

/// Computes a step's outputs.
pub type Kernel = Box<dyn Fn(&Frame) -> Result<Value, TchError>>;

/// A kernel, or why the arguments cannot be used, as a clause about the node.
pub type Lowered = Result<Kernel, String>;

/// Turns a node's arguments into a kernel.
pub type Lower = fn(&mut super::Args) -> Lowered;

/// A kernel of one tensor.
pub fn one(compute: impl Fn(&Frame) -> Result<Tensor, TchError> + 'static) -> Lowered {
    Ok(Box::new(move |frame| compute(frame).map(Value::Tensor)))
}

/// A kernel of several tensors.
pub fn many(compute: impl Fn(&Frame) -> Result<Vec<Tensor>, TchError> + 'static) -> Lowered {
    Ok(Box::new(move |frame| Ok(Value::List(compute(frame)?.into_iter().map(Value::Tensor).collect()))))
}

/// Multiply-adds for each value of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cost {
    /// Negligible.
    #[default]
    None,
    /// So many.
    Values(u64),
    /// As many as the last dimension of this slot's tensor is long.
    Inner(Slot),
    /// Of attention over keys in this slot: a product with the keys and one with the values.
    Keys(Slot),
}

/// Which dimension of an activation holds its channels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rule {
    /// As in the first operand of the same rank that has such a dimension.
    #[default]
    Inherit,
    /// The second: convolutions.
    Second,
    /// The last: matrix products and layer normalization.
    Last,
    /// None in particular.
    Nowhere,
    /// That of the first operand, moved by this permutation.
    Permuted(Vec<i64>),
}

/// A convolution of its input by a weight, with a bias: `[N, C, ...]` and `[O, C / groups, ...]` to `[N, O, ...]`.
pub type Product = Rc<dyn Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, TchError>>;

/// What a step is, for folding, parting and overwriting.
#[derive(Clone, Default)]
pub enum Part {
    /// Nothing of the kind.
    #[default]
    Other,
    /// A convolution.
    Convolution {
        /// Its input.
        input: Slot,
        /// The weight as the file has it.
        weight: Slot,
        /// The bias as the file has it.
        bias: Option<Slot>,
        /// What it computes.
        product: Product,
    },
    /// Batch normalization with running statistics.
    Normalization {
        /// Its input.
        input: Slot,
        /// Factors behind the normalization, `[O]`.
        weight: Option<Slot>,
        /// Summands behind it, `[O]`.
        bias: Option<Slot>,
        /// Running means, `[O]`.
        mean: Slot,
        /// Running variances, `[O]`.
        variance: Slot,
        /// What is added to the variance.
        epsilon: f64,
    },
    /// A rectified linear unit.
    Rectifier {
        /// Its input.
        input: Slot,
    },
    /// One place of a tensor along a dimension.
    Selection {
        /// The tensor.
        input: Slot,
        /// The dimension.
        dim: i64,
        /// The place; from the end if negative.
        index: i64,
    },
    /// A sum of two tensors.
    Sum {
        /// One.
        first: Slot,
        /// The other.
        second: Slot,
    },
}

/// A convolution and the normalization behind it as one.
pub struct Folded {
    /// Computes the output of the normalization.
    pub kernel: Kernel,
    /// Where that goes.
    pub output: Slot,
}

/// How a step puts its output where an operand lay.
pub struct Over {
    /// Where the operand is.
    pub slot: Slot,
    /// What is added to it; none for a rectifier.
    pub addend: Option<Slot>,
}

/// One operation of a program.
pub struct Step {
    /// The node's name, for messages.
    pub node: String,
    /// The operator's name, for messages and listings.
    pub operator: String,
    /// The line of code that it comes from, where the file has noted it.
    pub line: Option<String>,
    /// Computes the outputs.
    pub kernel: Kernel,
    /// Where operands come from.
    pub reads: Vec<Slot>,
    /// Where outputs go; several if the kernel gives a list that the file names one by one.
    pub writes: Vec<Slot>,
    /// Whether the outputs are the parts of a list.
    pub apart: bool,
    /// Its arithmetic.
    pub cost: Cost,
    /// The channels of its outputs.
    pub rule: Rule,
    /// What it is, for folding, parting and overwriting.
    pub part: Part,
    /// What computes it and the normalization behind it as one.
    pub folded: Option<Folded>,
    /// What computes it in the memory of an operand.
    pub over: Option<Over>,
    /// Why it passes no gradient on, where libtorch would say nothing or only some ways to the logits are cut.
    pub stiff: Option<&'static str>,
    /// Values that nothing behind this step reads.
    pub last: Vec<Slot>,
    /// Where probes see outputs.
    pub sites: Vec<(Slot, Site)>,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let line = self.line.as_ref().map_or_else(String::new, |line| format!(", {line}"));
        write!(f, "node `{}` ({}{line})", self.node, self.operator)
    }
}

/// Every value is wanted, as the file describes it.
pub fn wanted(_: Slot) -> bool {
    true
}

/// The floating-point kind that values of `kind` compute in: parameters and activations of half precision are widened.
pub fn widened(kind: Kind) -> Kind {
    match kind {
        Kind::Half | Kind::BFloat16 => Kind::Float,
        other => other,
    }
}
