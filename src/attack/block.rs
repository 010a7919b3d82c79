//! One block of one attack: rows and controls go in, records come out.

use std::sync::Arc;

use tch::Tensor;

use super::settle::Entry;
use super::{DrivenUnit, Learned, Victim, example, kind};
use crate::judge::Bench;
use crate::objective::Objective;
use crate::optimizer::Pace;
use crate::random::Noise;
use crate::record::{
    AdversarialImages, Cell, CellKind, CellUnit, CheckKind, Evidence, Example, Record, Status, TransferRecord,
};
use crate::region::Balls;
use crate::rows::{Drives, Row, floats};
use crate::search::{Criterion, FirstLook, Found, Onward, Referee, Retain, Search};
use crate::suite::{AttackConfig, GradientViews, OptimizerName, Stop, Target};
use crate::terms::{Epsilon, LayerName};

/// Flipped samples of a block that the gallery may show.
const EXAMPLES: usize = 3;

/// What a block of an attack runs with.
pub struct AttackBlock<'a> {
    /// The attack.
    pub attack: &'a AttackConfig,
    /// The data set's name.
    pub dataset: &'a str,
    /// Models, samples and room.
    pub bench: Bench<'a>,
    /// The units of a unit attack, controls included.
    pub units: &'a [DrivenUnit],
    /// The models to which the images of a class-logit attack are shown.
    pub victims: &'a [Victim],
    /// What was learned of the model for attacks on features.
    pub learned: &'a Learned,
    /// Whether to hand out the adversarial images of all records.
    pub keep_images: bool,
    /// Whether what was found is looked at later, for more than a few pictures.
    pub looked_into: bool,
}

/// How rows move and how far, which of their images counts, and the views over which gradients are averaged.
pub(super) type WayOfSearch = (OptimizerName, Pace, Criterion, Option<GradientViews>);

/// What rows of an attack are after.
pub(super) struct Sought<'a> {
    /// Makes what they maximize.
    pub objective: &'a dyn Fn(&[Row]) -> Box<dyn Objective>,
    /// Who decides what they reached.
    pub referee: &'a dyn Referee,
    /// Whose images are kept.
    pub retain: Retain,
    /// What they see at clean images, if that is known.
    pub known: Option<&'a FirstLook>,
    /// What follows a row that reached what it was after.
    pub onward: Option<&'a Onward<'a>>,
}

impl<'a> Sought<'a> {
    /// Nothing is known before, and nothing follows.
    pub fn new(objective: &'a dyn Fn(&[Row]) -> Box<dyn Objective>, referee: &'a dyn Referee, retain: Retain) -> Self {
        Sought { objective, referee, retain, known: None, onward: None }
    }
}

/// What a block of an attack gave.
pub struct AttackOutcome {
    /// One record for each sample and cell, by cell, then sample.
    pub records: Vec<Record>,
    /// Pictures of a few flipped samples.
    pub examples: Vec<Example>,
    /// What the victims say of the images.
    pub transfers: Vec<TransferRecord>,
    /// Adversarial images of all records that were attacked; empty unless asked for.
    pub images: AdversarialImages,
    /// Search hits that the f32 pass did not confirm.
    pub unconfirmed: u64,
    /// Whether losses still moved at the end, by radius.
    pub evidence: Vec<Evidence>,
    /// For each record the row and the image `[1, C, H, W]` that it tells of, if its sample was attacked and the image was kept.
    pub found: Vec<Option<(Row, Tensor)>>,
}

impl AttackBlock<'_> {
    /// Runs the attack and its controls on the block.
    pub fn run(&self) -> AttackOutcome {
        let (entries, unconfirmed) = kind(&self.attack.goal).run(self);
        self.outcome(entries, unconfirmed)
    }

    fn outcome(&self, entries: Vec<Entry>, unconfirmed: u64) -> AttackOutcome {
        let shape: Vec<usize> = self.bench.clean.pixels.size()[1..].iter().map(|&size| size as usize).collect();
        let mut images = AdversarialImages { shape: [shape[0], shape[1], shape[2]], rows: vec![], pixels: vec![] };
        let mut candidates: Vec<(usize, &Record, &Row, &Tensor)> = Vec::new();
        for (at, Entry { record, found, .. }) in entries.iter().enumerate() {
            if let Some((row, image)) = found {
                if self.keep_images {
                    images.rows.push(at as i64);
                    images.pixels.extend(floats(image));
                }
                if record.flipped && record.status == Status::Ok && !record.cell.kind.is_control() {
                    candidates.push((at, record, row, image));
                }
            }
        }
        // The smallest radius and the surest mistake make the most telling pictures.
        candidates.sort_by(|(at, a, ..), (other, b, ..)| {
            let radius = a.cell.epsilon.cmp(&b.cell.epsilon);
            let sure = b.confidence_adv.total_cmp(&a.confidence_adv);
            radius.then(sure).then(at.cmp(other))
        });
        let mut pictured: Vec<usize> = Vec::new();
        let mut examples = Vec::new();
        for (_, record, row, image) in candidates {
            if examples.len() < EXAMPLES && !pictured.contains(&row.sample) {
                pictured.push(row.sample);
                examples.push(example(record, &self.bench.clean.pixels.narrow(0, row.sample as i64, 1), image));
            }
        }
        let (evidence, transfers) = (moving(&entries), self.transfers(&entries));
        let (records, found) = entries.into_iter().map(|entry| (entry.record, entry.found)).unzip();
        AttackOutcome { evidence, examples, transfers, images, unconfirmed, records, found }
    }

    /// Runs chains of rows with the attack's own optimizer, budget and criterion.
    pub(super) fn search(
        &self,
        chains: Vec<Vec<Row>>,
        objective: &dyn Fn(&[Row]) -> Box<dyn Objective>,
        referee: &dyn Referee,
        retain: Retain,
    ) -> Found {
        self.search_by(self.way_of_search(), chains, Sought::new(objective, referee, retain))
    }

    /// How the attack's own rows search.
    pub(super) fn way_of_search(&self) -> WayOfSearch {
        let attack = self.attack;
        let criterion = match attack.stop {
            Stop::Flip => Criterion::first(1),
            Stop::Target => Criterion::first(2),
            Stop::Budget => Criterion::best(),
        };
        (attack.optimizer, Pace::new(attack.steps, attack.step_size), criterion, attack.views)
    }

    /// Runs chains of rows in the attack's balls.
    pub(super) fn search_by(
        &self,
        (optimizer, pace, criterion, views): WayOfSearch,
        chains: Vec<Vec<Row>>,
        Sought { objective, referee, retain, known, onward }: Sought,
    ) -> Found {
        let search = Search {
            bench: self.bench,
            regions: &Balls(self.attack.norm),
            objective,
            optimizer,
            pace,
            criterion,
            referee,
            views,
            noise: self.noise("start"),
            retain,
            known,
        };
        search.run_on(chains, onward)
    }

    /// Which images an attack of many cells keeps, the chains of its controls being behind the `first`.
    pub(super) fn retained(&self, first: usize) -> Retain {
        let all = self.keep_images || self.looked_into || !self.victims.is_empty();
        if all { Retain::All } else { Retain::Pictured(first) }
    }

    /// The random streams of this attack for one purpose.
    pub(super) fn noise(&self, purpose: &str) -> Noise {
        Noise::new(self.bench.seed, &format!("{}/{purpose}", self.attack.name))
    }

    /// A cell of this attack; `target` is the target rule of attacks that drive classes.
    pub(super) fn cell(
        &self,
        kind: CellKind,
        target: Option<Target>,
        unit: Option<CellUnit>,
        layer: Option<&LayerName>,
        epsilon: Epsilon,
    ) -> Arc<Cell> {
        Arc::new(Cell {
            model: self.bench.verifier.name.clone(),
            dataset: self.dataset.to_owned(),
            attack: self.attack.name.clone(),
            kind,
            target,
            layer: layer.cloned(),
            unit,
            norm: self.attack.norm,
            epsilon,
        })
    }

    /// The rows of one sample and radius: one for each start.
    pub(super) fn restarts(&self, sample: usize, epsilon: Epsilon, drives: Drives) -> Vec<Row> {
        (0..self.attack.restarts).map(|restart| Row { sample, epsilon, restart, drives }).collect()
    }
}

/// For each cell of class logits, the samples that hold after all steps, and those of them whose loss still moved.
fn moving(entries: &[Entry]) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    for Entry { record, still_moves, .. } in entries {
        let (Some(moves), cell) = (still_moves, &record.cell) else { continue };
        if cell.kind != CellKind::ClassLogit {
            continue;
        }
        let one = Evidence {
            model: cell.model.clone(),
            check: CheckKind::LossStillMoves,
            attack: cell.attack.clone(),
            norm: cell.norm,
            epsilon: cell.epsilon,
            n: 1,
            found: u64::from(*moves),
        };
        Evidence::gather(&mut evidence, &[one]);
    }
    evidence
}
