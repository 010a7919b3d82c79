//! The way over the boundary: some samples of each attack step by step, with a slice of the decision regions around each.

mod slice;

use std::rc::Rc;

use tch::{Device, Tensor};

use super::{VisualizeError, plain};
use crate::attack::{AttackBlock, DrivenUnit, Learned, Trace, chance};
use crate::engine::guarded;
use crate::interrupt;
use crate::judge::{Bench, CleanBlock};
use crate::model::Model;
use crate::random::Noise;
use crate::record::{StudyDir, WayPoint, WayRecord, file_word};
use crate::rows::{Drives, integers};
use crate::suite::passes::WAY_UNITS;
use crate::suite::{AttackConfig, SliceAcross, TrajectoryConfig};
use crate::terms::Unit;

/// What ways are made with.
pub struct WayFinder<'a> {
    /// Where they go.
    pub dir: &'a StudyDir,
    /// What the suite asks for.
    pub config: &'a TrajectoryConfig,
    /// The suite's seed.
    pub seed: u64,
    /// Rows in a batch.
    pub capacity: usize,
    /// The data set's name.
    pub dataset: &'a str,
    /// Hash of what determines the ways besides the attack.
    pub identity: String,
}

impl WayFinder<'_> {
    /// Makes the missing ways of an attack on a model. `clean` are samples to choose from, `units` those that a unit attack drives,
    /// `learned` what attacks on features know of the model. `key` names model and attack.
    ///
    /// # Errors
    /// See [`VisualizeError`]; finished ways are kept.
    pub fn run(
        &self,
        attack: &AttackConfig,
        model: &Rc<Model>,
        clean: &CleanBlock,
        (units, learned): (&[DrivenUnit], &Learned),
        key: &str,
    ) -> Result<(), VisualizeError> {
        let bench = Bench { model, verifier: model, clean, seed: self.seed, capacity: self.capacity, poll: 1 };
        let chosen: Vec<usize> =
            (0..clean.len()).filter(|&sample| clean.attackable(sample)).take(self.config.samples).collect();
        for sample in chosen {
            let key = format!("{key}--{}", file_word(clean.ids[sample].as_str()));
            if self.dir.has::<WayRecord>(&key, &self.identity) {
                continue;
            }
            if interrupt::requested() {
                return Err(VisualizeError::Interrupted);
            }
            let block = AttackBlock {
                attack,
                dataset: self.dataset,
                bench,
                units,
                victims: &[],
                learned,
                keep_images: false,
                looked_into: true,
            };
            if let Some(way) = guarded(|| self.way(&block, sample, &key))?? {
                self.dir.write(&key, &self.identity, &way)?;
            }
        }
        Ok(())
    }

    fn way(&self, block: &AttackBlock, sample: usize, key: &str) -> Result<Option<WayRecord>, VisualizeError> {
        let clean = block.bench.clean;
        let prediction = clean.judgements[sample].prediction;
        let goal = &block.attack.goal;
        let (kind, layer) = (goal.cell_kind(), goal.layer().cloned());
        let objective = goal.objective_word();
        let Some((unit, trace)) = followed(block, sample, prediction) else { return Ok(None) };
        let logits = block.answers(&Tensor::cat(&trace.images, 0));
        let last = integers(&logits.argmax(-1, false)).last().copied().unwrap_or(prediction);
        let second = || {
            let gone = logits.narrow(0, logits.size()[0] - 1, 1).index_fill(
                1,
                &Tensor::from_slice(&[prediction]).to_device(logits.device()),
                f64::NEG_INFINITY,
            );
            integers(&gone.argmax(-1, false))[0]
        };
        let reached = trace.target.unwrap_or_else(|| if last == prediction { second() } else { last });
        let (clean_class, other) = (chance(&logits, prediction), chance(&logits, reached));
        let point = |(step, (clean_class, other)): (&crate::attack::Step, (f32, f32))| WayPoint {
            length: step.length,
            objective: step.objective,
            margin: step.margin,
            confidence: clean_class,
            reached: other,
            prediction: step.prediction as u32,
        };
        let points = trace.steps.iter().zip(clean_class.into_iter().zip(other)).map(point).collect();
        let first_flip = trace.first_flip(prediction);
        let mut frames = Vec::new();
        for step in frame_steps(trace.steps.len(), self.config.frames, first_flip) {
            let file = format!("{key}--{step:04}.png");
            self.dir.write_png(&file, &plain(&trace.images[step].get(0).to_device(Device::Cpu)).to_png())?;
            frames.push((step, file));
        }
        let noise = Noise::new(self.seed, "slice");
        let slice = (self.config.slice > 1)
            .then(|| {
                let other = self.second_unit(block, sample, unit);
                slice::slice(block, sample, trace.images.last()?, other, self.config.slice, &noise)
            })
            .flatten();
        Ok(Some(WayRecord {
            model: block.bench.verifier.name.clone(),
            attack: block.attack.name.clone(),
            kind,
            sample_id: clean.ids[sample].clone(),
            label: prediction as u32,
            reached: reached as u32,
            layer,
            unit: unit.map(|unit| unit_text(unit, trace.drives)).or_else(|| objective.map(str::to_owned)),
            norm: block.attack.norm,
            epsilon: block.attack.epsilons.iter().max().copied().unwrap_or(block.attack.epsilons[0]),
            points,
            first_flip,
            frames,
            slice,
        }))
    }
}

impl WayFinder<'_> {
    /// What another unit of the attack makes of the sample, if a slice is to show that.
    fn second_unit(&self, block: &AttackBlock, sample: usize, followed: Option<Unit>) -> Option<(Unit, Tensor)> {
        let followed = followed.filter(|_| self.config.across == SliceAcross::Unit)?;
        let other = block.units.iter().map(|driven| driven.unit).find(|unit| *unit != followed)?;
        Some((other, block.trace(sample, Some(other))?.images.pop()?))
    }
}

/// A unit; of one that each sample chooses for itself also which it is.
fn unit_text(unit: Unit, drives: Drives) -> String {
    match drives {
        Drives::Unit(driven) | Drives::Lowered(driven) if driven != unit => format!("{unit} ({driven})"),
        _ => unit.to_string(),
    }
}

/// The trace of the attack; of a unit attack that of the first unit which flips the sample, or else of the first.
fn followed(block: &AttackBlock, sample: usize, clean: i64) -> Option<(Option<Unit>, Trace)> {
    if block.attack.goal.units().is_none() {
        return Some((None, block.trace(sample, None)?));
    }
    let mut first = None;
    for unit in block.units.iter().map(|driven| driven.unit).take(WAY_UNITS) {
        let trace = block.trace(sample, Some(unit))?;
        if trace.first_flip(clean).is_some() {
            return Some((Some(unit), trace));
        }
        first.get_or_insert((Some(unit), trace));
    }
    first
}

/// Steps that are shown, the first and the last included: half of them up to where the prediction flips, the others from there on; evenly
/// where it does not flip.
fn frame_steps(steps: usize, frames: usize, flip: Option<usize>) -> Vec<usize> {
    let last = steps.saturating_sub(1);
    let evenly =
        |from: usize, to: usize, count: usize| (1..=count).map(move |place| from + place * (to - from) / count.max(1));
    let mut places = vec![0];
    match flip.filter(|flip| (1..last).contains(flip) && frames > 2) {
        Some(flip) => {
            let before = (frames / 2).min(flip);
            places.extend(evenly(0, flip, before));
            places.extend(evenly(flip, last, frames - 1 - before));
        }
        None => places.extend(evenly(0, last, frames - 1)),
    }
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_hold_the_ends_and_the_flip() {
        assert_eq!(frame_steps(41, 5, None), [0, 10, 20, 30, 40]);
        assert_eq!(frame_steps(41, 5, Some(12)), [0, 6, 12, 26, 40]);
        assert_eq!(frame_steps(41, 8, Some(2)), [0, 1, 2, 9, 17, 24, 32, 40]);
        assert_eq!(frame_steps(41, 2, Some(2)), [0, 40]);
        assert_eq!(frame_steps(41, 5, Some(40)), [0, 10, 20, 30, 40]);
        assert_eq!(frame_steps(3, 8, Some(1)), [0, 1, 2]);
        assert_eq!(frame_steps(1, 4, None), [0]);
    }
}
