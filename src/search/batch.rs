//! The rows that are on the device, and the step that all of them take.

use tch::{Kind, Tensor};

use super::look::Look;
use super::nearest::Nearest;
use super::track::Track;
use super::views::RowViews;
use super::{Criterion, Prefer};
use crate::model::Model;
use crate::objective::{Objective, Scored};
use crate::optimizer::{Needs, Optimizer, Pass, Seen, gradient};
use crate::region::Region;
use crate::rows::{Parked, Row, RowState, Rows, floats, integers, may_hold};

/// How often a truncated search looks at the logits.
const TRUNCATED_CHECK: usize = 5;

/// A row on the device.
#[derive(Debug, Clone)]
pub struct Active {
    /// The chain whose row it is.
    pub chain: usize,
    /// The row.
    pub row: Row,
    /// Steps taken.
    pub age: usize,
    /// Forward passes so far.
    pub forwards: u32,
    /// Backward passes so far.
    pub backwards: u32,
}

impl Active {
    /// A row that has not begun.
    pub fn new(chain: usize, row: Row) -> Self {
        Active { chain, row, age: 0, forwards: 0, backwards: 0 }
    }
}

/// What the optimizer moves, made into images: for attacks the images themselves (no canvas), for visualizations a spectrum.
pub trait Canvas: RowState {
    /// Images `[R, C, H, W]` in [0, 1] of parameters `[R, ..]`; gradients flow through.
    fn image(&self, parameters: &Tensor) -> Tensor;
}

/// The rows on the device and their parts; every tensor has the row first, in the order of `rows`.
pub struct Batch {
    /// The rows.
    pub rows: Vec<Active>,
    region: Box<dyn Region>,
    objective: Box<dyn Objective>,
    optimizer: Box<dyn Optimizer>,
    canvas: Option<Box<dyn Canvas>>,
    views: Option<RowViews>,
    track: Track,
    /// What rows pass on their way, where another image counts.
    nearest: Option<Nearest>,
    /// Where the last tenth of the steps begins, if scores are followed.
    late: Option<usize>,
}

/// Rows that rest while their images are verified, with the state of all their parts.
pub struct Rested {
    region: Parked,
    objective: Parked,
    optimizer: Parked,
    canvas: Option<Parked>,
    views: Option<RowViews>,
    track: Track,
    nearest: Option<Nearest>,
}

/// A row that has left the device.
pub struct Left {
    /// The row.
    pub active: Active,
    /// The image that reached something, if any did `[1, C, H, W]`.
    pub best: Option<Tensor>,
    /// A nearer one that did too, if `best` is not the nearest `[1, C, H, W]`.
    pub nearest: Option<Tensor>,
    /// If all steps are used up, what it would be looked at next, and what its optimizer would rather end with.
    pub last: Vec<Tensor>,
    /// Steps at which its gradient was zero.
    pub zero_steps: i64,
    /// Whether a score or gradient was not finite.
    pub broken: bool,
    /// The share of the way from the first score to the best that the last tenth of the steps brought; 0 if scores are not followed.
    pub late_share: f32,
    /// Its state, if it has steps left.
    pub rested: Option<Rested>,
}

impl Batch {
    /// Rows that begin. The parts have the same rows in the same order.
    pub fn new(
        rows: Vec<Active>,
        region: Box<dyn Region>,
        objective: Box<dyn Objective>,
        optimizer: Box<dyn Optimizer>,
        canvas: Option<Box<dyn Canvas>>,
    ) -> Self {
        let image = optimizer.query();
        let moved = match canvas {
            // There is no clean image to be left.
            Some(_) => Tensor::ones([rows.len() as i64], (Kind::Bool, image.device())),
            None => image.ne_tensor(region.center()).flatten(1, -1).any_dim(1, false),
        };
        let track = Track::new(&image, moved);
        Batch { rows, region, objective, optimizer, canvas, views: None, track, nearest: None, late: None }
    }

    /// The same rows, whose gradients are averaged over views.
    pub(super) fn seen_by(self, views: Option<RowViews>) -> Self {
        Batch { views, ..self }
    }

    /// The same, which remember the nearest flips that they pass, where by `criterion` others may count.
    pub(super) fn remembering(self, criterion: Criterion) -> Self {
        let nearest = (criterion.prefer == Prefer::Score).then(|| Nearest::new(&self.track.image));
        Batch { nearest, ..self }
    }

    /// The same, with scores followed over `steps`, of which there are enough to speak of a last tenth.
    pub fn following(self, steps: usize) -> Self {
        Batch { late: Some(steps - steps / 10).filter(|_| steps >= 10), ..self }
    }

    /// The images `[R, C, H, W]` of which the next step is taken.
    pub(super) fn looks_at(&self) -> Tensor {
        self.optimizer.query().detach()
    }

    /// Whether its passes leave the network before the logits.
    pub fn truncates(&self) -> bool {
        self.objective.truncates()
    }

    /// These rows, then those of `more`, which begin.
    pub fn append(&mut self, more: Batch) {
        self.rows.extend(more.rows);
        self.region.append(more.region.park());
        self.objective.append(more.objective.park());
        self.optimizer.append(more.optimizer.park());
        if let (Some(canvas), Some(more)) = (&mut self.canvas, more.canvas) {
            canvas.append(more.park());
        }
        Rows::append(&mut self.views, more.views);
        Rows::append(&mut self.track, more.track);
        Rows::append(&mut self.nearest, more.nearest);
    }

    /// These rows, then one that goes on where it left; what it had reached is forgotten.
    pub fn resume(&mut self, active: Active, rested: Rested) {
        let Rested { region, objective, optimizer, canvas, views, mut track, mut nearest } = rested;
        track.forget();
        nearest.iter_mut().for_each(Nearest::forget);
        self.rows.push(active);
        self.region.append(region);
        self.objective.append(objective);
        self.optimizer.append(optimizer);
        if let (Some(canvas), Some(rested)) = (&mut self.canvas, canvas) {
            canvas.append(rested);
        }
        Rows::append(&mut self.views, views);
        Rows::append(&mut self.track, track);
        Rows::append(&mut self.nearest, nearest);
    }

    /// The rows at `places` begin again with the optimizer state of `again`, which has them in this order.
    pub fn begin_again(&mut self, places: &[usize], again: Box<dyn Optimizer>) {
        let count = self.rows.len();
        let mut order: Vec<i64> = (0..count as i64).collect();
        for (at, &place) in places.iter().enumerate() {
            order[place] = (count + at) as i64;
        }
        self.optimizer.append(again.park());
        self.optimizer.keep(&Tensor::from_slice(&order).to_device(self.track.level.device()));
    }

    /// Whether what rows that begin see first is the gradient at their clean images, and nothing else.
    pub(super) fn begins_plainly(&self) -> bool {
        let plain = self.views.is_none() && self.canvas.is_none() && self.optimizer.needs() == Needs::Gradient;
        plain && !integers(&self.track.moved).contains(&1)
    }

    /// The first step of rows that begin, all of which have seen `look` already. Gives the flags `[R]` of those whose gradient is zero.
    pub(super) fn step_knowing(&mut self, criterion: Criterion, mut look: Look) -> Option<Tensor> {
        let query = self.optimizer.query().detach();
        tch::no_grad(|| self.tell(criterion, &query, &mut look, 1));
        self.rows.iter_mut().for_each(|active| active.age += 1);
        look.zero
    }

    /// One step of every row: passes over the same images, or over their views, and one move. Nothing in here waits for the device, uploads
    /// to it, or draws. Gives the flags `[R]` of rows whose gradient was zero, if one was asked for.
    pub fn step(&mut self, model: &Model, criterion: Criterion) -> Option<Tensor> {
        let query = self.optimizer.query().detach();
        let (mut look, looks, aside) = match &self.views {
            Some(views) => self.look_around(model, &query, views),
            None => (self.look(model, &query), 1, 0),
        };
        let backwards = tch::no_grad(|| self.tell(criterion, &query, &mut look, looks));
        for active in &mut self.rows {
            active.age += 1;
            active.forwards += looks + aside;
            active.backwards += backwards;
        }
        if let Some(views) = &mut self.views {
            views.advance();
        }
        look.zero
    }

    /// A forward and a backward pass for each view; what was seen, the number of views, and forward passes beside them.
    fn look_around(&self, model: &Model, query: &Tensor, views: &RowViews) -> (Look, u32, u32) {
        let (full_pass, plain) = (self.is_whole(), views.views.begins_plain());
        let look = |place: usize| {
            let pixels = query.detach().set_requires_grad(true);
            let image = views.image(&pixels, place);
            let pass = || self.objective.score(model, &image, full_pass && plain && place == 0);
            let (Scored { score, level, .. }, gradient) = match views.views.backward {
                Some(backward) => {
                    let (scored, rewired) = model.rewired(backward, pass);
                    let gradient = rewired.gradient(&scored.score, &pixels);
                    (scored, gradient)
                }
                None => {
                    let scored = pass();
                    let gradient = gradient(&scored.score, &pixels, false);
                    (scored, gradient)
                }
            };
            let gradient = Some(gradient);
            Look {
                score: score.detach(),
                level: level.filter(|_| plain && place == 0),
                gradient,
                zero: None,
                graph: None,
            }
        };
        let mut sum = look(0);
        for place in 1..views.views.count() {
            sum.add(look(place));
        }
        sum.gradient = sum.gradient.map(|gradient| tch::no_grad(|| views.blurred(gradient)));
        let aside = !plain && (full_pass || !self.objective.truncates());
        if aside {
            sum.level = tch::no_grad(|| self.objective.score(model, query, true)).level;
        }
        (sum, views.views.count() as u32, u32::from(aside))
    }

    /// Whether this step goes on to the logits even where the objective does not.
    fn is_whole(&self) -> bool {
        let age = self.rows.first().map_or(0, |active| active.age);
        age > 0 && age.is_multiple_of(TRUNCATED_CHECK)
    }

    /// One forward pass, and a backward pass if the optimizer needs one.
    fn look(&self, model: &Model, query: &Tensor) -> Look {
        let needs = self.optimizer.needs();
        let full_pass = needs == Needs::Logits || self.is_whole();
        if needs == Needs::Score {
            let Scored { score, level, .. } = tch::no_grad(|| self.score(model, query, full_pass));
            return Look { score, level, gradient: None, zero: None, graph: None };
        }
        let pixels = query.detach().set_requires_grad(true);
        let Scored { score, level, logits } = self.score(model, &pixels, full_pass);
        if needs == Needs::Logits {
            return Look {
                score: score.detach(),
                level,
                gradient: None,
                zero: None,
                graph: logits.map(|logits| (logits, pixels)),
            };
        }
        let gradient = Some(gradient(&score, &pixels, false));
        Look { score: score.detach(), level, gradient, zero: None, graph: None }
    }

    fn score(&self, model: &Model, query: &Tensor, full_pass: bool) -> Scored {
        match &self.canvas {
            Some(canvas) => self.objective.score(model, &canvas.image(query), full_pass),
            None => self.objective.score(model, query, full_pass),
        }
    }

    /// Takes note of what was seen and lets the optimizer move. The number of backward passes.
    fn tell(&mut self, criterion: Criterion, query: &Tensor, look: &mut Look, looks: u32) -> u32 {
        let mut finite = look.score.isfinite();
        if looks > 1 {
            look.score /= f64::from(looks);
        }
        if let Some(gradient) = look.gradient.take() {
            let largest = |gradient: &Tensor| gradient.flatten(1, -1).abs().amax([1i64].as_slice(), false);
            // The largest of values one of which is not finite is not finite.
            let size = largest(&gradient);
            let sound = size.isfinite();
            finite = finite.logical_and(&sound);
            let (gradient, size) = match may_hold(&sound.logical_not()) {
                true => {
                    let gradient = gradient.nan_to_num(0.0, 0.0, 0.0);
                    let size = largest(&gradient);
                    (gradient, size)
                }
                false => (gradient, size),
            };
            look.zero = Some(size.eq(0.0));
            look.gradient = Some(if looks > 1 { gradient / f64::from(looks) } else { gradient });
        }
        let pass = look.graph.as_ref().map(|(logits, pixels)| Pass::new(logits, pixels));
        let (gradient, level) = (look.gradient.as_ref(), look.level.as_ref());
        let counts = self.optimizer.counts();
        let counted = |level: &Tensor, counts: &Tensor| level * counts.to_kind(Kind::Int64);
        let level =
            level.map(|level| counts.as_ref().map_or_else(|| level.shallow_clone(), |counts| counted(level, counts)));
        let observed = Seen { score: &look.score, gradient, level: level.as_ref(), pass: pass.as_ref() };
        self.track.keep_best(criterion, query, &observed, &*self.region);
        if let (Some(nearest), Some(level)) = (&mut self.nearest, observed.level) {
            nearest.look(query, &self.track.reached(level), &*self.region);
        }
        self.track.note(&finite, look.zero.as_ref());
        if let Some(late) = self.late {
            self.track.follow(&look.score, counts.as_ref(), late);
        }
        self.optimizer.tell(&observed, &*self.region);
        let taken = pass.map_or(0, |pass| pass.backwards());
        taken + if gradient.is_some() { looks } else { 0 }
    }

    /// Takes the rows that are done off the device: those that reached the level at which they may leave, and those that have taken
    /// `steps`. Waits for the device.
    pub fn leave(&mut self, criterion: Criterion, steps: usize) -> Vec<Left> {
        let levels = integers(&self.track.level);
        let exhausted: Vec<bool> = self.rows.iter().map(|active| active.age >= steps).collect();
        let done: Vec<usize> =
            (0..levels.len()).filter(|&place| levels[place] >= criterion.leave_at || exhausted[place]).collect();
        if done.is_empty() {
            return Vec::new();
        }
        let nearer = self.nearest.as_ref().map(|nearest| nearest.undercuts(&self.track.image, &*self.region));
        let (zero_steps, broken) = (integers(&self.track.zero_steps), integers(&self.track.broken));
        let late = self.late.map(|_| floats(&self.track.late_share()));
        let (next, rather) = (self.optimizer.query(), self.optimizer.best());
        // All that leave are copied at once, and their places are uploaded once.
        let places: Vec<i64> = done.iter().map(|&place| place as i64).collect();
        let places = Tensor::from_slice(&places).to_device(self.track.level.device());
        let leaving = |images: &Tensor| images.index_select(0, &places);
        let (best, next, rather) = (leaving(&self.track.image), leaving(&next), rather.as_ref().map(leaving));
        let passed = self.nearest.as_ref().map(|nearest| leaving(&nearest.image));
        let left = done.iter().zip(0i64..).map(|(&place, at)| Left {
            active: self.rows[place].clone(),
            best: (levels[place] > 0).then(|| best.narrow(0, at, 1)),
            nearest: passed
                .as_ref()
                .filter(|_| nearer.as_ref().is_some_and(|nearer| nearer[place]))
                .map(|passed| passed.narrow(0, at, 1)),
            last: match exhausted[place] && levels[place] < criterion.leave_at {
                true => {
                    let rather = rather.as_ref().filter(|_| levels[place] == 0);
                    std::iter::once(&next).chain(rather).map(|images| images.narrow(0, at, 1)).collect()
                }
                false => Vec::new(),
            },
            zero_steps: zero_steps[place],
            broken: broken[place] != 0,
            late_share: late.as_ref().map_or(0.0, |late| late[place]),
            rested: (!exhausted[place]).then(|| self.rest(&places.narrow(0, at, 1))),
        });
        let left: Vec<Left> = left.collect();
        let keep: Vec<usize> = (0..levels.len()).filter(|place| !done.contains(place)).collect();
        self.keep(&keep);
        left
    }

    /// The state of the row at `index` `[1]`, i64, on the device.
    fn rest(&self, index: &Tensor) -> Rested {
        Rested {
            region: self.region.pick(index),
            objective: self.objective.pick(index),
            optimizer: self.optimizer.pick(index),
            canvas: self.canvas.as_ref().map(|canvas| canvas.pick(index)),
            views: Rows::pick(&self.views, index),
            track: Rows::pick(&self.track, index),
            nearest: Rows::pick(&self.nearest, index),
        }
    }

    /// The rows at these places stay.
    fn keep(&mut self, places: &[usize]) {
        let index: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let index = Tensor::from_slice(&index).to_device(self.track.level.device());
        self.rows = places.iter().map(|&place| self.rows[place].clone()).collect();
        self.region.keep(&index);
        self.objective.keep(&index);
        self.optimizer.keep(&index);
        if let Some(canvas) = &mut self.canvas {
            canvas.keep(&index);
        }
        Rows::keep(&mut self.views, &index);
        Rows::keep(&mut self.track, &index);
        Rows::keep(&mut self.nearest, &index);
    }
}
