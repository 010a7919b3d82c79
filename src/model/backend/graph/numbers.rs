//! Numbers among a node's arguments: fixed, or computed in the pass.

use tch::{Scalar, TchError, Tensor};

use super::value::{Frame, Slot, Value, refuse};

/// A whole number that is fixed, or computed in the pass.
#[derive(Debug, Clone, Copy)]
pub enum Int {
    /// Fixed.
    Fixed(i64),
    /// Computed.
    Computed(Slot),
}

impl Int {
    /// Its value in this pass.
    pub fn get(self, frame: &Frame) -> Result<i64, TchError> {
        let slot = match self {
            Int::Fixed(value) => return Ok(value),
            Int::Computed(slot) => slot,
        };
        match frame.value(slot)? {
            Value::Int(value) => Ok(*value),
            Value::Bool(value) => Ok(i64::from(*value)),
            Value::Float(value) if value.fract() == 0.0 => Ok(*value as i64),
            Value::Tensor(tensor) if tensor.numel() == 1 => tensor.f_int64_value(&vec![0; tensor.dim()]),
            other => Err(refuse(format!("expected a whole number, found {other:?}"))),
        }
    }
}

/// Several whole numbers.
#[derive(Debug, Clone)]
pub struct Ints(pub Vec<Int>);

impl Ints {
    /// Their values in this pass.
    pub fn get(&self, frame: &Frame) -> Result<Vec<i64>, TchError> {
        self.0.iter().map(|int| int.get(frame)).collect()
    }
}

/// A number that is fixed, or computed in the pass.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// Fixed and whole.
    Int(i64),
    /// Fixed.
    Float(f64),
    /// Computed.
    Computed(Slot),
}

impl Number {
    /// Its value in this pass.
    pub fn get(self, frame: &Frame) -> Result<Scalar, TchError> {
        match self {
            Number::Int(value) => Ok(value.into()),
            Number::Float(value) => Ok(value.into()),
            Number::Computed(slot) => match frame.value(slot)? {
                Value::Int(value) => Ok((*value).into()),
                Value::Float(value) => Ok((*value).into()),
                Value::Bool(value) => Ok(i64::from(*value).into()),
                other => Err(refuse(format!("expected a number, found {other:?}"))),
            },
        }
    }

    /// Its value in this pass as a real number.
    pub fn float(self, frame: &Frame) -> Result<f64, TchError> {
        match self {
            Number::Int(value) => Ok(value as f64),
            Number::Float(value) => Ok(value),
            Number::Computed(slot) => match frame.value(slot)? {
                Value::Int(value) => Ok(*value as f64),
                Value::Float(value) => Ok(*value),
                Value::Bool(value) => Ok(f64::from(*value)),
                Value::Tensor(tensor) if tensor.numel() == 1 => tensor.f_double_value(&vec![0; tensor.dim()]),
                other => Err(refuse(format!("expected a number, found {other:?}"))),
            },
        }
    }
}

/// The other operand of an operator on two.
#[derive(Debug, Clone, Copy)]
pub enum Operand {
    /// A value of the graph: a tensor, or a number that the pass computes.
    Slot(Slot),
    /// A fixed number.
    Number(Number),
}

/// An operand as it is in this pass.
pub enum Resolved<'f> {
    /// A tensor.
    Tensor(&'f Tensor),
    /// A number.
    Scalar(Scalar),
}

impl Operand {
    /// What it is in this pass.
    pub fn get<'f>(self, frame: &'f Frame) -> Result<Resolved<'f>, TchError> {
        match self {
            Operand::Slot(slot) => match frame.value(slot)? {
                Value::Tensor(tensor) => Ok(Resolved::Tensor(tensor)),
                _ => Ok(Resolved::Scalar(Number::Computed(slot).get(frame)?)),
            },
            Operand::Number(number) => Ok(Resolved::Scalar(number.get(frame)?)),
        }
    }
}
