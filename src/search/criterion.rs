//! Which image of a row counts, and when the row may leave.

use crate::terms::Epsilon;

/// Which of the images that a row passes through counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// The level at which rows leave before their steps are used up.
    pub leave_at: i64,
    /// Higher levels count as this one.
    pub most: i64,
    /// What decides between images of the same level.
    pub prefer: Prefer,
    /// A flip within this distance of the centre is one level higher, where the nearest is preferred.
    pub near: Option<f64>,
}

/// What decides between images of the same level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// The first one.
    First,
    /// The one with the best score.
    Score,
    /// The one that is nearest to the centre, by the length of the region's norm.
    Nearest,
}

impl Criterion {
    /// Rows leave at a level, with the first image that reaches it.
    pub fn first(level: i64) -> Self {
        Criterion { leave_at: level, most: level, prefer: Prefer::First, near: None }
    }

    /// Rows use all their steps, and the best score at the highest level counts.
    pub fn best() -> Self {
        Criterion { leave_at: i64::MAX, most: i64::MAX, prefer: Prefer::Score, near: None }
    }

    /// Rows use all their steps, and the flip nearest to the centre counts, whatever class it is of.
    pub fn nearest() -> Self {
        Criterion::nearest_of(1)
    }

    /// The same of images that reach `level`; where none does, of those that come next.
    pub fn nearest_of(level: i64) -> Self {
        Criterion { leave_at: i64::MAX, most: level, prefer: Prefer::Nearest, near: None }
    }

    /// The flip nearest to the centre counts, whatever class it is of; rows leave once it lies within `radius`.
    pub fn near_enough(radius: Epsilon) -> Self {
        // A little less, so that rounding does not put it outside.
        Criterion { leave_at: 2, near: Some(radius.value() * (1.0 - 1e-6)), ..Criterion::nearest() }
    }
}
