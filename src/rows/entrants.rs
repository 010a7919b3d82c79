//! Rows, and how they enter.

use std::fmt;

use tch::{Device, Tensor};

use crate::random::Noise;
use crate::terms::{Epsilon, Unit};

/// What a row drives. Rows that drive different things share a batch if one objective knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drives {
    /// Away from the clean prediction.
    Away,
    /// Towards a class.
    Towards(i64),
    /// A unit of the objective's layer.
    Unit(Unit),
    /// The same, the other way round.
    Lowered(Unit),
    /// The objective's layer as a whole.
    Layer,
}

/// As it stands in the keys of random streams, which must not change: classes and layers say nothing.
impl fmt::Display for Drives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drives::Unit(unit) => unit.fmt(f),
            Drives::Lowered(unit) => write!(f, "-{unit}"),
            Drives::Away | Drives::Towards(_) | Drives::Layer => Ok(()),
        }
    }
}

impl Drives {
    /// 1, or -1 for a unit that goes the other way round.
    pub fn sign(self) -> f64 {
        if matches!(self, Drives::Lowered(_)) { -1.0 } else { 1.0 }
    }
}

/// One optimization.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Place of its centre (the clean image) in the block.
    pub sample: usize,
    /// Size of its region in the region's own unit; for balls the radius, in pixel units of [0, 1].
    pub epsilon: Epsilon,
    /// The first start (0) is the centre, the others are random.
    pub restart: usize,
    /// What it drives.
    pub drives: Drives,
}

impl Row {
    /// Names the row's random stream; `id` names its sample.
    pub fn key(&self, id: &impl fmt::Display) -> String {
        format!("{id}/{}/{}/{}", self.epsilon.value(), self.drives, self.restart)
    }
}

/// R rows that begin.
pub struct Entrants<'a> {
    /// The rows.
    pub rows: &'a [Row],
    /// Names of their random streams.
    pub keys: &'a [String],
    /// Random streams. Whatever is random about a row is drawn when it enters, on the CPU, so that no step waits.
    pub noise: &'a Noise,
    /// Their centres `[R, C, H, W]`, on the device.
    pub center: Tensor,
    /// Steps that each row has.
    pub steps: usize,
}

impl Entrants<'_> {
    /// Sizes of their regions `[R]`, f64, on the device.
    pub fn sizes(&self) -> Tensor {
        let sizes: Vec<f64> = self.rows.iter().map(|row| row.epsilon.value()).collect();
        Tensor::from_slice(&sizes).to_device(self.device())
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.center.device()
    }

    /// Number of values of an image.
    pub fn values(&self) -> usize {
        self.center.size()[1..].iter().product::<i64>() as usize
    }

    /// For each row what `draw` makes of its place, its stream's name and an image's number of values: `[R, C, H, W]`, on the device.
    pub fn drawn(&self, draw: impl Fn(usize, &str, usize) -> Vec<f32>) -> Tensor {
        let count = self.values();
        let draw = |(row, key): (usize, &String)| Tensor::from_slice(&draw(row, key, count));
        let rows: Vec<Tensor> = self.keys.iter().enumerate().map(draw).collect();
        Tensor::stack(&rows, 0).view_as(&self.center).to_device(self.device())
    }
}
