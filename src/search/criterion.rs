//! Which image of a row counts, and when the row may leave.

/// Which of the images that a row passes through counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// The level at which rows leave before their steps are used up.
    pub leave_at: i64,
    /// Higher levels count as this one.
    pub most: i64,
    /// What decides between images of the same level.
    pub prefer: Prefer,
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
        Criterion { leave_at: level, most: level, prefer: Prefer::First }
    }

    /// Rows use all their steps, and the best score at the highest level counts.
    pub fn best() -> Self {
        Criterion { leave_at: i64::MAX, most: i64::MAX, prefer: Prefer::Score }
    }

    /// Rows use all their steps, and the flip nearest to the centre counts, whatever class it is of.
    pub fn nearest() -> Self {
        Criterion { leave_at: i64::MAX, most: 1, prefer: Prefer::Nearest }
    }
}
