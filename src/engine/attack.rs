//! One block of one attack: rows and controls go in, records come out.

mod noise_control;
mod transfer;

use std::sync::Arc;

use tch::Tensor;
pub use transfer::Victim;

use super::clean::CleanBlock;
use super::examples::example;
use super::judge::{floats, judge};
use super::search::{Drive, Finished, Row, Search};
use super::units::DrivenUnit;
use crate::attack::Noise;
use crate::model::Model;
use crate::record::{AdversarialImages, Cell, CellKind, Example, Record, Status, TransferRecord};
use crate::suite::{AttackConfig, Control, Direction, Goal, Target};
use crate::terms::{Epsilon, LayerName, Unit};

/// Random draws of a noise control.
pub const NOISE_DRAWS: usize = 5;

/// Flipped samples of a block that the gallery may show.
const EXAMPLES: usize = 3;

/// What a block of an attack runs with.
pub struct AttackBlock<'a> {
    /// The attack.
    pub attack: &'a AttackConfig,
    /// The data set's name.
    pub dataset: &'a str,
    /// The model that searches.
    pub model: &'a Model,
    /// The model that decides, in f32.
    pub verifier: &'a Model,
    /// The samples.
    pub clean: &'a CleanBlock,
    /// The units of a unit attack, controls included.
    pub units: &'a [DrivenUnit],
    /// The models to which the images of a class-logit attack are shown.
    pub victims: &'a [Victim],
    /// The suite's seed.
    pub seed: u64,
    /// Rows in a batch.
    pub capacity: usize,
    /// Steps between looks at the device.
    pub poll: usize,
    /// Whether to hand out the adversarial images of all records.
    pub keep_images: bool,
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
}

/// A record with the row and the adversarial image that it tells of, if its sample was attacked.
struct Entry {
    record: Record,
    found: Option<(Row, Tensor)>,
}

impl AttackBlock<'_> {
    /// Runs the attack and its controls on the block.
    pub fn run(&self) -> AttackOutcome {
        let (mut entries, unconfirmed) = match &self.attack.goal {
            Goal::ClassLogit { target, .. } => self.class_logit(*target),
            Goal::Unit { layer, .. } => self.units(layer),
        };
        if let Goal::Unit { controls, layer, .. } = &self.attack.goal
            && controls.contains(&Control::Noise)
        {
            entries.extend(self.noise_control(layer));
        }
        self.outcome(entries, unconfirmed)
    }

    fn outcome(&self, entries: Vec<Entry>, unconfirmed: u64) -> AttackOutcome {
        let shape: Vec<usize> = self.clean.pixels.size()[1..].iter().map(|&size| size as usize).collect();
        let mut images = AdversarialImages { shape: [shape[0], shape[1], shape[2]], rows: vec![], pixels: vec![] };
        let mut candidates: Vec<(usize, &Record, &Row, &Tensor)> = Vec::new();
        for (at, Entry { record, found }) in entries.iter().enumerate() {
            if let Some((row, image)) = found {
                if self.keep_images {
                    images.rows.push(at as i64);
                    images.pixels.extend(floats(image));
                }
                if record.flipped && !record.cell.kind.is_control() {
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
        let mut shown: Vec<usize> = Vec::new();
        let mut examples = Vec::new();
        for (_, record, row, image) in candidates {
            if examples.len() < EXAMPLES && !shown.contains(&row.sample) {
                shown.push(row.sample);
                examples.push(example(record, &self.clean.pixels.narrow(0, row.sample as i64, 1), image));
            }
        }
        AttackOutcome {
            examples,
            transfers: self.transfers(&entries),
            images,
            unconfirmed,
            records: entries.into_iter().map(|entry| entry.record).collect(),
        }
    }

    fn search<'b>(&'b self, drive: Drive<'b>) -> Search<'b> {
        let attack = self.attack;
        Search {
            model: self.model,
            verifier: self.verifier,
            clean: self.clean,
            drive,
            norm: attack.norm,
            steps: attack.steps,
            step_size: attack.step_size.unwrap_or(2.5 / attack.steps as f64),
            stop: attack.stop,
            capacity: self.capacity,
            poll: self.poll,
            noise: self.noise("start"),
        }
    }

    fn noise(&self, purpose: &str) -> Noise {
        Noise::new(self.seed, &format!("{}/{purpose}", self.attack.name))
    }

    fn cell(&self, kind: CellKind, unit: Option<String>, layer: Option<&LayerName>, epsilon: Epsilon) -> Arc<Cell> {
        let target = match (&self.attack.goal, kind) {
            (Goal::ClassLogit { target, .. }, CellKind::ClassLogit) => target.to_string(),
            _ => String::new(),
        };
        Arc::new(Cell {
            model: self.verifier.name.clone(),
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

    /// Class logits: each sample is a chain through radii and restarts that ends at its goal, which settles all larger radii.
    fn class_logit(&self, target: Target) -> (Vec<Entry>, u64) {
        let Goal::ClassLogit { loss, .. } = &self.attack.goal else { return (Vec::new(), 0) };
        let targets = self.targets(target);
        let attacked = self.attacked();
        let chains: Vec<Vec<Row>> = attacked
            .iter()
            .map(|&sample| {
                self.attack.epsilons.iter().flat_map(|epsilon| self.restarts(sample, *epsilon, None)).collect()
            })
            .collect();
        let found = self.search(Drive::Logits { loss: *loss, targets: targets.clone() }).run(chains);
        let mut by_sample: Vec<Option<Vec<Finished>>> = (0..self.clean.len()).map(|_| None).collect();
        for (&sample, rows) in attacked.iter().zip(found.chains) {
            by_sample[sample] = Some(rows);
        }
        let mut entries = Vec::new();
        for &epsilon in &self.attack.epsilons {
            let cell = self.cell(CellKind::ClassLogit, None, None, epsilon);
            for (sample, rows) in by_sample.iter().enumerate() {
                let mut entry = match rows {
                    Some(rows) => self.settled(&cell, sample, rows, None),
                    None => self.skipped(&cell, sample),
                };
                entry.record.target = targets.as_ref().map(|targets| targets[sample] as u32);
                entry.record.target_hit = targets.as_ref().map(|_| entry.record.target_hit.unwrap_or(false));
                entries.push(entry);
            }
        }
        (entries, found.unconfirmed)
    }

    /// Units: every radius and restart of every unit runs its whole budget, so that gains compare.
    fn units(&self, layer: &LayerName) -> (Vec<Entry>, u64) {
        let Goal::Unit { direction, .. } = &self.attack.goal else { return (Vec::new(), 0) };
        let attacked = self.attacked();
        let mut chains = Vec::new();
        for driven in self.units {
            for &sample in &attacked {
                for epsilon in &self.attack.epsilons {
                    chains.push(self.restarts(sample, *epsilon, Some(driven.unit)));
                }
            }
        }
        let found = self.search(Drive::Unit { layer, direction: *direction }).run(chains);
        let mut finished = found.chains.into_iter();
        let mut entries = Vec::new();
        for driven in self.units {
            let rows: Vec<Finished> =
                finished.by_ref().take(attacked.len() * self.attack.epsilons.len()).flatten().collect();
            let activations = self.clean_activations(layer, driven.unit);
            let kind = if driven.control { CellKind::ControlRandomUnit } else { CellKind::Unit };
            for &epsilon in &self.attack.epsilons {
                let cell = self.cell(kind, Some(driven.unit.to_string()), Some(layer), epsilon);
                for (sample, &clean) in activations.iter().enumerate() {
                    let mut entry = if self.clean.attackable(sample) {
                        self.settled(&cell, sample, &rows, Some(driven))
                    } else {
                        self.skipped(&cell, sample)
                    };
                    let record = &mut entry.record;
                    record.activation_clean = Some(clean);
                    if let Some(adversarial) = record.activation_adv {
                        record.activation_gain_z = (driven.deviation > 0.0)
                            .then(|| (f64::from(adversarial - clean) / driven.deviation) as f32);
                        if record.status == Status::ZeroGradient && clean == 0.0 && adversarial == 0.0 {
                            record.status = Status::DeadUnit;
                        }
                    }
                    entries.push(entry);
                }
            }
        }
        (entries, found.unconfirmed)
    }

    fn clean_activations(&self, layer: &LayerName, unit: Unit) -> Vec<f32> {
        let units = vec![unit; self.clean.len()];
        let judged =
            judge(self.verifier, &self.clean.pixels, &self.clean.labels, Some((layer, &units)), self.clean.len());
        judged.into_iter().map(|judgement| judgement.activation.unwrap_or(0.0)).collect()
    }

    fn attacked(&self) -> Vec<usize> {
        (0..self.clean.len()).filter(|&sample| self.clean.attackable(sample)).collect()
    }

    fn restarts(&self, sample: usize, epsilon: Epsilon, unit: Option<Unit>) -> Vec<Row> {
        (0..self.attack.restarts).map(|restart| Row { sample, epsilon: epsilon.value(), restart, unit }).collect()
    }

    /// The class that each sample is driven towards.
    fn targets(&self, target: Target) -> Option<Vec<i64>> {
        let noise = self.noise("target");
        let of_sample = |sample: usize| {
            let logits = &self.clean.logits[sample];
            let prediction = self.clean.judgements[sample].prediction as usize;
            let others = || (0..logits.len()).filter(|&class| class != prediction);
            let chosen = match target {
                Target::Untargeted => None,
                Target::Class(class) => Some(class),
                Target::LeastLikely => others().min_by(|&a, &b| logits[a].total_cmp(&logits[b])),
                Target::RunnerUp => others().max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))),
                Target::Random => others().nth(noise.below(self.clean.ids[sample].as_str(), logits.len() - 1)),
            };
            chosen.map(|class| class as i64)
        };
        (0..self.clean.len()).map(of_sample).collect()
    }

    /// The record of one sample in `cell` from all rows of its chain: the best at a radius of at most the cell's, since a smaller
    /// ball lies inside every larger one.
    fn settled(&self, cell: &Arc<Cell>, sample: usize, rows: &[Finished], driven: Option<&DrivenUnit>) -> Entry {
        let epsilon = cell.epsilon.value();
        let of_sample = || rows.iter().filter(|row| row.row.sample == sample && row.row.epsilon <= epsilon);
        let own = of_sample().filter(|row| row.row.epsilon == epsilon);
        let suppress = matches!(&self.attack.goal, Goal::Unit { direction: Direction::Suppress, .. });
        let measure = |row: &Finished| match row.verdict.activation {
            Some(value) if suppress => f64::from(-value),
            Some(value) => f64::from(value),
            None => f64::from(-row.verdict.margin),
        };
        let level = |row: &Finished| i64::from(row.flipped) + i64::from(row.hit);
        let better = |a: &&Finished, b: &&Finished| {
            // At the same level the cell's own radius comes first, and for class logits the smallest that flips.
            let own = |row: &Finished| row.row.epsilon == epsilon;
            let radius = if driven.is_some() { own(a).cmp(&own(b)) } else { b.row.epsilon.total_cmp(&a.row.epsilon) };
            let radius = if level(a) == 0 { own(a).cmp(&own(b)) } else { radius };
            level(a).cmp(&level(b)).then(radius).then(measure(a).total_cmp(&measure(b)))
        };
        let Some(best) = of_sample().max_by(better) else { return self.skipped(cell, sample) };
        let mut entry = self.entry(cell, best);
        let record = &mut entry.record;
        // Work is counted in the cell whose radius it was done for.
        (record.steps, record.forwards, record.backwards) = (0, 0, 0);
        let (mut zero, mut broken, mut ran) = (true, false, false);
        for row in own {
            record.steps += row.steps;
            record.forwards += row.forwards;
            record.backwards += row.backwards;
            ran = true;
            zero &= row.zero_gradient;
            broken |= row.non_finite;
        }
        record.status = match (broken, ran && zero) {
            (true, _) => Status::NonFinite,
            (_, true) if !record.flipped => Status::ZeroGradient,
            _ => Status::Ok,
        };
        entry
    }

    fn entry(&self, cell: &Arc<Cell>, row: &Finished) -> Entry {
        let mut entry = self.skipped(cell, row.row.sample);
        let record = &mut entry.record;
        record.status = if row.non_finite { Status::NonFinite } else { Status::Ok };
        record.steps = row.steps;
        record.forwards = row.forwards;
        record.backwards = row.backwards;
        record.adv_pred = row.verdict.prediction as u32;
        record.flipped = row.flipped;
        record.flipped_u8 = row.flipped_u8;
        record.target_hit = Some(row.hit).filter(|_| !cell.target.is_empty() && cell.target != "untargeted");
        record.margin_adv = row.verdict.margin;
        record.confidence_adv = row.verdict.confidence;
        record.activation_adv = row.verdict.activation;
        record.linf = row.lengths.linf as f32;
        record.l2 = row.lengths.l2 as f32;
        record.l1 = row.lengths.l1 as f32;
        record.l0 = row.lengths.l0;
        entry.found = Some((row.row.clone(), row.image.shallow_clone()));
        entry
    }

    /// The record of a sample that was not attacked.
    fn skipped(&self, cell: &Arc<Cell>, sample: usize) -> Entry {
        let clean = &self.clean.judgements[sample];
        let record = Record {
            cell: cell.clone(),
            sample_id: self.clean.ids[sample].clone(),
            label: self.clean.labels[sample] as u32,
            clean_pred: clean.prediction as u32,
            target: None,
            steps: 0,
            forwards: 0,
            backwards: 0,
            adv_pred: clean.prediction as u32,
            flipped: false,
            flipped_u8: false,
            target_hit: None,
            margin_clean: clean.margin,
            margin_adv: clean.margin,
            confidence_clean: clean.confidence,
            confidence_adv: clean.confidence,
            activation_clean: None,
            activation_adv: None,
            activation_gain_z: None,
            linf: 0.0,
            l2: 0.0,
            l1: 0.0,
            l0: 0,
            status: if clean.finite { Status::SkippedMisclassified } else { Status::NonFinite },
        };
        Entry { record, found: None }
    }
}
