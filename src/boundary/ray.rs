//! Rays from clean images through flips: bisection, measurement, and records.

use std::sync::Arc;

use tch::Tensor;

use super::{Searched, method};
use crate::attack::{ByDistance, target_class};
use crate::judge::{Bench, Judgement, Lengths, judge};
use crate::objective::{LogitObjective, class_distances};
use crate::optimizer::Pace;
use crate::random::Noise;
use crate::record::{DistanceRecord, Status, TOWARDS};
use crate::region::{Balls, shape};
use crate::rows::Row;
use crate::search::{Criterion, Finished, Retain, Search};
use crate::suite::passes::{BEYOND, INWARD, REPORTED};
use crate::suite::{BoundaryConfig, BoundaryMethod, Loss, OptimizerName, Target};
use crate::terms::Norm;

/// What a block of distances runs with.
pub struct BoundaryBlock<'a> {
    /// The measurement.
    pub config: &'a BoundaryConfig,
    /// Models, samples and room.
    pub bench: Bench<'a>,
}

/// A direction from a clean image, with the bracket of a flip.
pub struct Ray {
    /// The sample.
    pub sample: usize,
    /// Perturbation of length 1 `[1, C, H, W]`.
    pub direction: Tensor,
    /// How far from the clean image the search ended.
    pub reach: f64,
    /// The way to the clean image: straight, or by limiting each value's change, as l-inf allows.
    pub limited: bool,
    /// The class that has to be reached; none if any other than the predicted one may be.
    pub target: Option<i64>,
    /// Whether the point there is a verified flip.
    pub flipped: bool,
    /// The largest radius known not to flip.
    pub low: f64,
    /// A radius that flips, if one is known.
    pub high: Option<f64>,
    /// The flipping radius at which the bracket began.
    pub first: f64,
    /// Forward passes so far.
    pub forwards: u32,
    /// Backward passes so far.
    pub backwards: u32,
    /// What went wrong, if anything did.
    pub status: Status,
}

impl BoundaryBlock<'_> {
    /// By method, one record for each sample, and the number of search hits that the f32 pass did not confirm.
    pub fn run(&self) -> (Vec<DistanceRecord>, u64) {
        let bench = self.bench;
        let (linear, passes) = class_distances(bench.verifier, &bench.clean.pixels, self.config.norm, bench.capacity);
        let targets = self.targets(&linear);
        // Where the prediction is the class already there is nothing to be searched.
        let open = |&sample: &usize| targets[sample] != Some(bench.clean.judgements[sample].prediction);
        let attacked: Vec<usize> = bench.attacked().into_iter().filter(open).collect();
        let searched = Searched { samples: &attacked, linear: &linear, targets: &targets };
        let (mut records, mut unconfirmed) = (Vec::new(), 0);
        for (at, &name) in self.config.methods.iter().enumerate() {
            let (mut rays, lost) = method(name).rays(self, &searched);
            unconfirmed += lost;
            self.bisect(&mut rays);
            if name.projects(self.config.norm) {
                self.project(&mut rays);
            }
            let first = records.len();
            let record = |sample: usize| self.record(name, sample, searched.linearized(sample), targets[sample]);
            records.extend((0..bench.clean.len()).map(record));
            for ray in &rays {
                // The distance to first order is taken once for all methods.
                let passes = if at == 0 { passes } else { 0 };
                self.measure(ray, passes, &mut records[first + ray.sample]);
            }
        }
        (records, unconfirmed)
    }

    /// For each sample of the block the class that has to be reached.
    fn targets(&self, linear: &[Vec<(i64, f64)>]) -> Vec<Option<i64>> {
        let (clean, noise) = (self.bench.clean, Noise::new(self.bench.seed, "boundary/target"));
        let nearest = |sample: usize| linear[sample].first().map(|(class, _)| *class);
        let target = |sample: usize| target_class(self.config.target, clean, sample, nearest(sample), &noise);
        (0..clean.len()).map(target).collect()
    }

    /// The ray through the image that a row of a search found.
    pub(super) fn ray(&self, row: &Finished, searched: &Searched) -> Ray {
        let sample = row.row.sample;
        let delta = &row.image - self.bench.clean.pixels.narrow(0, sample as i64, 1);
        Ray {
            sample,
            direction: &delta / shape(self.config.norm).length(&delta).clamp_min(1e-12),
            reach: row.lengths.get(self.config.norm),
            limited: false,
            target: searched.targets[sample],
            flipped: searched.reached(row),
            low: 0.0,
            high: None,
            first: 0.0,
            forwards: row.forwards,
            backwards: row.backwards,
            status: match (row.non_finite, row.zero_gradient && !row.flipped) {
                (true, _) => Status::NonFinite,
                (_, true) => Status::ZeroGradient,
                _ => Status::Ok,
            },
        }
    }

    /// Rays through the nearest flips that an optimizer finds within the largest radius, from 0 to there.
    ///
    /// The nearest flip of a search may lie so near the boundary that the f32 pass does not confirm it: then the first flip a little
    /// farther out counts.
    pub(super) fn nearest(
        &self,
        (optimizer, loss, criterion): (OptimizerName, Loss, Criterion),
        searched: &Searched,
        towards: bool,
    ) -> (Vec<Ray>, u64) {
        let (bench, norm) = (self.bench, self.config.norm);
        let predictions = bench.clean.predictions();
        let search = Search {
            bench,
            regions: &Balls(norm),
            objective: &|rows| Box::new(LogitObjective::new(loss, rows, &predictions, bench.model.device())),
            optimizer,
            pace: Pace { level: searched.level(), ..Pace::new(self.config.steps, None) },
            criterion,
            referee: &ByDistance { bench, norm, most: searched.level() },
            views: None,
            noise: Noise::new(bench.seed, &format!("boundary/{}", optimizer.as_str())),
            retain: Retain::All,
            known: None,
        };
        let epsilon = self.config.max_radius;
        let row = |&sample: &usize| vec![Row { sample, epsilon, restart: 0, drives: searched.drives(sample, towards) }];
        let found = search.run(searched.samples.iter().map(row).collect());
        let rays = found.chains.iter().flatten().map(|row| self.ray(row, searched)).collect();
        (self.drawn_in(rays), found.unconfirmed)
    }

    /// Rays through what a search found, with the first flip on the way there.
    pub(super) fn drawn_in(&self, mut rays: Vec<Ray>) -> Vec<Ray> {
        for ray in rays.iter_mut().filter(|ray| ray.flipped) {
            (ray.high, ray.first) = (Some(ray.reach), ray.reach);
            ray.limited = self.config.norm == Norm::Linf;
        }
        self.beyond(&mut rays);
        self.inward(&mut rays);
        rays
    }

    /// Looks for the first flip on the way out to one that is known.
    pub(super) fn inward(&self, rays: &mut [Ray]) {
        if self.config.norm == Norm::L0 {
            // A number of changed values does not shrink along the way.
            rays.iter_mut().for_each(|ray| ray.low = ray.high.unwrap_or(0.0));
            return;
        }
        let known = rays.iter().enumerate().filter_map(|(at, ray)| Some((at, ray.high.filter(|_| ray.flipped)?)));
        let points = known.flat_map(|(at, high)| INWARD.iter().map(move |share| (at, share * high)));
        let points: Vec<(usize, f64)> = points.collect();
        let flips = self.flips(rays, &points);
        for (points, flips) in points.chunks(INWARD.len()).zip(flips.chunks(INWARD.len())) {
            let ray = &mut rays[points[0].0];
            ray.forwards += INWARD.len() as u32;
            let first = flips.iter().position(|&flip| flip);
            if let Some(first) = first {
                (ray.high, ray.first) = (Some(points[first].1), points[first].1);
            }
            let below = first.unwrap_or(INWARD.len()).checked_sub(1);
            ray.low = below.map_or(0.0, |below| points[below].1);
        }
    }

    /// Looks a little farther out along rays that do not flip.
    fn beyond(&self, rays: &mut [Ray]) {
        let largest = self.config.max_radius.value();
        let radii = |ray: &Ray| -> Vec<f64> {
            let radii =
                BEYOND.iter().map(|times| ray.reach * times).filter(|&radius| radius > 0.0 && radius <= largest);
            if ray.flipped { Vec::new() } else { radii.collect() }
        };
        let radii: Vec<Vec<f64>> = rays.iter().map(radii).collect();
        let points = radii.iter().enumerate().flat_map(|(ray, radii)| radii.iter().map(move |&radius| (ray, radius)));
        let points: Vec<(usize, f64)> = points.collect();
        for (&(at, radius), flip) in points.iter().zip(self.flips(rays, &points)) {
            let ray = &mut rays[at];
            ray.forwards += 1;
            if flip && ray.high.is_none() {
                (ray.high, ray.first) = (Some(radius), radius);
            }
        }
    }

    /// Which of `points` (a ray and a radius) flip.
    pub(super) fn flips(&self, rays: &[Ray], points: &[(usize, f64)]) -> Vec<bool> {
        let clean = self.bench.clean;
        let mut flips = Vec::with_capacity(points.len());
        for points in points.chunks(self.bench.capacity.max(1)) {
            let images: Vec<Tensor> = points.iter().map(|&(ray, radius)| self.image(&rays[ray], radius)).collect();
            let labels: Vec<i64> = points.iter().map(|&(ray, _)| clean.labels[rays[ray].sample]).collect();
            let judged = judge(self.bench.verifier, &Tensor::cat(&images, 0), &labels, None, self.bench.capacity);
            flips.extend(points.iter().zip(&judged).map(|(&(ray, _), judged)| self.reaches(&rays[ray], judged)));
        }
        flips
    }

    /// Whether an image is what the ray looks for: one of its class, or one that is not classified as the clean one.
    fn reaches(&self, ray: &Ray, judged: &Judgement) -> bool {
        match ray.target {
            Some(class) => judged.finite && judged.prediction == class,
            None => judged.flips(self.bench.clean.judgements[ray.sample].prediction) || !judged.finite,
        }
    }

    /// The image at a radius of the ray `[1, C, H, W]`.
    pub(super) fn image(&self, ray: &Ray, radius: f64) -> Tensor {
        let center = self.bench.clean.pixels.narrow(0, ray.sample as i64, 1);
        let delta = match ray.limited {
            true => (&ray.direction * radius.max(ray.reach)).clamp(-radius, radius),
            false => &ray.direction * radius,
        };
        (center + delta).clamp(0.0, 1.0)
    }

    /// Halves the brackets.
    pub(super) fn bisect(&self, rays: &mut [Ray]) {
        for _ in 0..self.config.bisections {
            let middle = |(at, ray): (usize, &Ray)| {
                ray.high.filter(|&high| high > ray.low).map(|high| (at, (ray.low + high) / 2.0))
            };
            let points: Vec<(usize, f64)> = rays.iter().enumerate().filter_map(middle).collect();
            let flips = self.flips(rays, &points);
            for (&(at, middle), flip) in points.iter().zip(flips) {
                let ray = &mut rays[at];
                ray.forwards += 1;
                if flip {
                    ray.high = Some(middle);
                } else {
                    ray.low = middle;
                }
            }
        }
    }

    /// The record of a sample without a ray: misclassified (distance 0), of the target's class already, or without finite logits.
    fn record(&self, method: BoundaryMethod, sample: usize, linear: f64, target: Option<i64>) -> DistanceRecord {
        let block = self.bench.clean;
        let clean = &block.judgements[sample];
        let there = target == Some(clean.prediction);
        let censored = !clean.finite || there;
        DistanceRecord {
            model: Arc::from(self.bench.verifier.name.as_str()),
            sample_id: block.ids[sample].clone(),
            label: block.labels[sample] as u32,
            clean_pred: clean.prediction as u32,
            norm: self.config.norm,
            method: match self.config.target {
                Target::Untargeted => Arc::from(method.as_str()),
                rule => Arc::from(format!("{}{TOWARDS}{rule}", method.as_str())),
            },
            distance: if censored { f64::INFINITY } else { 0.0 },
            bracket: 0.0,
            searched: if censored { 0.0 } else { self.config.max_radius.value() },
            censored,
            linearized: if block.attackable(sample) { linear } else { 0.0 },
            adv_pred: clean.prediction as u32,
            forwards: 0,
            backwards: 0,
            status: match (clean.finite, there) {
                (false, _) => Status::NonFinite,
                (_, true) => Status::Censored,
                _ => Status::SkippedMisclassified,
            },
        }
    }

    /// Measures the last flipped point of a ray after clipping, in f64, and verifies it once more.
    fn measure(&self, ray: &Ray, linear_passes: u32, record: &mut DistanceRecord) {
        record.forwards = ray.forwards;
        record.backwards = ray.backwards + linear_passes;
        record.status = ray.status;
        record.distance = f64::INFINITY;
        record.censored = true;
        let Some(high) = ray.high else {
            if record.status == Status::Ok {
                record.status = Status::Censored;
            }
            return;
        };
        let center = self.bench.clean.pixels.narrow(0, ray.sample as i64, 1);
        let label = [self.bench.clean.labels[ray.sample]];
        // A point alone may fall on the other side of a boundary than in the batch of the bisection, by rounding: then the nearest
        // that holds alone counts.
        let verified = REPORTED.into_iter().find_map(|share| {
            record.forwards += 1;
            let image = self.image(ray, high + share * (ray.first - high));
            let judged = judge(self.bench.verifier, &image, &label, None, 1)[0];
            let holds = match ray.target {
                Some(class) => judged.prediction == class,
                None => judged.prediction != i64::from(record.clean_pred),
            };
            holds.then_some((image, judged))
        });
        let Some((image, judged)) = verified else {
            record.status = Status::Censored;
            return;
        };
        let length = |image: &Tensor| Lengths::measure(image, &center)[0].get(self.config.norm);
        record.distance = length(&image);
        record.bracket = (record.distance - length(&self.image(ray, ray.low))).max(0.0);
        record.censored = false;
        record.adv_pred = judged.prediction as u32;
        record.status = if judged.finite { Status::Ok } else { Status::NonFinite };
    }
}
