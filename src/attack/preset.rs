//! Compositions of attacks: each part runs on the samples that the parts before it did not flip, and the worst case is taken per sample.

use tch::Tensor;

use super::block::Sought;
use super::settle::Entry;
use super::sweep::{Round, Swept};
use super::{AttackBlock, ByMargin, Kind, Unfit};
use crate::model::Model;
use crate::objective::{LogitObjective, class_distances};
use crate::optimizer::Pace;
use crate::rows::{Drives, Row};
use crate::search::{Criterion, Finished, Retain};
use crate::suite::{Aim, AttackConfig, Part, Preset};
use crate::terms::Epsilon;

/// Runs the parts of a preset.
pub struct Composition(pub Preset);

impl Kind for Composition {
    fn check(&self, _: &AttackConfig, _: &Model, _: &Tensor) -> Result<(), Unfit> {
        Ok(())
    }

    fn transfers(&self) -> bool {
        true
    }

    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        let parts = self.0.parts_of(block.attack.norm, block.bench.model.classes as usize, block.attack.steps);
        let aims = Aims::new(block, &parts);
        let mut course = Course { block, parts, aims, ranked: vec![false; block.bench.clean.len()] };
        let (settled, unconfirmed) = match block.attack.sweeps() {
            true => block.sweep(&mut |wanted, _| course.run(wanted)),
            false => course.radius_by_radius(),
        };
        let part = |sample: usize, epsilon: Epsilon| settled[sample].part(epsilon);
        (block.untargeted(|sample| &settled[sample].rows, part), unconfirmed)
    }
}

/// The parts of a preset, and what they share.
struct Course<'a> {
    block: &'a AttackBlock<'a>,
    parts: Vec<Part>,
    aims: Aims,
    /// The samples whose ranking of classes has been counted among the passes of a row.
    ranked: Vec<bool>,
}

impl Course<'_> {
    /// Each radius by itself, the smallest first, on the samples that have not flipped in a smaller one.
    fn radius_by_radius(&mut self) -> (Vec<Swept>, u64) {
        let bench = self.block.bench;
        let mut settled: Vec<Swept> = (0..bench.clean.len()).map(|_| Swept::default()).collect();
        let mut unconfirmed = 0;
        let mut alive = bench.attacked();
        for &epsilon in &self.block.attack.epsilons {
            let wanted: Vec<(usize, Epsilon)> = alive.iter().map(|&sample| (sample, epsilon)).collect();
            let (rounds, lost) = self.run(&wanted);
            unconfirmed += lost;
            for (&sample, round) in alive.iter().zip(rounds) {
                settled[sample].add(round, self.block.attack.norm);
            }
            alive.retain(|&sample| !settled[sample].is_flipped());
        }
        (settled, unconfirmed)
    }

    /// Samples at one radius each, by the parts in order until one flips them, each part on the samples that it is tried on.
    fn run(&mut self, wanted: &[(usize, Epsilon)]) -> (Vec<Round>, u64) {
        let clean = &self.block.bench.clean.judgements;
        let mut rounds: Vec<Round> = wanted.iter().map(|_| Round { rows: Vec::new(), part: None }).collect();
        let mut unconfirmed = 0;
        for (place, part) in self.parts.iter().enumerate() {
            let is_due = |at: &usize| {
                let round = &rounds[*at];
                round.part.is_none() && part.tried_on.includes(clean[wanted[*at].0].margin, round.margin())
            };
            let due: Vec<usize> = (0..wanted.len()).filter(is_due).collect();
            let chain = |&at: &usize| self.aims.rows(place, part, wanted[at].0, wanted[at].1);
            let (found, lost) = run_part(self.block, part, due.iter().map(chain).collect());
            unconfirmed += lost;
            for (&at, mut rows) in due.iter().zip(found) {
                let ranked = &mut self.ranked[wanted[at].0];
                if let (Some(first), false) = (rows.first_mut(), std::mem::replace(ranked, true)) {
                    first.forwards += u32::from(self.aims.passes > 0);
                    first.backwards += self.aims.passes;
                }
                if rows.iter().any(|row| row.flipped) {
                    rounds[at].part = Some(part.name);
                }
                rounds[at].rows.extend(rows);
            }
        }
        (rounds, unconfirmed)
    }
}

/// The finished rows of each sample, of which `rows` are to be run, and hits that were not confirmed.
fn run_part(block: &AttackBlock, part: &Part, rows: Vec<Vec<Row>>) -> (Vec<Vec<Finished>>, u64) {
    let bench = block.bench;
    let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
    let chains = if part.is_abreast() { rows.into_iter().flatten().map(|row| vec![row]).collect() } else { rows };
    let predictions = bench.clean.predictions();
    let found = block.search_by(
        (part.optimizer, Pace::new(part.steps, None), Criterion::first(1), part.views),
        chains,
        Sought::new(
            &|rows| Box::new(LogitObjective::new(part.loss, rows, &predictions, bench.model.device())),
            &ByMargin(bench),
            Retain::All,
        ),
    );
    if !part.is_abreast() {
        return (found.chains, found.unconfirmed);
    }
    let mut finished = found.chains.into_iter().flatten();
    (counts.iter().map(|&count| finished.by_ref().take(count).collect()).collect(), found.unconfirmed)
}

/// The classes that targeted parts drive towards.
struct Aims {
    /// By sample, the likeliest first.
    likeliest: Vec<Vec<i64>>,
    /// By sample, the nearest first; empty if no part asks for them.
    nearest: Vec<Vec<i64>>,
    /// Backward passes of a sample for that.
    passes: u32,
}

impl Aims {
    fn new(block: &AttackBlock, parts: &[Part]) -> Self {
        let clean = block.bench.clean;
        let ranked = |sample: usize| {
            let (logits, predicted) = (&clean.logits[sample], clean.judgements[sample].prediction as usize);
            let mut others: Vec<usize> = (0..logits.len()).filter(|&class| class != predicted).collect();
            others.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            others.into_iter().map(|class| class as i64).collect()
        };
        let likeliest = (0..clean.len()).map(ranked).collect();
        let (mut nearest, mut passes) = (Vec::new(), 0);
        if parts.iter().any(|part| matches!(part.aim, Aim::Nearest(_))) {
            let bench = block.bench;
            let (distances, taken) = class_distances(bench.verifier, &clean.pixels, block.attack.norm, bench.capacity);
            nearest = distances.into_iter().map(|known| known.into_iter().map(|(class, _)| class).collect()).collect();
            passes = taken;
        }
        Aims { likeliest, nearest, passes }
    }

    /// The rows of a part for one sample: for each aim, each start. Streams of different parts differ.
    fn rows(&self, place: usize, part: &Part, sample: usize, epsilon: Epsilon) -> Vec<Row> {
        let towards =
            |classes: &[i64], count: usize| classes.iter().take(count).map(|&class| Drives::Towards(class)).collect();
        let drives: Vec<Drives> = match part.aim {
            Aim::Away => vec![Drives::Away],
            Aim::Likeliest(count) => towards(&self.likeliest[sample], count),
            Aim::Nearest(count) => towards(&self.nearest[sample], count),
        };
        let starts: Vec<usize> = match part.random_starts {
            0 => vec![0],
            count => (0..count).map(|start| 1 + 100 * place + start).collect(),
        };
        let row = |drives: Drives| {
            // Each target has its own random start.
            let shift = if let Drives::Towards(class) = drives { 10 * class as usize } else { 0 };
            starts.iter().map(move |&start| Row {
                sample,
                epsilon,
                restart: if start == 0 { 0 } else { start + shift },
                drives,
            })
        };
        drives.into_iter().flat_map(row).collect()
    }
}
