//! Compositions of attacks: each part runs on the samples that the parts before it did not flip, and the worst case is taken per sample.

use tch::Tensor;

use super::settle::Entry;
use super::sweep::Round;
use super::{AttackBlock, ByMargin, Kind, Unfit};
use crate::model::Model;
use crate::objective::{LogitObjective, class_distances};
use crate::optimizer::Pace;
use crate::rows::{Drives, Row};
use crate::search::{Criterion, Finished, Retain, inside};
use crate::suite::{Aim, AttackConfig, Part, Preset};
use crate::terms::Epsilon;

/// Runs the parts of a preset.
pub struct Composition(pub Preset);

/// What is known of a sample while parts run.
#[derive(Default)]
struct Standing {
    rows: Vec<Finished>,
    /// The distance of the flip, and the part that did it.
    broken: Option<(f64, &'static str)>,
}

impl Kind for Composition {
    fn check(&self, _: &AttackConfig, _: &Model, _: &Tensor) -> Result<(), Unfit> {
        Ok(())
    }

    fn transfers(&self) -> bool {
        true
    }

    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        let bench = block.bench;
        let parts = self.0.parts_of(block.attack.norm, bench.model.classes as usize, block.attack.steps);
        let aims = Aims::new(block, &parts);
        if block.attack.sweeps() {
            return swept(block, &parts, &aims);
        }
        let mut standing: Vec<Standing> = (0..bench.clean.len()).map(|_| Standing::default()).collect();
        let mut unconfirmed = 0;
        let mut alive = bench.attacked();
        for &epsilon in &block.attack.epsilons {
            for (place, part) in parts.iter().enumerate() {
                let chain = |&sample: &usize| aims.rows(place, part, sample, epsilon);
                let chains: Vec<Vec<Row>> = alive.iter().map(chain).collect();
                let (found, lost) = run_part(block, part, chains);
                unconfirmed += lost;
                for (&sample, mut rows) in alive.iter().zip(found) {
                    let standing = &mut standing[sample];
                    if standing.rows.is_empty()
                        && let Some(first) = rows.first_mut()
                    {
                        first.forwards += u32::from(aims.passes > 0);
                        first.backwards += aims.passes;
                    }
                    if let Some(flip) = rows.iter().find(|row| row.flipped) {
                        standing.broken = Some((flip.lengths.get(block.attack.norm), part.name));
                    }
                    standing.rows.extend(rows);
                }
                alive.retain(|&sample| standing[sample].broken.is_none());
            }
        }
        let part = |sample: usize, epsilon: Epsilon| {
            let broken = standing[sample].broken.filter(|(length, _)| inside(*length, epsilon));
            broken.map(|(_, part)| part)
        };
        (block.untargeted(|sample| &standing[sample].rows, part), unconfirmed)
    }
}

/// All radii at once, each sample by the parts in order until one flips it.
fn swept(block: &AttackBlock, parts: &[Part], aims: &Aims) -> (Vec<Entry>, u64) {
    let mut ranked: Vec<bool> = vec![false; block.bench.clean.len()];
    let (swept, unconfirmed) = block.sweep(&mut |wanted| {
        let mut rounds: Vec<Round> = wanted.iter().map(|_| Round { rows: Vec::new(), part: None }).collect();
        let mut unconfirmed = 0;
        let mut alive: Vec<usize> = (0..wanted.len()).collect();
        for (place, part) in parts.iter().enumerate() {
            let chain = |&at: &usize| aims.rows(place, part, wanted[at].0, wanted[at].1);
            let (found, lost) = run_part(block, part, alive.iter().map(chain).collect());
            unconfirmed += lost;
            for (&at, mut rows) in alive.iter().zip(found) {
                if let (Some(first), false) = (rows.first_mut(), std::mem::replace(&mut ranked[wanted[at].0], true)) {
                    first.forwards += u32::from(aims.passes > 0);
                    first.backwards += aims.passes;
                }
                if rows.iter().any(|row| row.flipped) {
                    rounds[at].part = Some(part.name);
                }
                rounds[at].rows.extend(rows);
            }
            alive.retain(|&at| rounds[at].part.is_none());
        }
        (rounds, unconfirmed)
    });
    (block.untargeted(|sample| &swept[sample].rows, |sample, epsilon| swept[sample].part(epsilon)), unconfirmed)
}

/// The finished rows of each chain, and hits that were not confirmed.
fn run_part(block: &AttackBlock, part: &Part, chains: Vec<Vec<Row>>) -> (Vec<Vec<Finished>>, u64) {
    let bench = block.bench;
    let predictions = bench.clean.predictions();
    let found = block.search_by(
        (part.optimizer, Pace::new(part.steps, None), Criterion::first(1), part.views),
        chains,
        &|rows| Box::new(LogitObjective::new(part.loss, rows, &predictions, bench.model.device())),
        &ByMargin(bench),
        Retain::All,
    );
    (found.chains, found.unconfirmed)
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
