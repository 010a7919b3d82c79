//! Continuous batching of rows: every optimization is a row with its own state; finished rows leave, waiting ones take their
//! place, and no step waits for the device.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use tch::{Device, Kind, Tensor};

use super::clean::CleanBlock;
use super::judge::{Judgement, integers, judge};
use crate::attack::{Balls, Lengths, Noise};
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

/// A row on the device.
#[derive(Clone)]
struct Active {
    chain: usize,
    row: Row,
    age: usize,
    forwards: u32,
    backwards: u32,
}

/// The rows on the device and their state; every tensor has the row first.
struct Batch {
    rows: Vec<Active>,
    balls: Balls,
    image: Tensor,
    kick: Tensor,
    best_image: Tensor,
    best_level: Tensor,
    best_score: Tensor,
    zero_steps: Tensor,
    broken: Tensor,
    clean_prediction: Tensor,
    target: Option<Tensor>,
}

/// A row that has left the device and waits for the f32 pass.
struct Candidate {
    active: Active,
    best: Option<Tensor>,
    last: Tensor,
    exhausted: bool,
    zero_steps: i64,
    broken: bool,
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

    /// Puts rows on the device: at their start, or where an unconfirmed hit left them.
    fn admit(&self, entries: Vec<(Active, Option<Tensor>)>) -> Batch {
        let device = self.device();
        let count = entries.len() as i64;
        let samples: Vec<i64> = entries.iter().map(|(active, _)| active.row.sample as i64).collect();
        let center = self.clean.pixels.index_select(0, &Tensor::from_slice(&samples).to_device(device));
        let radius: Vec<f64> = entries.iter().map(|(active, _)| active.row.epsilon).collect();
        let keys: Vec<String> =
            entries.iter().map(|(active, _)| active.row.key(&self.clean.ids[active.row.sample])).collect();
        let balls = Balls::new(self.norm, center, &radius);
        let kick = balls.random_start(&self.noise, &keys);
        let starts: Vec<Tensor> = entries
            .iter()
            .enumerate()
            .map(|(place, (active, resumed))| match resumed {
                Some(image) => image.shallow_clone(),
                None if active.row.restart > 0 => kick.narrow(0, place as i64, 1),
                None => balls.center().narrow(0, place as i64, 1),
            })
            .collect();
        let image = Tensor::cat(&starts, 0);
        let predictions: Vec<i64> =
            samples.iter().map(|&sample| self.clean.judgements[sample as usize].prediction).collect();
        let targets: Option<Vec<i64>> = samples.iter().map(|&sample| self.target_of(sample as usize)).collect();
        Batch {
            rows: entries.into_iter().map(|(active, _)| active).collect(),
            kick,
            best_image: image.copy(),
            image,
            balls,
            best_level: Tensor::zeros([count], (Kind::Int64, device)),
            best_score: Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device)),
            zero_steps: Tensor::zeros([count], (Kind::Int64, device)),
            broken: Tensor::zeros([count], (Kind::Bool, device)),
            clean_prediction: Tensor::from_slice(&predictions).to_device(device),
            target: targets.map(|targets| Tensor::from_slice(&targets).to_device(device)),
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

    /// The f32 pass over images that left. A hit that it does not confirm goes back to the search (`None`) unless its steps
    /// are used up.
    fn verify(&self, candidates: Vec<Candidate>, unconfirmed: &mut u64) -> Vec<(Candidate, Option<Finished>)> {
        let mut images = Vec::new();
        let mut owners = Vec::new();
        for (place, candidate) in candidates.iter().enumerate() {
            if let Some(best) = &candidate.best {
                images.push(best.shallow_clone());
                owners.push(place);
            }
            if candidate.exhausted {
                images.push(candidate.last.shallow_clone());
                owners.push(place);
            }
        }
        let judged = self.judge(&images, &owners, &candidates);
        let mut chosen: Vec<Option<(usize, (i64, f64))>> = candidates.iter().map(|_| None).collect();
        let mut passes = vec![0u32; candidates.len()];
        for (index, &owner) in owners.iter().enumerate() {
            passes[owner] += 1;
            let rank = self.rank(&candidates[owner].active.row, &judged[index]);
            if chosen[owner].is_none_or(|(_, best)| rank > best) {
                chosen[owner] = Some((index, rank));
            }
        }
        let rounded: Vec<Tensor> = images.iter().map(|image| (image * 255.0).round() / 255.0).collect();
        let flips: Vec<usize> =
            chosen.iter().flatten().filter(|(_, rank)| rank.0 > 0).map(|&(index, _)| index).collect();
        let rounded: Vec<Tensor> = flips.iter().map(|&index| rounded[index].shallow_clone()).collect();
        let rounded_owners: Vec<usize> = flips.iter().map(|&index| owners[index]).collect();
        let mut rounded = self.judge(&rounded, &rounded_owners, &candidates).into_iter();
        candidates
            .into_iter()
            .zip(chosen)
            .zip(passes)
            .map(|((mut candidate, chosen), passes)| {
                candidate.active.forwards += passes;
                let Some((index, (level, _))) = chosen else { return (candidate, None) };
                let rounded = if level > 0 { rounded.next() } else { None };
                if candidate.best.is_some() && level == 0 {
                    *unconfirmed += 1;
                    if candidate.active.age < self.steps {
                        return (candidate, None);
                    }
                }
                if rounded.is_some() {
                    candidate.active.forwards += 1;
                }
                let finished = self.finish(&candidate, images[index].shallow_clone(), judged[index], rounded);
                (candidate, Some(finished))
            })
            .collect()
    }

    fn judge(&self, images: &[Tensor], owners: &[usize], candidates: &[Candidate]) -> Vec<Judgement> {
        if images.is_empty() {
            return Vec::new();
        }
        let rows: Vec<&Row> = owners.iter().map(|&owner| &candidates[owner].active.row).collect();
        let labels: Vec<i64> = rows.iter().map(|row| self.clean.labels[row.sample]).collect();
        let units: Vec<Unit> = rows.iter().map(|row| row.unit.unwrap_or(Unit::channel(0))).collect();
        let units = match &self.drive {
            Drive::Unit { layer, .. } => Some((*layer, units.as_slice())),
            Drive::Logits { .. } => None,
        };
        judge(self.verifier, &Tensor::cat(images, 0), &labels, units, self.capacity)
    }

    /// First the level reached, then the objective's own measure.
    fn rank(&self, row: &Row, judged: &Judgement) -> (i64, f64) {
        let clean = self.clean.judgements[row.sample].prediction;
        let flipped = judged.flips(clean);
        let hit = flipped && self.target_of(row.sample) == Some(judged.prediction);
        let measure = match (&self.drive, judged.activation) {
            (Drive::Unit { direction: Direction::Suppress, .. }, Some(value)) => f64::from(-value),
            (Drive::Unit { .. }, Some(value)) => f64::from(value),
            _ => f64::from(-judged.margin),
        };
        (i64::from(flipped) + i64::from(hit), measure)
    }

    fn finish(&self, candidate: &Candidate, image: Tensor, verdict: Judgement, rounded: Option<Judgement>) -> Finished {
        let Active { row, age, forwards, backwards, .. } = &candidate.active;
        let clean = self.clean.judgements[row.sample].prediction;
        let (level, _) = self.rank(row, &verdict);
        let center = self.clean.pixels.narrow(0, row.sample as i64, 1);
        let lengths = Lengths::of(&image, &center)[0];
        let inside = lengths.get(self.norm) <= row.epsilon * (1.0 + 1e-6) + 1e-12;
        debug_assert!(inside, "{} > {}", lengths.get(self.norm), row.epsilon);
        Finished {
            flipped: level > 0 && inside,
            hit: level > 1 && inside,
            flipped_u8: inside && rounded.is_some_and(|rounded| rounded.flips(clean)),
            image,
            verdict,
            lengths,
            steps: *age as u32,
            forwards: *forwards,
            backwards: *backwards,
            zero_gradient: candidate.zero_steps >= *age as i64 && *age > 0,
            non_finite: candidate.broken || !verdict.finite,
            row: row.clone(),
        }
    }
}

impl Active {
    fn new(chain: usize, row: Row) -> Self {
        Active { chain, row, age: 0, forwards: 0, backwards: 0 }
    }
}

impl Candidate {
    fn active(&self) -> Active {
        self.active.clone()
    }
}

impl std::ops::Deref for Candidate {
    type Target = Active;
    fn deref(&self) -> &Active {
        &self.active
    }
}

impl Batch {
    /// Remembers the image where it is better than the best so far: a higher level, or for searches that use their whole
    /// budget the same level and a higher score.
    fn keep_best(&mut self, search: &Search, score: &Tensor, logits: &Tensor) {
        let prediction = logits.argmax(-1, false);
        let moved: Vec<bool> = self.rows.iter().map(|active| active.age > 0 || active.row.restart > 0).collect();
        let moved = Tensor::from_slice(&moved).to_device(search.device());
        let flipped = prediction.ne_tensor(&self.clean_prediction).logical_and(&moved);
        let mut level = flipped.to_kind(Kind::Int64);
        if let (Some(target), false) = (&self.target, search.stop == Stop::Flip) {
            level += prediction.eq_tensor(target).logical_and(&flipped).to_kind(Kind::Int64);
        }
        let mut better = level.gt_tensor(&self.best_level);
        if search.stop == Stop::Budget {
            let tied = level.eq_tensor(&self.best_level).logical_and(&level.gt(0));
            better = better.logical_or(&tied.logical_and(&score.gt_tensor(&self.best_score)));
        }
        self.best_image = self.image.where_self(&better.view([-1, 1, 1, 1]), &self.best_image);
        self.best_score = score.where_self(&better, &self.best_score);
        self.best_level = level.where_self(&better, &self.best_level);
    }

    /// The rows at these places.
    fn keep(&self, places: &[usize]) -> Batch {
        let index: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let index = Tensor::from_slice(&index).to_device(self.image.device());
        let pick = |tensor: &Tensor| tensor.index_select(0, &index);
        Batch {
            rows: places.iter().map(|&place| self.rows[place].clone()).collect(),
            balls: self.balls.regroup(&index, None),
            image: pick(&self.image),
            kick: pick(&self.kick),
            best_image: pick(&self.best_image),
            best_level: pick(&self.best_level),
            best_score: pick(&self.best_score),
            zero_steps: pick(&self.zero_steps),
            broken: pick(&self.broken),
            clean_prediction: pick(&self.clean_prediction),
            target: self.target.as_ref().map(pick),
        }
    }

    /// These rows, then those of `other`.
    fn join(self, other: Batch) -> Batch {
        let all = Tensor::arange(self.rows.len() as i64, (Kind::Int64, self.image.device()));
        let cat = |mine: &Tensor, its: &Tensor| Tensor::cat(&[mine, its], 0);
        Batch {
            balls: self.balls.regroup(&all, Some(&other.balls)),
            image: cat(&self.image, &other.image),
            kick: cat(&self.kick, &other.kick),
            best_image: cat(&self.best_image, &other.best_image),
            best_level: cat(&self.best_level, &other.best_level),
            best_score: cat(&self.best_score, &other.best_score),
            zero_steps: cat(&self.zero_steps, &other.zero_steps),
            broken: cat(&self.broken, &other.broken),
            clean_prediction: cat(&self.clean_prediction, &other.clean_prediction),
            target: self.target.as_ref().zip(other.target.as_ref()).map(|(mine, its)| cat(mine, its)),
            rows: self.rows.into_iter().chain(other.rows).collect(),
        }
    }
}
