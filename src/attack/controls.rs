//! Controls that stand beside every suite's attacks at its headline radius, whatever those are: random noise, and a search that needs
//! no gradient. Where one of them flips a sample that the attacks do not, the attacks were misled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tch::Tensor;

use super::{AttackBlock, Learned};
use crate::judge::{Bench, CleanBlock, Judgement, Lengths, in_8_bits, judge};
use crate::random::Noise;
use crate::record::{Cell, CellKind, CellUnit, Record, Status};
use crate::region::{Balls, Region, Regions};
use crate::rows::{Drives, Entrants, Row, floats};
use crate::suite::AttackConfig;
use crate::suite::controls::{DRAWS, QUERIES, is_searched, longer};
use crate::terms::{Epsilon, Norm, SampleId};

/// The controls of one block of samples.
pub struct ControlBlock<'a> {
    /// The attack beside which they run.
    pub attack: &'a AttackConfig,
    /// The radius.
    pub epsilon: Epsilon,
    /// The data set's name.
    pub dataset: &'a str,
    /// Models, samples and room.
    pub bench: Bench<'a>,
    /// What was learned of the model for attacks on features.
    pub learned: &'a Learned,
    /// Place of the block's first sample in the run.
    pub first: usize,
    /// Samples of the run.
    pub samples: usize,
    /// Whether to hand out the images of all records.
    pub keep_images: bool,
}

/// What controls of a block gave.
#[derive(Default)]
pub struct ControlOutcome {
    /// One record for each draw and sample, then one for each sample of the search, then one for each sample that was attacked longer.
    pub records: Vec<Record>,
    /// For each image that is kept, its record's place, and its values.
    pub images: Vec<(usize, Vec<f32>)>,
}

impl ControlOutcome {
    fn extend(&mut self, records: Vec<(Record, Option<Vec<f32>>)>) {
        for (record, image) in records {
            self.images.extend(image.map(|image| (self.records.len(), image)));
            self.records.push(record);
        }
    }
}

/// What a control found for one sample.
struct Found {
    image: Tensor,
    judged: Judgement,
    forwards: u32,
    /// Whether it is a flip that is one with 8 bits too.
    flipped_u8: bool,
}

impl Found {
    fn new(image: Tensor, judged: Judgement, forwards: u32) -> Self {
        Found { image, judged, forwards, flipped_u8: false }
    }
}

impl<'a> ControlBlock<'a> {
    fn clean(&self) -> &'a CleanBlock {
        self.bench.clean
    }

    /// Noise on all samples; on a part of those that `attacked`, the attack's own records, holds to be robust, a search without gradients
    /// and the attack with twice the steps.
    pub fn run(&self, attacked: &[Record]) -> ControlOutcome {
        let mut outcome = ControlOutcome::default();
        // Attacks on units have a control of noise of their own, if the suite leaves it.
        if !self.attack.has_noise_control() {
            let all: Vec<usize> = (0..self.clean().len()).filter(|&sample| self.clean().attackable(sample)).collect();
            for draw in 0..DRAWS {
                let cell = self.cell(CellKind::ControlNoise, Some(CellUnit::Draw(draw)));
                outcome.extend(self.records(&cell, 0..self.clean().len(), self.noise(&all, draw)));
            }
        }
        // What the attack flipped has nothing to tell.
        let flipped_in_ball = |record: &&Record| record.cell.epsilon == self.epsilon && record.flipped;
        let flipped: BTreeSet<&SampleId> =
            attacked.iter().filter(flipped_in_ball).map(|record| &record.sample_id).collect();
        let open = |sample: &usize| {
            is_searched(self.first + sample, self.samples)
                && self.clean().attackable(*sample)
                && !flipped.contains(&self.clean().ids[*sample])
        };
        let open: Vec<usize> = (0..self.clean().len()).filter(open).collect();
        let cell = self.cell(CellKind::ControlSearch, None);
        outcome.extend(self.records(&cell, open.iter().copied(), self.search(&open)));
        self.longer(&open, &mut outcome);
        outcome
    }

    /// The attack on `samples` with twice the steps.
    fn longer(&self, samples: &[usize], outcome: &mut ControlOutcome) {
        let Some(attack) = longer(self.attack, self.epsilon).filter(|_| !samples.is_empty()) else { return };
        let clean = self.clean().subset(samples);
        let bench = Bench { clean: &clean, ..self.bench };
        let dataset = self.dataset;
        let keep_images = self.keep_images;
        let block = AttackBlock {
            attack: &attack,
            dataset,
            bench,
            units: &[],
            victims: &[],
            learned: self.learned,
            keep_images,
            looked_into: false,
        };
        let cell = self.cell(CellKind::ControlLonger, None);
        let (first, longer) = (outcome.records.len(), block.run());
        let values: usize = longer.images.shape.iter().product();
        let images = longer.images.rows.iter().zip(longer.images.pixels.chunks(values.max(1)));
        outcome.images.extend(images.map(|(&row, image)| (first + row as usize, image.to_vec())));
        let records = longer.records.into_iter();
        outcome.records.extend(records.map(|record| Record {
            cell: cell.clone(),
            target: None,
            target_hit: None,
            ..record
        }));
    }

    /// Calls `work` with the balls of these samples and with what entered them; `purpose` names the random streams.
    fn in_balls<T>(
        &self,
        samples: &[usize],
        purpose: &str,
        suffix: &str,
        work: impl Fn(&dyn Region, &Entrants) -> T,
    ) -> T {
        let index: Vec<i64> = samples.iter().map(|&sample| sample as i64).collect();
        let index = Tensor::from_slice(&index).to_device(self.clean().pixels.device());
        let row = |&sample: &usize| Row { sample, epsilon: self.epsilon, restart: 0, drives: Drives::Away };
        let rows: Vec<Row> = samples.iter().map(row).collect();
        let keys: Vec<String> = samples.iter().map(|&sample| format!("{}{suffix}", self.key(sample))).collect();
        let noise = Noise::new(self.bench.seed, purpose);
        let center = self.clean().pixels.index_select(0, &index);
        let entrants = Entrants { rows: &rows, keys: &keys, noise: &noise, center, steps: 0 };
        work(&*Balls(self.attack.norm).around(&entrants), &entrants)
    }

    fn judge(&self, images: &Tensor, samples: &[usize]) -> Vec<Judgement> {
        let labels: Vec<i64> = samples.iter().map(|&sample| self.clean().labels[sample]).collect();
        judge(self.bench.verifier, images, &labels, None, self.bench.capacity)
    }

    fn key(&self, sample: usize) -> String {
        let id: &SampleId = &self.clean().ids[sample];
        format!("{id}/{}/{}", self.attack.norm, self.epsilon.value())
    }

    fn noise(&self, samples: &[usize], draw: usize) -> BTreeMap<usize, Found> {
        if samples.is_empty() {
            return BTreeMap::new();
        }
        let suffix = format!("/{draw}");
        let images = self.in_balls(samples, "control/noise", &suffix, |region, entrants| region.full_noise(entrants));
        let judged = self.judge(&images, samples);
        let found = judged.into_iter().enumerate().map(|(row, judged)| {
            let image = images.narrow(0, row as i64, 1).copy();
            (samples[row], Found::new(image, judged, 1))
        });
        found.collect()
    }

    /// Random search with squares (Andriushchenko et al. 2020, <https://arxiv.org/abs/1912.00049>, with fewer queries): each query
    /// paints a square of the best image so far with new signs and keeps it if the margin falls.
    fn search(&self, samples: &[usize]) -> BTreeMap<usize, Found> {
        let mut found = BTreeMap::new();
        let mut open: Vec<Walk> = samples.iter().map(|&sample| Walk::new(self, sample)).collect();
        for query in 0..QUERIES {
            for part in open.chunks_mut(self.bench.capacity.max(1)) {
                let rows: Vec<usize> = part.iter().map(|walk| walk.sample).collect();
                let proposed: Vec<Tensor> = part.iter().map(|walk| walk.propose(query)).collect();
                let proposed = Tensor::cat(&proposed, 0);
                let images = self.in_balls(&rows, "control/search", "", |region, _| region.project(&proposed));
                for ((walk, judged), row) in part.iter_mut().zip(self.judge(&images, &rows)).zip(0..) {
                    walk.look(images.narrow(0, row, 1), judged, self.clean().judgements[walk.sample].prediction);
                }
            }
            let (done, left): (Vec<Walk>, Vec<Walk>) = open.into_iter().partition(|walk| walk.broke);
            found.extend(done.into_iter().filter_map(Walk::finish));
            open = left;
        }
        found.extend(open.into_iter().filter_map(Walk::finish));
        found
    }

    fn cell(&self, kind: CellKind, unit: Option<CellUnit>) -> Arc<Cell> {
        Arc::new(Cell {
            model: self.bench.verifier.name.clone(),
            dataset: self.dataset.to_owned(),
            attack: self.attack.name.clone(),
            kind,
            target: None,
            layer: None,
            unit,
            norm: self.attack.norm,
            epsilon: self.epsilon,
        })
    }

    /// The records of `samples`, some of which a control was tried on, and their images, if these are kept.
    fn records(
        &self,
        cell: &Arc<Cell>,
        samples: impl Iterator<Item = usize>,
        mut found: BTreeMap<usize, Found>,
    ) -> Vec<(Record, Option<Vec<f32>>)> {
        self.round(&mut found);
        samples.map(|sample| self.record(cell, sample, found.remove(&sample))).collect()
    }

    /// Looks at the flips among what was found once more, rounded to 8 bits.
    fn round(&self, found: &mut BTreeMap<usize, Found>) {
        let flips: Vec<usize> =
            found.iter().filter(|(at, found)| self.flips(**at, &found.judged)).map(|(at, _)| *at).collect();
        if flips.is_empty() {
            return;
        }
        let images: Vec<&Tensor> = flips.iter().map(|sample| &found[sample].image).collect();
        let rounded = self.judge(&in_8_bits(&Tensor::cat(&images, 0)), &flips);
        for (sample, judged) in flips.iter().zip(rounded) {
            let Some(found) = found.get_mut(sample) else { continue };
            found.forwards += 1;
            found.flipped_u8 = judged.flips(self.clean().judgements[*sample].prediction);
        }
    }

    /// Whether a rightly classified sample is not shown to be classified so any more.
    fn flips(&self, sample: usize, judged: &Judgement) -> bool {
        let prediction = self.clean().judgements[sample].prediction;
        prediction == self.clean().labels[sample] && judged.breaks(prediction)
    }

    fn record(&self, cell: &Arc<Cell>, sample: usize, found: Option<Found>) -> (Record, Option<Vec<f32>>) {
        let clean = &self.clean().judgements[sample];
        let center = self.clean().pixels.narrow(0, sample as i64, 1);
        let Found { image, judged, forwards, flipped_u8 } =
            found.unwrap_or_else(|| Found::new(center.shallow_clone(), *clean, 0));
        let attacked = forwards > 0;
        let lengths = Lengths::measure(&image, &center)[0];
        let flipped = self.flips(sample, &judged) && (attacked || !clean.decided);
        let record = Record {
            cell: cell.clone(),
            sample_id: self.clean().ids[sample].clone(),
            label: self.clean().labels[sample] as u32,
            clean_pred: clean.prediction as u32,
            target: None,
            part: None,
            nearest_flip: None,
            steps: 0,
            forwards,
            backwards: 0,
            adv_pred: judged.prediction as u32,
            flipped,
            flipped_u8,
            target_hit: None,
            margin_clean: clean.margin,
            margin_adv: judged.margin,
            confidence_clean: clean.confidence,
            confidence_adv: judged.confidence,
            activation_clean: None,
            activation_adv: None,
            activation_gain_z: None,
            linf: lengths.linf as f32,
            l2: lengths.l2 as f32,
            l1: lengths.l1 as f32,
            l0: lengths.l0,
            status: match (judged.finite, judged.decided, attacked) {
                (false, ..) => Status::NonFinite,
                (_, false, _) => Status::Undecided,
                (_, _, false) => Status::SkippedMisclassified,
                _ => Status::Ok,
            },
        };
        (record, (attacked && self.keep_images).then(|| floats(&image)))
    }
}

/// One sample's random search.
struct Walk {
    sample: usize,
    center: Tensor,
    norm: Norm,
    radius: f64,
    /// For each query: row and column of the square, and a sign for each channel, all in [-1, 1).
    draws: Vec<f32>,
    /// Signs of the stripes at the start, for each channel and column.
    stripes: Vec<f32>,
    best: Option<(Tensor, Judgement)>,
    broke: bool,
    forwards: u32,
}

impl Walk {
    fn new(block: &ControlBlock<'_>, sample: usize) -> Self {
        let noise = Noise::new(block.bench.seed, "control/search");
        let center = block.clean().pixels.narrow(0, sample as i64, 1);
        let (channels, width) = (center.size()[1] as usize, center.size()[3] as usize);
        let key = block.key(sample);
        Walk {
            sample,
            draws: noise.uniform(&format!("{key}/squares"), QUERIES * (2 + channels)),
            stripes: noise.signs(&format!("{key}/stripes"), channels * width),
            center,
            norm: block.attack.norm,
            radius: block.epsilon.value(),
            best: None,
            broke: false,
            forwards: 0,
        }
    }

    /// The next image, not projected.
    fn propose(&self, query: usize) -> Tensor {
        let size = self.center.size();
        let (channels, height, width) = (size[1], size[2], size[3]);
        let Some((best, _)) = &self.best else {
            let stripes =
                Tensor::from_slice(&self.stripes).view([1, channels, 1, width]).to_device(self.center.device());
            return self.moved(&self.center, &stripes.expand_as(&self.center), 0, 0, height, width);
        };
        let draws = &self.draws[query * (2 + channels as usize)..];
        // From half of the image down to a hundredth.
        let share = 0.5 * 0.02f64.powf(query as f64 / QUERIES as f64);
        let side = ((share * (height * width) as f64).sqrt().round() as i64).clamp(1, height.min(width));
        let place = |draw: f32, room: i64| ((f64::from(draw) + 1.0) / 2.0 * (room + 1) as f64) as i64;
        let (top, left) =
            (place(draws[0], height - side).min(height - side), place(draws[1], width - side).min(width - side));
        let signs: Vec<f32> = draws[2..2 + channels as usize].iter().map(|draw| draw.signum()).collect();
        let signs = Tensor::from_slice(&signs).view([1, channels, 1, 1]).to_device(self.center.device());
        self.moved(best, &signs.expand([1, channels, side, side], true), top, left, side, side)
    }

    /// `image` with new values in a window: the ball's corner for l-inf; a bump of half the radius for the others, and all of the
    /// perturbation as long as the ball allows.
    fn moved(&self, image: &Tensor, signs: &Tensor, top: i64, left: i64, rows: i64, columns: i64) -> Tensor {
        let window = |tensor: &Tensor| tensor.narrow(2, top, rows).narrow(3, left, columns);
        let next = image.copy();
        if self.norm == Norm::Linf {
            window(&next).copy_(&(window(&self.center) + signs * self.radius));
            return next;
        }
        let length = |tensor: &Tensor| match self.norm {
            Norm::L1 => tensor.abs().sum(tensor.kind()).double_value(&[]),
            _ => tensor.square().sum(tensor.kind()).sqrt().double_value(&[]),
        };
        let bump = signs * (self.radius / length(signs).max(f64::MIN_POSITIVE));
        window(&next).copy_(&(window(image) + bump));
        let delta = next - &self.center;
        let scale = self.radius / length(&delta).max(f64::MIN_POSITIVE);
        &self.center + delta * scale
    }

    fn look(&mut self, image: Tensor, judged: Judgement, clean: i64) {
        self.forwards += 1;
        self.broke = judged.breaks(clean);
        if self.broke || self.best.as_ref().is_none_or(|(_, best)| judged.margin < best.margin) {
            self.best = Some((image.copy(), judged));
        }
    }

    fn finish(self) -> Option<(usize, Found)> {
        let (image, judged) = self.best?;
        Some((self.sample, Found::new(image, judged, self.forwards)))
    }
}
