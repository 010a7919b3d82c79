//! The last step of methods that look for the nearest flip: from the boundary that was found to the nearest point of its linear likeness,
//! inside the box (Croce and Hein 2020, <https://arxiv.org/abs/1907.02044>). On a linear model that is the nearest flip, whatever was found.

use tch::{Kind, Tensor};

use super::{BoundaryBlock, Ray};
use crate::optimizer::Pass;
use crate::record::Status;
use crate::region::{displacement, shape};
use crate::suite::passes::{PROJECTED, PROJECTIONS, RIVALS};

/// The nearest points of linear likenesses.
struct Planes {
    /// From the centres `[R, C, H, W]`.
    delta: Tensor,
    /// Lengths; infinite where there is none.
    lengths: Vec<f64>,
    /// Backward passes of each row.
    backwards: u32,
}

impl BoundaryBlock<'_> {
    /// Replaces rays by nearer ones, again and again where that helps. Their brackets have been halved, and are so afterwards.
    pub(super) fn project(&self, rays: &mut [Ray]) {
        let mut open: Vec<usize> = (0..rays.len()).filter(|&at| rays[at].high.is_some_and(|high| high > 0.0)).collect();
        for _ in 0..PROJECTIONS {
            let mut nearer = Vec::new();
            for part in open.chunks(self.bench.capacity.max(1)) {
                nearer.extend(self.nearer(rays, part));
            }
            let (places, mut candidates): (Vec<usize>, Vec<Ray>) = nearer.into_iter().unzip();
            self.inward(&mut candidates);
            self.bisect(&mut candidates);
            open.clear();
            for (at, candidate) in places.into_iter().zip(candidates) {
                let ray = &mut rays[at];
                let (forwards, backwards) = (ray.forwards + candidate.forwards, ray.backwards);
                if candidate.high < ray.high {
                    *ray = candidate;
                    open.push(at);
                }
                (ray.forwards, ray.backwards) = (forwards, backwards);
            }
        }
    }

    /// Rays that flip nearer than those at `places`, which they stand beside.
    fn nearer(&self, rays: &mut [Ray], places: &[usize]) -> Vec<(usize, Ray)> {
        let clean = self.bench.clean;
        let ends: Vec<Tensor> = places.iter().map(|&at| self.image(&rays[at], rays[at].high.unwrap_or(0.0))).collect();
        let samples: Vec<i64> = places.iter().map(|&at| rays[at].sample as i64).collect();
        let predictions: Vec<i64> = places.iter().map(|&at| clean.judgements[rays[at].sample].prediction).collect();
        let centers = clean.pixels.index_select(0, &Tensor::from_slice(&samples).to_device(clean.pixels.device()));
        let targets: Option<Vec<i64>> = places.iter().map(|&at| rays[at].target).collect();
        let planes = self.planes(&Tensor::cat(&ends, 0), &centers, &predictions, targets.as_deref());
        let (mut candidates, mut points) = (Vec::new(), Vec::new());
        for (row, (&at, &length)) in places.iter().zip(&planes.lengths).enumerate() {
            let ray = &mut rays[at];
            ray.forwards += 1;
            ray.backwards += planes.backwards;
            let high = ray.high.unwrap_or(0.0);
            let radii = PROJECTED.iter().map(|times| times * length).filter(|&radius| radius > 0.0 && radius < high);
            points.extend(radii.map(|radius| (candidates.len(), radius)));
            let direction = planes.delta.narrow(0, row as i64, 1) / length;
            candidates.push((at, Ray { target: ray.target, ..Ray::straight(ray.sample, direction, length) }));
        }
        let (at, mut candidates): (Vec<usize>, Vec<Ray>) = candidates.into_iter().unzip();
        for (&(candidate, radius), flip) in points.iter().zip(self.flips(&candidates, &points)) {
            let candidate = &mut candidates[candidate];
            candidate.forwards += 1;
            if flip && candidate.high.is_none() {
                (candidate.high, candidate.first, candidate.flipped) = (Some(radius), radius, true);
            }
        }
        let paired = at.into_iter().zip(candidates);
        let (flipping, rest): (Vec<_>, Vec<_>) = paired.partition(|(_, candidate)| candidate.flipped);
        rest.iter().for_each(|(at, candidate)| rays[*at].forwards += candidate.forwards);
        flipping
    }

    /// From `centers` to the nearest of the boundaries that the linear likenesses at `images` have, inside the box; to those with the
    /// `targets` alone, if there are some.
    fn planes(&self, images: &Tensor, centers: &Tensor, predictions: &[i64], targets: Option<&[i64]>) -> Planes {
        let norm = self.config.norm;
        let pixels = images.detach().set_requires_grad(true);
        let logits = self.bench.verifier.logits(&pixels);
        let predicted = Tensor::from_slice(predictions).to_device(logits.device()).unsqueeze(1);
        let taken = logits.zeros_like().to_kind(Kind::Bool).scatter_value(1, &predicted, 1);
        let (ranked, tried) = match targets {
            Some(classes) => (Tensor::from_slice(classes).to_device(logits.device()).unsqueeze(1), 1),
            None => {
                let ranked = logits.detach().masked_fill(&taken, f64::NEG_INFINITY).argsort(-1, true);
                (ranked, (RIVALS as i64).min(logits.size()[1] - 1))
            }
        };
        let (pass, away) = (Pass::new(&logits, &pixels), centers - images);
        let rows = |values: &Tensor| values.flatten(1, -1).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let mut nearest: Option<(Tensor, Tensor)> = None;
        for rank in 0..tried {
            let other = ranked.narrow(1, rank, 1);
            let at = |logits: &Tensor, class: &Tensor| logits.gather(1, class, false).squeeze_dim(1);
            let (value, normal) = pass.gradient(|logits| at(logits, &other) - at(logits, &predicted));
            // What is missing at the centre, as far as the likeness tells.
            let gap = -(value + rows(&(&normal * &away)));
            let delta = displacement(norm, centers, &normal, &gap.clamp_min(0.0));
            let reached = rows(&(&normal * &delta)).ge_tensor(&(&gap * 0.999));
            let usable = gap.gt(0.0).logical_and(&reached);
            let length = shape(norm).length(&delta).flatten(0, -1);
            let length = length.masked_fill(&usable.logical_not(), f64::INFINITY);
            nearest = Some(match nearest {
                None => (length, delta),
                Some((shortest, nearest_delta)) => {
                    let nearer = length.lt_tensor(&shortest).view([-1, 1, 1, 1]);
                    (length.minimum(&shortest), delta.where_self(&nearer, &nearest_delta))
                }
            });
        }
        let backwards = pass.backwards();
        match nearest {
            Some((lengths, delta)) => {
                let lengths = crate::rows::floats(&lengths).into_iter().map(f64::from).collect();
                Planes { delta, lengths, backwards }
            }
            None => unreachable!("a classifier has two classes, which the search checks"),
        }
    }
}

impl Ray {
    /// A ray of which nothing is known but its direction, of length 1, and how far it was meant to go.
    fn straight(sample: usize, direction: Tensor, reach: f64) -> Ray {
        Ray {
            sample,
            direction,
            reach,
            limited: false,
            target: None,
            flipped: false,
            low: 0.0,
            high: None,
            first: 0.0,
            forwards: 0,
            backwards: 0,
            status: Status::Ok,
        }
    }
}
