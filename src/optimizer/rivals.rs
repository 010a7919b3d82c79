//! The classes that a row may be driven to, fixed when it is first looked at, and the boundary that is nearest to first order: shared by
//! DeepFool and FAB.

use tch::{Kind, Tensor};

use super::Pass;
use crate::region::BallShape;
use crate::rows::{Drives, Entrants, rows};
use crate::suite::passes::RIVALS;

/// Classes that are tried, the likeliest first.
const CANDIDATES: i64 = RIVALS as i64;

rows! {
    /// A row's own class and its rivals.
    pub(super) struct Rivals {
        each {
            /// Looks so far `[R]`, i64.
            age: Tensor,
            /// The class that the row leaves `[R]`, i64.
            predicted: Tensor,
            /// The classes that it may enter `[R, K]`, i64.
            others: Tensor,
        }
        all {
            targeted: bool,
            /// Whether the target has to be reached, not only the row's own class to be left: then the class to be overtaken is
            /// whichever leads.
            strict: bool,
        }
    }
}

/// The linear likeness of the nearest boundary.
pub(super) struct Boundary {
    /// A rival's logit minus the row's own `[R]`: negative before the boundary.
    pub value: Tensor,
    /// Its gradient `[R, C, H, W]`.
    pub normal: Tensor,
}

impl Rivals {
    /// For rows that begin; those that drive towards a class have this one rival.
    pub fn new(entrants: &Entrants, level: i64) -> Self {
        let target = |drives: Drives| if let Drives::Towards(class) = drives { Some(class) } else { None };
        let targets: Option<Vec<i64>> = entrants.rows.iter().map(|row| target(row.drives)).collect();
        let (count, device) = (entrants.rows.len() as i64, entrants.device());
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Int64, device));
        let others = match &targets {
            Some(classes) => Tensor::from_slice(classes).to_device(device).view([-1, 1]),
            // Replaced at the first look; the width is that of the widest network.
            None => zeros(&[count, CANDIDATES]),
        };
        Rivals {
            age: zeros(&[count]),
            predicted: zeros(&[count]),
            others,
            targeted: targets.is_some(),
            strict: level > 1,
        }
    }

    /// The class `[R]` whose logit a rival has to exceed.
    fn left_behind(&self, logits: &Tensor) -> Tensor {
        if !(self.strict && self.targeted) {
            return self.predicted.shallow_clone();
        }
        let target = self.others.select(1, 0).unsqueeze(1);
        let taken = logits.zeros_like().to_kind(Kind::Bool).scatter_value(1, &target, 1);
        logits.masked_fill(&taken, f64::NEG_INFINITY).argmax(-1, false)
    }

    /// The nearest boundary, with one backward pass for each rival.
    pub fn nearest(&mut self, pass: &Pass, shape: &dyn BallShape) -> Boundary {
        self.look(&pass.logits());
        let classes = pass.logits().size()[1];
        let tried = if self.targeted { 1 } else { CANDIDATES.min(classes - 1) };
        let class_left = self.left_behind(&pass.logits());
        let mut best: Option<(Tensor, Boundary)> = None;
        for rank in 0..tried {
            let other = self.others.select(1, rank);
            let at = |logits: &Tensor, class: &Tensor| logits.gather(1, &class.unsqueeze(1), false).squeeze_dim(1);
            let (value, normal) = pass.gradient(|logits| at(logits, &other) - at(logits, &class_left));
            let length = shape.dual(&normal).flatten(0, -1);
            // A boundary without a gradient is infinitely far.
            let distance = (value.abs() / &length).masked_fill(&length.eq(0.0), f64::INFINITY);
            best = Some(match best {
                None => (distance, Boundary { value, normal }),
                Some((nearest, boundary)) => {
                    let nearer = distance.lt_tensor(&nearest);
                    let value = value.where_self(&nearer, &boundary.value);
                    let normal = normal.where_self(&nearer.view([-1, 1, 1, 1]), &boundary.normal);
                    (distance.minimum(&nearest), Boundary { value, normal })
                }
            });
        }
        match best {
            Some((_, boundary)) => boundary,
            None => unreachable!("a classifier has two classes, which the search checks"),
        }
    }

    /// At a row's first look its classes are chosen.
    fn look(&mut self, logits: &Tensor) {
        let first = self.age.eq(0);
        let predicted = logits.argmax(-1, false);
        self.predicted = predicted.where_self(&first, &self.predicted);
        if !self.targeted {
            let taken = predicted.unsqueeze(1);
            let mask = logits.zeros_like().to_kind(Kind::Bool).scatter_value(1, &taken, 1);
            let ranked = logits.masked_fill(&mask, f64::NEG_INFINITY).argsort(-1, true);
            let tried = CANDIDATES.min(logits.size()[1] - 1);
            let chosen = ranked.narrow(1, 0, tried);
            // The same width for all rows, however many classes there are.
            let chosen = match CANDIDATES - tried {
                0 => chosen,
                missing => Tensor::cat(&[&chosen, &self.others.narrow(1, tried, missing)], 1),
            };
            self.others = chosen.where_self(&first.unsqueeze(1), &self.others);
        }
        self.age += 1;
    }
}
