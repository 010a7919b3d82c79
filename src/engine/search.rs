//! Continuous batching of rows: every optimization is a row with its own state; finished rows leave, waiting ones take their
//! place, and no step waits for the device.

mod batch;
mod verification;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use batch::{Active, Batch};
use tch::{Device, Kind, Tensor};
use verification::Candidate;

use super::clean::CleanBlock;
use super::judge::{Judgement, integers};
use crate::attack::{Lengths, Noise};
use crate::model::{Model, NoProbe, Tap};
use crate::objective::{logit_objective, unit_values};
use crate::suite::{Direction, Loss, Stop};
use crate::terms::{LayerName, Norm, SampleId, Unit};

/// How often a truncated search looks at the logits.
const TRUNCATED_CHECK: usize = 5;

/// One optimization: a sample, a radius, a start, and for unit attacks a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Place of the sample in the block.
    pub sample: usize,
    /// Radius of the ball.
    pub epsilon: f64,
    /// The first start (0) is the clean image, the others are random.
    pub restart: usize,
    /// The unit that is driven.
    pub unit: Option<Unit>,
}

impl Row {
    /// Names the row's random stream.
    fn key(&self, id: &SampleId) -> String {
        let unit = self.unit.map(|unit| unit.to_string()).unwrap_or_default();
        format!("{id}/{}/{unit}/{}", self.epsilon, self.restart)
    }
}

/// What the rows of a search maximize.
#[derive(Debug, Clone)]
pub enum Drive<'a> {
    /// A function of the logits; with targets, one for each sample of the block.
    Logits {
        /// The function.
        loss: Loss,
        /// Target classes by sample; none drives away from the clean prediction.
        targets: Option<Vec<i64>>,
    },
    /// A unit's activation.
    Unit {
        /// The layer.
        layer: &'a LayerName,
        /// Up or down.
        direction: Direction,
    },
}

/// A finished row, verified in f32.
pub struct Finished {
    /// The row.
    pub row: Row,
    /// The adversarial image `[1, C, H, W]`.
    pub image: Tensor,
    /// What the f32 model says of it.
    pub verdict: Judgement,
    /// The prediction differs from the clean one.
    pub flipped: bool,
    /// It still does after rounding to 8 bits.
    pub flipped_u8: bool,
    /// The target is predicted and was not before.
    pub hit: bool,
    /// Norms of the perturbation.
    pub lengths: Lengths,
    /// Steps taken.
    pub steps: u32,
    /// Forward passes, verification included.
    pub forwards: u32,
    /// Backward passes.
    pub backwards: u32,
    /// The gradient was zero at every step.
    pub zero_gradient: bool,
    /// The network gave NaN or infinity on the way.
    pub non_finite: bool,
}

/// A search over the rows of one block.
pub struct Search<'a> {
    /// The model that gives gradients.
    pub model: &'a Model,
    /// The model that decides, in f32.
    pub verifier: &'a Model,
    /// The samples.
    pub clean: &'a CleanBlock,
    /// The objective.
    pub drive: Drive<'a>,
    /// The norm of the balls.
    pub norm: Norm,
    /// Steps of each row.
    pub steps: usize,
    /// Length of a step as a share of the radius.
    pub step_size: f64,
    /// When rows may leave.
    pub stop: Stop,
    /// Rows in a batch.
    pub capacity: usize,
    /// Steps between looks at which rows are done: each look waits for the device.
    pub poll: usize,
    /// Random starts.
    pub noise: Noise,
}

/// What a search found.
pub struct Found {
    /// For each chain the rows that ran, in order.
    pub chains: Vec<Vec<Finished>>,
    /// Hits of the search that the f32 pass did not confirm.
    pub unconfirmed: u64,
}

impl Search<'_> {
    /// Runs the rows of each chain in order until one of them reaches what [`Stop`] asks for. Chains advance side by side.
    pub fn run(&self, chains: Vec<Vec<Row>>) -> Found {
        let mut waiting: Vec<VecDeque<Row>> = chains.into_iter().map(VecDeque::from).collect();
        let mut found = Found { chains: waiting.iter().map(|_| Vec::new()).collect(), unconfirmed: 0 };
        let mut queue: VecDeque<(Active, Option<Tensor>)> = VecDeque::new();
        for (chain, rows) in waiting.iter_mut().enumerate() {
            queue.extend(rows.pop_front().map(|row| (Active::new(chain, row), None)));
        }
        let mut batch: Option<Batch> = None;
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut tick = 0usize;
        loop {
            let room = self.capacity - batch.as_ref().map_or(0, |batch| batch.rows.len());
            // Truncated searches look at the logits at fixed ages, so their rows stay in step.
            let admit = if self.in_step() && batch.is_some() { 0 } else { room.min(queue.len()) };
            if admit > 0 {
                let fresh = self.admit(queue.drain(..admit).collect());
                batch = Some(match batch {
                    Some(batch) => batch.join(fresh),
                    None => fresh,
                });
            }
            if let Some(running) = &mut batch {
                self.step(running);
                tick += 1;
                let exhausted = running.rows.iter().any(|active| active.age == self.steps);
                if exhausted || tick.is_multiple_of(self.poll) {
                    candidates.extend(self.leave(&mut batch));
                }
            }
            let idle = batch.is_none() && queue.is_empty();
            if !candidates.is_empty() && (idle || candidates.len() >= self.capacity.div_ceil(2) || queue.is_empty()) {
                for (candidate, finished) in self.verify(std::mem::take(&mut candidates), &mut found.unconfirmed) {
                    match finished {
                        Some(finished) => {
                            let chain = candidate.chain;
                            if !self.reached(&finished) {
                                let next = waiting[chain].pop_front();
                                queue.extend(next.map(|row| (Active::new(chain, row), None)));
                            }
                            found.chains[chain].push(finished);
                        }
                        None => queue.push_front((candidate.active(), Some(candidate.last))),
                    }
                }
            }
            if batch.is_none() && queue.is_empty() && candidates.is_empty() {
                return found;
            }
        }
    }

    fn in_step(&self) -> bool {
        matches!(self.drive, Drive::Unit { .. })
    }

    /// Whether a row has what its chain is after.
    fn reached(&self, finished: &Finished) -> bool {
        match self.stop {
            Stop::Flip => finished.flipped,
            Stop::Target => finished.hit,
            Stop::Budget => false,
        }
    }

    /// Levels: 0 nothing, 1 flipped, 2 target reached; no level above the one at which rows leave.
    fn goal(&self) -> i64 {
        match self.stop {
            Stop::Flip => 1,
            Stop::Target => 2,
            Stop::Budget => i64::MAX,
        }
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn target_of(&self, sample: usize) -> Option<i64> {
        match &self.drive {
            Drive::Logits { targets: Some(targets), .. } => Some(targets[sample]),
            _ => None,
        }
    }

    /// One forward and backward pass and one ascent step of every row. Nothing here waits for the device.
    fn step(&self, batch: &mut Batch) {
        let pixels = batch.image.detach().set_requires_grad(true);
        let (score, logits) = self.score(batch, &pixels);
        let gradient = Tensor::run_backward(&[score.sum(Kind::Float)], &[&pixels], false, false).remove(0);
        tch::no_grad(|| {
            let finite = score.isfinite().logical_and(&gradient.flatten(1, -1).isfinite().all_dim(1, false));
            let gradient = gradient.nan_to_num(0.0, 0.0, 0.0);
            if let Some(logits) = logits {
                batch.keep_best(self, &score, &logits);
            }
            let zero = gradient.flatten(1, -1).abs().amax([1i64].as_slice(), false).eq(0.0);
            batch.zero_steps += zero.to_kind(Kind::Int64);
            let _ = batch.broken.logical_or_(&finite.logical_not());
            let next = batch.balls.ascend(&batch.image, &gradient, self.step_size);
            let starting: Vec<bool> = batch.rows.iter().map(|active| active.age == 0).collect();
            // Where the clean image gives no gradient (a dead unit, a saturated loss) a random start may.
            batch.image = if starting.contains(&true) {
                let kicked = zero.logical_and(&Tensor::from_slice(&starting).to_device(self.device()));
                batch.kick.where_self(&kicked.view([-1, 1, 1, 1]), &next)
            } else {
                next
            };
        });
        for active in &mut batch.rows {
            active.age += 1;
            active.forwards += 1;
            active.backwards += 1;
        }
    }

    /// The objective of each row, and the logits if the pass went that far.
    fn score(&self, batch: &Batch, pixels: &Tensor) -> (Tensor, Option<Tensor>) {
        match &self.drive {
            Drive::Logits { loss, .. } => {
                let ControlFlow::Continue(logits) = self.model.forward(pixels, &mut NoProbe) else {
                    unreachable!("NoProbe never leaves the network")
                };
                let score = logit_objective(*loss, &logits, &batch.clean_prediction, batch.target.as_ref());
                (score, Some(logits))
            }
            Drive::Unit { layer, direction } => {
                let age = batch.rows.first().map_or(0, |active| active.age);
                let whole = age > 0 && age.is_multiple_of(TRUNCATED_CHECK);
                let mut tap = if whole { Tap::passing(layer) } else { Tap::leaving(layer) };
                let logits = match self.model.forward(pixels, &mut tap) {
                    ControlFlow::Continue(logits) => Some(logits),
                    ControlFlow::Break(()) => None,
                };
                let units: Vec<Unit> =
                    batch.rows.iter().map(|active| active.row.unit.unwrap_or(Unit::channel(0))).collect();
                let activation = tap.into_activation().unwrap_or_else(|| pixels.shallow_clone());
                let value = unit_values(&activation, &units, self.model.tokens());
                let score = match direction {
                    Direction::Maximize => value,
                    Direction::Suppress => -value,
                };
                (score, logits)
            }
        }
    }

    /// Takes the rows that are done off the device.
    fn leave(&self, batch: &mut Option<Batch>) -> Vec<Candidate> {
        let Some(running) = batch else { return Vec::new() };
        let levels = integers(&running.best_level);
        let (goal, steps) = (self.goal(), self.steps);
        let done: Vec<bool> =
            running.rows.iter().zip(&levels).map(|(active, &level)| level >= goal || active.age == steps).collect();
        if !done.contains(&true) {
            return Vec::new();
        }
        let (zero_steps, broken) = (integers(&running.zero_steps), integers(&running.broken));
        let candidates = (0..done.len())
            .filter(|&place| done[place])
            .map(|place| Candidate {
                active: running.rows[place].clone(),
                best: (levels[place] > 0).then(|| running.best_image.narrow(0, place as i64, 1).copy()),
                last: running.image.narrow(0, place as i64, 1).copy(),
                exhausted: levels[place] < goal,
                zero_steps: zero_steps[place],
                broken: broken[place] != 0,
            })
            .collect();
        let keep: Vec<usize> = (0..done.len()).filter(|&place| !done[place]).collect();
        *batch = (!keep.is_empty()).then(|| running.keep(&keep));
        candidates
    }
}
