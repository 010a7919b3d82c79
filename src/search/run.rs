//! Continuous batching: finished rows leave, waiting ones take their place, and what left is verified.

use std::collections::VecDeque;

use tch::Tensor;

use super::batch::{Active, Batch, Left, Rested};
use super::first::FirstLook;
use super::retain::{Gallery, Retain};
use super::views::RowViews;
use super::{Criterion, Finished, Referee};
use crate::judge::Bench;
use crate::objective::Objective;
use crate::optimizer::{self, Optimizer, Pace};
use crate::random::Noise;
use crate::region::Regions;
use crate::rows::{Entrants, Row, integers};
use crate::suite::{GradientViews, OptimizerName};

/// A search over the rows of one block: the parts, and what counts.
pub struct Search<'a> {
    /// The models, the images and the room for rows.
    pub bench: Bench<'a>,
    /// Where images may go.
    pub regions: &'a dyn Regions,
    /// Makes what rows maximize, when they enter.
    pub objective: &'a dyn Fn(&[Row]) -> Box<dyn Objective>,
    /// How rows move.
    pub optimizer: OptimizerName,
    /// How far they go.
    pub pace: Pace,
    /// Which image of a row counts.
    pub criterion: Criterion,
    /// Who decides what was reached.
    pub referee: &'a dyn Referee,
    /// Views over which each gradient is averaged; none for the image alone.
    pub views: Option<GradientViews>,
    /// Random starts.
    pub noise: Noise,
    /// Whose images are kept.
    pub retain: Retain,
    /// What rows see at clean images, if that is known.
    pub known: Option<&'a FirstLook>,
}

/// What a search found.
pub struct Found {
    /// For each chain the rows that ran, in order.
    pub chains: Vec<Vec<Finished>>,
    /// Hits of the search that the exact pass did not confirm.
    pub unconfirmed: u64,
}

/// The rest of a chain behind a row that reached what was looked for.
pub type Onward<'a> = dyn Fn(&Finished) -> Vec<Row> + 'a;

/// Of so many rows that run, one that left is worth a pass of its own where other rows follow it.
const SOON: usize = 16;

/// A row that waits: to begin, or to go on.
struct Waiting {
    active: Active,
    rested: Option<Rested>,
}

impl Search<'_> {
    /// Runs the rows of each chain in order until one of them reaches the level that the criterion asks for. Chains advance side by side.
    pub fn run(&self, chains: Vec<Vec<Row>>) -> Found {
        self.run_on(chains, None)
    }

    /// The same, but a row that reaches the level does not end its chain where `onward` has rows behind it.
    pub fn run_on(&self, chains: Vec<Vec<Row>>, onward: Option<&Onward>) -> Found {
        let capacity = self.bench.capacity;
        let mut chains: Vec<VecDeque<Row>> = chains.into_iter().map(VecDeque::from).collect();
        let mut found = Found { chains: chains.iter().map(|_| Vec::new()).collect(), unconfirmed: 0 };
        let fresh = |chain: usize, row: Row| Waiting { active: Active::new(chain, row), rested: None };
        let mut queue: VecDeque<Waiting> = VecDeque::new();
        for (chain, rows) in chains.iter_mut().enumerate() {
            queue.extend(rows.pop_front().map(|row| fresh(chain, row)));
        }
        let mut batch: Option<Batch> = None;
        let mut candidates: Vec<Left> = Vec::new();
        let mut gallery = Gallery::default();
        let mut tick = 0usize;
        loop {
            let running = batch.as_ref().map_or(0, |batch| batch.rows.len());
            // Truncated searches look at the logits at fixed ages, so their rows stay in step.
            let in_step = running > 0 && batch.as_ref().is_some_and(Batch::truncates);
            let admit = if in_step { 0 } else { (capacity - running).min(queue.len()) };
            if admit > 0 {
                self.admit(queue.drain(..admit).collect(), &mut batch);
            }
            if let Some(batch) = batch.as_mut().filter(|batch| !batch.rows.is_empty()) {
                self.step(batch);
                tick += 1;
                let exhausted = batch.rows.iter().any(|active| active.age == self.pace.steps);
                if exhausted || tick.is_multiple_of(self.bench.poll) {
                    candidates.extend(batch.leave(self.criterion, self.pace.steps));
                }
            }
            let running = batch.as_ref().map_or(0, |batch| batch.rows.len());
            let idle = running == 0;
            // A pass over a few images costs nearly what one over many does: where nothing waits for room, it waits for more.
            // Where rows follow, some are worth it, since they fill the batch.
            let worth = candidates.len() * if onward.is_some() { SOON } else { 2 } >= running;
            let verify = queue.is_empty() && (idle || worth) || candidates.len() >= capacity.div_ceil(2);
            if !candidates.is_empty() && verify {
                for (mut left, finished) in self.verify(std::mem::take(&mut candidates), &mut found.unconfirmed) {
                    let chain = left.active.chain;
                    match finished {
                        Some(finished) => {
                            if finished.level() >= self.criterion.leave_at {
                                chains[chain] = onward.map_or_else(VecDeque::new, |onward| onward(&finished).into());
                            }
                            queue.extend(chains[chain].pop_front().map(|row| fresh(chain, row)));
                            found.chains[chain].push(finished);
                            gallery.look(self.retain, &mut found.chains, chain);
                        }
                        None => queue.push_front(Waiting { active: left.active, rested: left.rested.take() }),
                    }
                }
            }
            if idle && queue.is_empty() && candidates.is_empty() {
                return found;
            }
        }
    }

    /// Puts rows on the device in their order: at their start, or where an unconfirmed hit left them, with all of their state.
    fn admit(&self, waiting: Vec<Waiting>, batch: &mut Option<Batch>) {
        let mut fresh: Vec<Active> = Vec::new();
        let enter = |rows: &mut Vec<Active>, batch: &mut Option<Batch>| {
            if rows.is_empty() {
                return;
            }
            let entered = self.enter(std::mem::take(rows));
            match batch {
                Some(batch) => batch.append(entered),
                None => *batch = Some(entered),
            }
        };
        for Waiting { active, rested } in waiting {
            match rested {
                None => fresh.push(active),
                Some(rested) => {
                    enter(&mut fresh, batch);
                    if let Some(batch) = batch {
                        batch.resume(active, rested);
                    }
                }
            }
        }
        enter(&mut fresh, batch);
    }

    /// A batch of rows that begin; what they see first is seen if it is known.
    pub(super) fn enter(&self, rows: Vec<Active>) -> Batch {
        let plain: Vec<Row> = rows.iter().map(|active| active.row.clone()).collect();
        let random: Vec<bool> = plain.iter().map(|row| row.restart > 0).collect();
        let mut batch = self.entering(&plain, |entrants| {
            let region = self.regions.around(entrants);
            let first = region.start(entrants, &random);
            let optimizer = optimizer::find(self.optimizer)(self.pace, entrants, first, &*region);
            let views = self.views.map(|views| RowViews::new(views, entrants, &*region, self.bench.model.tokens()));
            Batch::new(rows, region, (self.objective)(&plain), optimizer, None)
                .seen_by(views)
                .following(self.pace.steps)
                .remembering(self.criterion)
        });
        let known = self.known.filter(|_| batch.begins_plainly());
        if let Some(look) = known.and_then(|known| known.of_rows(&plain)) {
            let zero = batch.step_knowing(self.criterion, look);
            self.move_stuck(&mut batch, &vec![true; plain.len()], zero);
        }
        batch
    }

    /// One step of all rows.
    pub(super) fn step(&self, batch: &mut Batch) {
        let entering: Vec<bool> = batch.rows.iter().map(|active| active.age == 0).collect();
        let zero = batch.step(self.bench.model, self.criterion);
        self.move_stuck(batch, &entering, zero);
    }

    /// Where a centre gives no gradient (a dead unit, a saturated loss) a random start may: of the rows that were `entering`, those whose
    /// gradient is `zero` begin again there. Only steps in which rows enter look for that, which waits for the device.
    fn move_stuck(&self, batch: &mut Batch, entering: &[bool], zero: Option<Tensor>) {
        let Some(zero) = zero.filter(|_| entering.contains(&true)) else { return };
        let zero = integers(&zero);
        let stuck: Vec<usize> = (0..entering.len()).filter(|&place| entering[place] && zero[place] != 0).collect();
        if !stuck.is_empty() {
            let rows: Vec<Row> = stuck.iter().map(|&place| batch.rows[place].row.clone()).collect();
            batch.begin_again(&stuck, self.entering(&rows, |entrants| self.anywhere(entrants)));
        }
    }

    /// Optimizer state of rows that begin at random.
    fn anywhere(&self, entrants: &Entrants) -> Box<dyn Optimizer> {
        let region = self.regions.around(entrants);
        let first = region.start(entrants, &vec![true; entrants.rows.len()]);
        optimizer::find(self.optimizer)(self.pace, entrants, first, &*region)
    }

    fn entering<T>(&self, rows: &[Row], make: impl FnOnce(&Entrants) -> T) -> T {
        let clean = self.bench.clean;
        let index: Vec<i64> = rows.iter().map(|row| row.sample as i64).collect();
        let index = Tensor::from_slice(&index).to_device(clean.pixels.device());
        let keys: Vec<String> = rows.iter().map(|row| row.key(&clean.ids[row.sample])).collect();
        let center = clean.pixels.index_select(0, &index);
        tch::no_grad(|| make(&Entrants { rows, keys: &keys, noise: &self.noise, center, steps: self.pace.steps }))
    }
}
