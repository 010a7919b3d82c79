//! Distance to the boundary along the path that activation maximization takes: its direction, a geometric grid of radii, and
//! a bisection of the first bracket.

use std::sync::Arc;

use tch::Tensor;

use super::linearized::linearized;
use crate::attack::{Lengths, Noise, flat_norm};
use crate::engine::{CleanBlock, Drive, Finished, Row, Search, judge};
use crate::model::Model;
use crate::record::{DistanceRecord, Status};
use crate::suite::{BoundaryConfig, Stop};

/// Radii of the grid; each is [`RATIO`] times the next.
const GRID: usize = 16;
const RATIO: f64 = 0.66;

/// What a block of a boundary search runs with.
pub struct PathBlock<'a> {
    /// The measurement.
    pub config: &'a BoundaryConfig,
    /// The model that searches.
    pub model: &'a Model,
    /// The model that decides, in f32.
    pub verifier: &'a Model,
    /// The samples.
    pub clean: &'a CleanBlock,
    /// The suite's seed.
    pub seed: u64,
    /// Rows in a batch.
    pub capacity: usize,
    /// Steps between looks at the device.
    pub poll: usize,
}

/// A direction from a clean image, with the bracket of its first flip.
struct Path {
    sample: usize,
    direction: Tensor,
    /// Where the ascent itself ended, in units of the direction's norm.
    reach: f64,
    flipped: bool,
    low: f64,
    high: Option<f64>,
    /// The radius at which the bracket began.
    first: f64,
    forwards: u32,
    backwards: u32,
    status: Status,
}

impl PathBlock<'_> {
    /// One record for each sample, and the number of search hits that the f32 pass did not confirm.
    pub fn run(&self) -> (Vec<DistanceRecord>, u64) {
        let attacked: Vec<usize> = (0..self.clean.len()).filter(|&sample| self.clean.attackable(sample)).collect();
        let (mut paths, unconfirmed) = self.ascend(&attacked);
        self.bracket(&mut paths);
        self.bisect(&mut paths);
        let (linear, passes) = linearized(self.verifier, &self.clean.pixels, self.config.norm);
        let mut records: Vec<DistanceRecord> =
            (0..self.clean.len()).map(|sample| self.record(sample, linear[sample])).collect();
        for path in &paths {
            self.measure(path, passes, &mut records[path.sample]);
        }
        (records, unconfirmed)
    }

    /// Follows the gradient until the first flip, at most `max_radius` far.
    fn ascend(&self, attacked: &[usize]) -> (Vec<Path>, u64) {
        let search = Search {
            model: self.model,
            verifier: self.verifier,
            clean: self.clean,
            drive: Drive::Logits { loss: self.config.loss, targets: None },
            norm: self.config.norm,
            steps: self.config.steps,
            step_size: 2.5 / self.config.steps as f64,
            stop: Stop::Flip,
            capacity: self.capacity,
            poll: self.poll,
            noise: Noise::new(self.seed, "boundary/path"),
        };
        let epsilon = self.config.max_radius.value();
        let chains = attacked.iter().map(|&sample| vec![Row { sample, epsilon, restart: 0, unit: None }]).collect();
        let found = search.run(chains);
        (found.chains.into_iter().flatten().map(|row| self.path(row)).collect(), found.unconfirmed)
    }

    fn path(&self, row: Finished) -> Path {
        let sample = row.row.sample;
        let delta = &row.image - self.clean.pixels.narrow(0, sample as i64, 1);
        let reach = row.lengths.get(self.config.norm);
        let status = match (row.non_finite, row.zero_gradient && !row.flipped) {
            (true, _) => Status::NonFinite,
            (_, true) => Status::ZeroGradient,
            _ => Status::Ok,
        };
        Path {
            sample,
            direction: &delta / flat_norm(&delta, self.config.norm).clamp_min(1e-12),
            reach,
            flipped: row.flipped,
            low: 0.0,
            high: None,
            first: 0.0,
            forwards: row.forwards,
            backwards: row.backwards,
            status,
        }
    }

    /// Which of `points` (a path and a radius) flip.
    fn flips(&self, paths: &[Path], points: &[(usize, f64)]) -> Vec<bool> {
        let mut flips = Vec::with_capacity(points.len());
        for points in points.chunks(self.capacity) {
            let images: Vec<Tensor> = points.iter().map(|&(path, radius)| self.image(&paths[path], radius)).collect();
            let labels: Vec<i64> = points.iter().map(|&(path, _)| self.clean.labels[paths[path].sample]).collect();
            let judged = judge(self.verifier, &Tensor::cat(&images, 0), &labels, None, self.capacity);
            flips.extend(
                points
                    .iter()
                    .zip(judged)
                    .map(|(&(path, _), judged)| judged.flips(self.clean.judgements[paths[path].sample].prediction)),
            );
        }
        flips
    }

    fn image(&self, path: &Path, radius: f64) -> Tensor {
        let center = self.clean.pixels.narrow(0, path.sample as i64, 1);
        (center + &path.direction * radius).clamp(0.0, 1.0)
    }

    /// Labels along a ray need not change once only, so the first flip of a grid counts, not any.
    fn bracket(&self, paths: &mut [Path]) {
        let largest = self.config.max_radius.value();
        let radii: Vec<Vec<f64>> = paths
            .iter()
            .map(|path| {
                let mut radii: Vec<f64> =
                    (0..GRID).map(|place| largest * RATIO.powi((GRID - 1 - place) as i32)).collect();
                if path.flipped {
                    radii.push(path.reach);
                    radii.sort_by(f64::total_cmp);
                }
                radii
            })
            .collect();
        let points: Vec<(usize, f64)> = radii
            .iter()
            .enumerate()
            .flat_map(|(path, radii)| radii.iter().map(move |&radius| (path, radius)))
            .collect();
        let mut flips = self.flips(paths, &points).into_iter();
        for (path, radii) in paths.iter_mut().zip(&radii) {
            path.forwards += radii.len() as u32;
            let flips: Vec<bool> = flips.by_ref().take(radii.len()).collect();
            let first = flips.iter().position(|&flip| flip);
            path.high = first.map(|first| radii[first]);
            path.first = path.high.unwrap_or(0.0);
            path.low = first.filter(|&first| first > 0).map_or(0.0, |first| radii[first - 1]);
        }
    }

    fn bisect(&self, paths: &mut [Path]) {
        for _ in 0..self.config.bisections {
            let points: Vec<(usize, f64)> = paths
                .iter()
                .enumerate()
                .filter_map(|(at, path)| path.high.map(|high| (at, (path.low + high) / 2.0)))
                .collect();
            let flips = self.flips(paths, &points);
            for (&(at, middle), flip) in points.iter().zip(flips) {
                let path = &mut paths[at];
                path.forwards += 1;
                if flip {
                    path.high = Some(middle);
                } else {
                    path.low = middle;
                }
            }
        }
    }

    /// The record of a sample without a path: misclassified (distance 0), or without finite logits.
    fn record(&self, sample: usize, linear: f64) -> DistanceRecord {
        let clean = &self.clean.judgements[sample];
        let censored = !clean.finite;
        DistanceRecord {
            model: Arc::from(self.verifier.name.as_str()),
            sample_id: self.clean.ids[sample].clone(),
            label: self.clean.labels[sample] as u32,
            clean_pred: clean.prediction as u32,
            norm: self.config.norm,
            method: Arc::from("path"),
            distance: if censored { f64::INFINITY } else { 0.0 },
            bracket: 0.0,
            searched: if censored { 0.0 } else { self.config.max_radius.value() },
            censored,
            linearized: if self.clean.attackable(sample) { linear } else { 0.0 },
            adv_pred: clean.prediction as u32,
            forwards: 0,
            backwards: 0,
            status: if censored { Status::NonFinite } else { Status::SkippedMisclassified },
        }
    }

    /// Measures the last flipped point of a path after clipping, in f64, and verifies it once more.
    fn measure(&self, path: &Path, linear_passes: u32, record: &mut DistanceRecord) {
        record.forwards = path.forwards;
        record.backwards = path.backwards + linear_passes;
        record.status = path.status;
        record.distance = f64::INFINITY;
        record.censored = true;
        let Some(high) = path.high else {
            if record.status == Status::Ok {
                record.status = Status::Censored;
            }
            return;
        };
        let center = self.clean.pixels.narrow(0, path.sample as i64, 1);
        let label = [self.clean.labels[path.sample]];
        // A point alone may fall on the other side of a boundary than in the batch of the bisection, by rounding: then the nearest
        // that holds alone counts.
        let verified = [0.0, 1e-4, 1e-2, 1.0].into_iter().find_map(|share| {
            record.forwards += 1;
            let image = self.image(path, high + share * (path.first - high));
            let judged = judge(self.verifier, &image, &label, None, 1)[0];
            (judged.finite && judged.prediction != i64::from(record.clean_pred)).then_some((image, judged))
        });
        let Some((image, judged)) = verified else {
            record.status = Status::Censored;
            return;
        };
        let length = |radius: f64| Lengths::of(&self.image(path, radius), &center)[0].get(self.config.norm);
        record.distance = Lengths::of(&image, &center)[0].get(self.config.norm);
        record.bracket = (record.distance - length(path.low)).max(0.0);
        record.censored = false;
        record.adv_pred = judged.prediction as u32;
        record.status = Status::Ok;
    }
}
