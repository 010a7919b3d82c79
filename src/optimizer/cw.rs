//! The l2 attack of Carlini and Wagner 2017 (<https://arxiv.org/abs/1608.04644>): descent on the squared length and the margin, weighed by a
//! constant that a search finds for each row; the box is met by a change of variables.

use tch::{Kind, Tensor};

use super::adam::Adam;
use super::{Needs, Optimizer, Pace, Seen};
use crate::region::Region;
use crate::rows::{Entrants, rows};

/// Rounds of the search for the constant; each has this share of the steps, and begins where the last one ended.
const ROUNDS: usize = 4;
/// The first constant, where the first look does not tell a better one.
const CONSTANT: f64 = 1e-3;
/// The next constant is so many times as large or small while only one bound is known.
const GROWTH: f64 = 4.0;
/// Beyond this no upper bound is known.
const UNBOUNDED: f64 = 1e10;
/// The longest way of a round in the changed variable, of which half is gone, since steps shrink.
const WAY: f64 = 2.0;
/// The box is met this share of its half width inside, where black and white pixels still move.
const INSIDE: f64 = 1e-4;

rows! {
    /// The present point and the bounds of the constant.
    struct CarliniWagner {
        each {
            /// The centre in the changed variable, atanh(2x - 1).
            origin: Tensor,
            /// What was added to it.
            moved: Tensor,
            /// The image to look at: inside the region.
            image: Tensor,
            adam: Adam,
            /// Constants `[R, 1, 1, 1]`, and what is known of them.
            constant: Tensor,
            lower: Tensor,
            upper: Tensor,
            /// Whether the present round has flipped `[R, 1, 1, 1]`.
            flipped: Tensor,
            /// Looks so far `[R, 1, 1, 1]`, i64.
            age: Tensor,
        }
        all { round: i64, level: i64 }
    }
}

/// Rows that begin at `first`.
pub(super) fn enter(pace: Pace, entrants: &Entrants, first: Tensor, _: &dyn Region) -> Box<dyn Optimizer> {
    let shape = [entrants.rows.len() as i64, 1, 1, 1];
    let filled = |value: f64| Tensor::full(shape, value, (Kind::Float, first.device()));
    let origin = ((&first * 2.0 - 1.0) * (1.0 - INSIDE)).atanh();
    Box::new(CarliniWagner {
        image: first.shallow_clone(),
        moved: origin.zeros_like(),
        adam: Adam::new(&origin),
        origin,
        constant: filled(CONSTANT),
        lower: filled(0.0),
        upper: filled(UNBOUNDED),
        flipped: Tensor::zeros(shape, (Kind::Bool, first.device())),
        age: Tensor::zeros(shape, (Kind::Int64, first.device())),
        round: (pace.steps / ROUNDS).max(1) as i64,
        level: pace.level,
    })
}

impl Optimizer for CarliniWagner {
    fn needs(&self) -> Needs {
        Needs::Gradient
    }

    fn query(&self) -> Tensor {
        self.image.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let (Some(gradient), Some(level)) = (observed.gradient, observed.level) else { return };
        let image = self.unlimited();
        let hit = level.ge(self.level).view([-1, 1, 1, 1]);
        self.flipped = self.flipped.logical_or(&hit);
        let first = self.age.eq(0);
        self.constant = constant(observed.score, gradient).where_self(&first, &self.constant);
        let pull = (&image - region.center()) * 2.0;
        let push = gradient.masked_fill(&hit, 0.0) * &self.constant;
        let slope = (&image * (1.0 - &image)) * 2.0;
        let direction = self.adam.direction(&((pull - push) * slope));
        // Steps shrink to nothing within a round, so that rows settle on the boundary instead of crossing it to and fro.
        let left = self.age.remainder(self.round).to_kind(Kind::Float) / -(self.round as f64) + 1.0;
        self.moved = &self.moved + direction * left * (WAY / self.round as f64);
        self.age = &self.age + 1;
        let over = self.age.remainder(self.round).eq(0);
        self.next_round(&over);
        self.image = region.project(&self.unlimited());
    }
}

impl CarliniWagner {
    /// The present image, limited by the box alone.
    fn unlimited(&self) -> Tensor {
        ((&self.origin + &self.moved).tanh() + 1.0) * 0.5
    }

    /// The rows whose round is `over` try another constant from the beginning.
    fn next_round(&mut self, over: &Tensor) {
        let lowered = self.upper.minimum(&self.constant).where_self(&self.flipped, &self.upper);
        let raised = self.lower.where_self(&self.flipped, &self.lower.maximum(&self.constant));
        self.upper = lowered.where_self(over, &self.upper);
        self.lower = raised.where_self(over, &self.lower);
        let middle = (&self.lower * &self.upper).sqrt();
        let below = middle.where_self(&self.lower.gt(0.0), &(&self.upper / GROWTH));
        let next = below.where_self(&self.upper.lt(UNBOUNDED * 0.1), &(&self.constant * GROWTH));
        self.constant = next.where_self(over, &self.constant);
        self.flipped = self.flipped.logical_and(&over.logical_not());
        self.adam.restart(over);
    }
}

/// The constant at which pull and push are equal on the boundary of a linear function with this score `[R]`, negative before the boundary,
/// and this gradient.
fn constant(score: &Tensor, gradient: &Tensor) -> Tensor {
    let squared = gradient.square().sum_dim_intlist([1i64, 2, 3].as_slice(), true, Kind::Float);
    let constant = score.view([-1, 1, 1, 1]) * -2.0 / squared;
    constant.nan_to_num(CONSTANT, CONSTANT, CONSTANT).clamp(1e-9, 1e9)
}
