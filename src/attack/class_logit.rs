//! Class logits: each sample is a chain through radii and restarts that ends at its goal, which settles all larger radii.

use tch::Tensor;

use super::block::Sought;
use super::settle::Entry;
use super::sweep::{Round, below};
use super::{AttackBlock, ByMargin, Kind, Unfit, Way};
use crate::judge::CleanBlock;
use crate::model::Model;
use crate::objective::{LogitObjective, Objective, class_distances};
use crate::random::Noise;
use crate::record::CellKind;
use crate::rows::{Drives, Row};
use crate::search::{Finished, Retain};
use crate::suite::{AttackConfig, Loss, Target, too_few_classes};
use crate::terms::Unit;

/// Drives a function of the logits away from the prediction or towards a class.
pub struct ClassLogit {
    /// Which class.
    pub target: Target,
    /// The function of the logits.
    pub loss: Loss,
}

impl Kind for ClassLogit {
    fn check(&self, attack: &AttackConfig, model: &Model, _: &Tensor) -> Result<(), Unfit> {
        let (needed, key) = attack.goal.needed_classes();
        match too_few_classes(&format!("attack `{}`", attack.name), needed, key, model.classes as usize) {
            Some(problem) => Err(Unfit::Value { key, problem }),
            None => Ok(()),
        }
    }

    fn transfers(&self) -> bool {
        true
    }

    fn way<'a>(&'a self, block: &'a AttackBlock<'_>, sample: usize, _: Option<Unit>) -> Option<Way<'a>> {
        let target = self.targets(block).0.map(|targets| targets[sample]);
        let drives = target.map_or(Drives::Away, Drives::Towards);
        let (predictions, device) = (block.bench.clean.predictions(), block.bench.verifier.device());
        let objective = move |rows: &[Row]| -> Box<dyn Objective> {
            Box::new(LogitObjective::new(self.loss, rows, &predictions, device))
        };
        Some(Way { drives, target, objective: Box::new(objective) })
    }

    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        if block.attack.sweeps() {
            return self.sweep(block);
        }
        let bench = block.bench;
        let ((targets, ranking), attacked) = (self.targets(block), bench.attacked());
        let drives = |sample: usize| targets.as_ref().map_or(Drives::Away, |targets| Drives::Towards(targets[sample]));
        let epsilons = &block.attack.epsilons;
        let chain = |&sample: &usize| -> Vec<Row> {
            epsilons.iter().flat_map(|epsilon| block.restarts(sample, *epsilon, drives(sample))).collect()
        };
        let predictions = bench.clean.predictions();
        let found = block.search(
            attacked.iter().map(chain).collect(),
            &|rows| Box::new(LogitObjective::new(self.loss, rows, &predictions, bench.model.device())),
            &ByMargin(bench),
            Retain::All,
        );
        let mut by_sample: Vec<Option<Vec<Finished>>> = (0..bench.clean.len()).map(|_| None).collect();
        for (&sample, mut rows) in attacked.iter().zip(found.chains) {
            if let (Some(first), 1..) = (rows.first_mut(), ranking) {
                first.forwards += 1;
                first.backwards += ranking;
            }
            by_sample[sample] = Some(rows);
        }
        let mut entries = Vec::new();
        for &epsilon in epsilons {
            let cell = block.cell(CellKind::ClassLogit, Some(self.target), None, None, epsilon);
            for (sample, rows) in by_sample.iter().enumerate() {
                let mut entry = match rows {
                    Some(rows) => block.settled(&cell, sample, rows, false),
                    None => block.skipped(&cell, sample),
                };
                entry.record.target = targets.as_ref().map(|targets| targets[sample] as u32);
                entry.record.target_hit = targets.as_ref().map(|_| entry.record.target_hit.unwrap_or(false));
                entries.push(entry);
            }
        }
        (entries, found.unconfirmed)
    }
}

impl ClassLogit {
    /// All radii at once; suites ask for it where nothing is targeted and rows leave at a flip. A flip is followed at the next radius below,
    /// in the same batch.
    fn sweep(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        let bench = block.bench;
        let predictions = bench.clean.predictions();
        let below = |finished: &Finished| {
            let radius = below(&block.attack.epsilons, finished.lengths.get(block.attack.norm));
            radius.map_or_else(Vec::new, |epsilon| block.restarts(finished.row.sample, epsilon, Drives::Away))
        };
        let (swept, unconfirmed) = block.sweep(&mut |wanted, known| {
            let found = block.search_by(
                block.way_of_search(),
                wanted.iter().map(|&(sample, epsilon)| block.restarts(sample, epsilon, Drives::Away)).collect(),
                Sought {
                    objective: &|rows| {
                        Box::new(LogitObjective::new(self.loss, rows, &predictions, bench.model.device()))
                    },
                    referee: &ByMargin(bench),
                    retain: Retain::All,
                    known: known.filter(|_| self.loss == Loss::Margin),
                    onward: Some(&below),
                },
            );
            (found.chains.into_iter().map(|rows| Round { rows, part: None }).collect(), found.unconfirmed)
        });
        (block.untargeted(|sample| &swept[sample].rows, |_, _| None), unconfirmed)
    }

    /// The class that each sample is driven towards, and the backward passes of a sample that were needed to choose it.
    pub(super) fn targets(&self, block: &AttackBlock) -> (Option<Vec<i64>>, u32) {
        let (noise, bench) = (block.noise("target"), block.bench);
        let clean = bench.clean;
        let (distances, passes) = match self.target {
            Target::Nearest => class_distances(bench.verifier, &clean.pixels, block.attack.norm, bench.capacity),
            _ => (Vec::new(), 0),
        };
        let nearest = |sample: usize| distances.get(sample).and_then(|known| known.first()).map(|(class, _)| *class);
        let target = |sample: usize| target_class(self.target, clean, sample, nearest(sample), &noise);
        ((0..clean.len()).map(target).collect(), passes)
    }
}

/// The class that a rule chooses for a sample; `nearest` is the one that is nearest to first order, if the rule asks for it.
pub(crate) fn target_class(
    rule: Target,
    clean: &CleanBlock,
    sample: usize,
    nearest: Option<i64>,
    noise: &Noise,
) -> Option<i64> {
    let logits = &clean.logits[sample];
    let prediction = clean.judgements[sample].prediction as usize;
    let others = || (0..logits.len()).filter(|&class| class != prediction);
    let chosen = match rule {
        Target::Untargeted => None,
        Target::Class(class) => Some(class),
        Target::LeastLikely => others().min_by(|&a, &b| logits[a].total_cmp(&logits[b])),
        Target::RunnerUp => others().max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))),
        // None has a gradient: any other class is as near.
        Target::Nearest => nearest.map(|class| class as usize).or(others().next()),
        Target::Random => others().nth(noise.below(clean.ids[sample].as_str(), logits.len() - 1)),
    };
    chosen.map(|class| class as i64)
}
