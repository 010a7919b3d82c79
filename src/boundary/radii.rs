//! The boundary by Auto-PGD in balls whose radius is searched: the next ball is smaller after a flip, and larger without one.

use super::{BoundaryBlock, Method, Ray, Searched};
use crate::attack::ByDistance;
use crate::objective::LogitObjective;
use crate::optimizer::Pace;
use crate::random::Noise;
use crate::region::Balls;
use crate::rows::Row;
use crate::search::{Criterion, Finished, Retain, Search};
use crate::suite::OptimizerName;
use crate::suite::passes::{RADII, steps_of_a_radius};
use crate::terms::{Epsilon, Norm};

/// The first radius, as a multiple of the distance to first order.
const FIRST: f64 = 1.5;
/// The smallest first radius, as a share of the largest.
const LEAST: f64 = 1e-3;
/// The next radius after a flip below which nothing is known.
const SMALLER: f64 = 0.7;
/// The next one where nothing has flipped yet.
const LARGER: f64 = 2.0;

/// Auto-PGD on the margin, at one radius after the other.
pub(super) struct OverRadii;

/// What is known of a sample.
struct Bracket {
    sample: usize,
    /// The radius to be tried; none if the largest one did not flip.
    next: Option<f64>,
    /// The largest radius that did not flip.
    low: f64,
    /// The nearest flip, or else what the last search ended with; and whether it is one.
    best: Option<(Finished, bool)>,
    forwards: u32,
    backwards: u32,
}

impl Bracket {
    fn learn(&mut self, (found, reached): (Finished, bool), norm: Norm, largest: f64) {
        self.forwards += found.forwards;
        self.backwards += found.backwards;
        let tried = found.row.epsilon.value();
        let distance = |row: &Finished| row.lengths.get(norm);
        let known = self.best.as_ref().filter(|(_, flip)| *flip).map(|(best, _)| distance(best));
        if reached && known.is_none_or(|known| distance(&found) < known) {
            self.best = Some((found, true));
        } else {
            self.low = if reached { self.low } else { self.low.max(tried) };
            self.best = self.best.take().filter(|(_, flip)| *flip).or(Some((found, false)));
        }
        let high = self.best.as_ref().filter(|(_, flip)| *flip).map(|(best, _)| distance(best));
        self.next = match high {
            Some(high) if self.low > 0.0 => Some((self.low * high).sqrt()),
            Some(high) => Some(SMALLER * high),
            None if self.low >= largest => None,
            None => Some((LARGER * self.low).min(largest)),
        };
    }
}

impl Method for OverRadii {
    fn rays(&self, block: &BoundaryBlock, searched: &Searched) -> (Vec<Ray>, u64) {
        let (bench, config) = (block.bench, block.config);
        let (norm, largest) = (config.norm, config.max_radius.value());
        let predictions = bench.clean.predictions();
        let search = Search {
            bench,
            regions: &Balls(norm),
            objective: &|rows| Box::new(LogitObjective::new(config.loss, rows, &predictions, bench.model.device())),
            optimizer: OptimizerName::Apgd,
            pace: Pace::new(steps_of_a_radius(config.steps), None),
            criterion: Criterion::first(searched.level()),
            referee: &ByDistance { bench, norm, most: searched.level() },
            views: None,
            noise: Noise::new(bench.seed, "boundary/apgd"),
            retain: Retain::All,
            known: None,
        };
        let begin = |&sample: &usize| {
            let next = Some((FIRST * searched.linearized(sample)).clamp(LEAST * largest, largest));
            Bracket { sample, next, low: 0.0, best: None, forwards: 0, backwards: 0 }
        };
        let (mut brackets, mut unconfirmed): (Vec<Bracket>, u64) = (searched.samples.iter().map(begin).collect(), 0);
        for _ in 0..RADII {
            let row = |bracket: &Bracket| {
                let epsilon = Epsilon::new(bracket.next?).ok()?;
                Some(Row {
                    sample: bracket.sample,
                    epsilon,
                    restart: 0,
                    drives: searched.drives(bracket.sample, false),
                })
            };
            let found = search.run(brackets.iter().map(|bracket| row(bracket).into_iter().collect()).collect());
            unconfirmed += found.unconfirmed;
            for (bracket, rows) in brackets.iter_mut().zip(found.chains) {
                for row in rows {
                    let reached = searched.reached(&row);
                    bracket.learn((row, reached), norm, largest);
                }
            }
        }
        let ray = |bracket: &Bracket| {
            let mut ray = block.ray(&bracket.best.as_ref()?.0, searched);
            (ray.forwards, ray.backwards) = (bracket.forwards, bracket.backwards);
            Some(ray)
        };
        (block.drawn_in(brackets.iter().filter_map(ray).collect()), unconfirmed)
    }
}
