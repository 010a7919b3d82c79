//! Several radii at once: one search for the nearest flip settles every radius beyond it, and only the radii below are attacked, the
//! largest first. Where that attack fails, what it ended with is drawn into the smaller balls and looked at there.
//!
//! A flip in a small ball is inside every larger one, and an attack that finds nothing in a large ball finds nothing in a smaller one but by
//! chance; so each sample is attacked at one or two radii, whatever their number.

use tch::Tensor;

use super::block::Sought;
use super::{AttackBlock, ByDistance, ByMargin};
use crate::judge::{Judgement, Lengths, in_8_bits};
use crate::objective::{LogitObjective, Objective};
use crate::optimizer::Pace;
use crate::region::{Balls, Regions};
use crate::rows::{Drives, Entrants, Row};
use crate::search::{Criterion, Finished, FirstLook, Referee, Retain, Verdict, inside};
use crate::suite::passes::nearest_steps;
use crate::suite::{Loss, OptimizerName};
use crate::terms::{Epsilon, Norm};

/// The name of the search for the nearest flip among the parts of a composition.
const NEAREST: &str = "fmn";

/// The name of what failing attacks ended with, drawn into smaller balls.
const DRAWN: &str = "sweep";

/// The largest radius inside which a flip at distance `near` does not lie.
pub(super) fn below(epsilons: &[Epsilon], near: f64) -> Option<Epsilon> {
    epsilons.iter().copied().rev().find(|epsilon| !inside(near, *epsilon))
}

/// What an attack found for one sample at one radius, and behind a flip at smaller ones.
pub(super) struct Round {
    /// The rows that ran.
    pub rows: Vec<Finished>,
    /// The part that flipped the sample, of a composition.
    pub part: Option<&'static str>,
}

impl Round {
    /// The smallest margin that its rows ended with; infinite without rows, NaN if one of them ended with that.
    pub fn margin(&self) -> f32 {
        let smaller = |least: f32, margin: f32| if margin < least || margin.is_nan() { margin } else { least };
        self.rows.iter().map(|row| row.verdict.margin).fold(f32::INFINITY, smaller)
    }
}

/// Attacks samples at one radius each, from the largest of those that are open, and behind a flip at smaller ones if it likes; also tells
/// how many hits were not confirmed. It is told what the margin's rows see at clean images.
pub(super) type Attack<'a> = dyn FnMut(&[(usize, Epsilon)], Option<&FirstLook>) -> (Vec<Round>, u64) + 'a;

/// What a sweep found for one sample.
#[derive(Default)]
pub(super) struct Swept {
    /// All rows, in the order in which they ran.
    pub rows: Vec<Finished>,
    /// The distance of each flip, and the part that found it.
    flips: Vec<(f64, &'static str)>,
}

impl Swept {
    /// Takes what one more round found.
    pub fn add(&mut self, round: Round, norm: Norm) {
        let flips = round.rows.iter().filter(|row| row.flipped);
        let named = flips.filter_map(|row| Some((row.lengths.get(norm), round.part?)));
        self.flips.extend(named);
        self.rows.extend(round.rows);
    }

    /// Whether anything flipped the sample.
    pub fn is_flipped(&self) -> bool {
        self.rows.iter().any(|row| row.flipped)
    }

    /// The part whose flip is the nearest, if that lies in the ball of `epsilon`.
    pub fn part(&self, epsilon: Epsilon) -> Option<&'static str> {
        let flips = self.flips.iter().filter(|(length, _)| inside(*length, epsilon));
        flips.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, part)| *part)
    }
}

/// A sample whose radii are being settled.
struct Standing {
    sample: usize,
    swept: Swept,
    /// The distance of the nearest flip, infinite without one.
    near: f64,
    /// The search for the nearest flip, where it found none: its passes count where the sample is attacked first.
    unspent: Option<Finished>,
    /// The radius of a nearest flip that is none with 8 bits: there the attack runs too.
    lost: Option<Epsilon>,
    /// Whether nothing more is to be tried.
    settled: bool,
}

/// A row to be drawn into another ball.
struct Drawn<'a> {
    /// The place of its sample.
    place: usize,
    row: &'a Finished,
    epsilon: Epsilon,
    /// By what its perturbation is multiplied.
    factor: f64,
}

impl AttackBlock<'_> {
    /// Settles all radii of all samples; what was found by sample, nothing for those that were not attacked, and the number of hits that were not confirmed.
    pub(super) fn sweep(&self, attack: &mut Attack) -> (Vec<Swept>, u64) {
        let epsilons = &self.attack.epsilons;
        let (bench, predictions) = (self.bench, self.bench.clean.predictions());
        let margin = |rows: &[Row]| -> Box<dyn Objective> {
            Box::new(LogitObjective::new(Loss::Margin, rows, &predictions, bench.model.device()))
        };
        let largest = epsilons[epsilons.len() - 1];
        let row = |sample: usize| Row { sample, epsilon: largest, restart: 0, drives: Drives::Away };
        let rows: Vec<Row> = bench.attacked().into_iter().map(row).collect();
        let known = FirstLook::take(bench, &rows, &margin);
        let (mut standings, mut unconfirmed) = self.nearest(rows, &margin, known.as_ref());
        loop {
            let due = |standing: &mut Standing| {
                // What lies just beyond the boundary is often lost with 8 bits; the attack's own images are surer.
                let radius = standing.lost.take().or_else(|| below(epsilons, standing.near));
                radius.filter(|_| !standing.settled)
            };
            let due: Vec<(usize, Epsilon)> = standings
                .iter_mut()
                .enumerate()
                .filter_map(|(place, standing)| Some((place, due(standing)?)))
                .collect();
            if due.is_empty() {
                break;
            }
            let wanted: Vec<(usize, Epsilon)> =
                due.iter().map(|&(place, radius)| (standings[place].sample, radius)).collect();
            let (rounds, lost) = attack(&wanted, known.as_ref());
            unconfirmed += lost;
            let mut failed: Vec<(usize, Epsilon)> = Vec::new();
            for (&(place, radius), round) in due.iter().zip(rounds) {
                let last = round.rows.iter().map(|row| row.row.epsilon).min().unwrap_or(radius);
                if !round.rows.iter().any(|row| row.flipped && row.row.epsilon == last) {
                    failed.push((place, last));
                }
                self.take(&mut standings[place], round);
            }
            self.draw_in(&mut standings, &failed);
        }
        let mut swept: Vec<Swept> = (0..self.bench.clean.len()).map(|_| Swept::default()).collect();
        for standing in standings {
            swept[standing.sample] = standing.swept;
        }
        (swept, unconfirmed)
    }

    /// Searches for the nearest flip of each sample, whose `rows` these are, in the largest ball. What flips is also looked at on the surface of
    /// the smallest ball around it, where it is surer.
    fn nearest(
        &self,
        rows: Vec<Row>,
        margin: &dyn Fn(&[Row]) -> Box<dyn Objective>,
        known: Option<&FirstLook>,
    ) -> (Vec<Standing>, u64) {
        let (bench, norm, epsilons) = (self.bench, self.attack.norm, &self.attack.epsilons);
        let samples: Vec<usize> = rows.iter().map(|row| row.sample).collect();
        let found = self.search_by(
            (OptimizerName::Fmn, Pace::new(nearest_steps(norm), None), Criterion::near_enough(epsilons[0]), None),
            rows.into_iter().map(|row| vec![row]).collect(),
            Sought { known, ..Sought::new(margin, &ByDistance { bench, norm, most: 1 }, Retain::All) },
        );
        let mut standings: Vec<Standing> = Vec::with_capacity(samples.len());
        for (sample, rows) in samples.into_iter().zip(found.chains) {
            let mut standing = Standing {
                sample,
                swept: Swept::default(),
                near: f64::INFINITY,
                unspent: None,
                lost: None,
                settled: false,
            };
            for mut row in rows {
                // The first look is this search's, whoever else it serves.
                row.forwards += u32::from(known.is_some());
                row.backwards += u32::from(known.is_some());
                // As the attack's own rows are ranked. How much the margin still moves says nothing of a search for the nearest flip.
                row.measure = f64::from(-row.verdict.margin);
                row.still_moves = None;
                let length = row.lengths.get(norm);
                match epsilons.iter().find(|epsilon| row.flipped && inside(length, **epsilon)) {
                    Some(&epsilon) => {
                        row.row.epsilon = epsilon;
                        self.take(&mut standing, Round { rows: vec![row], part: Some(NEAREST) });
                    }
                    None => standing.unspent = Some(row),
                }
            }
            standings.push(standing);
        }
        self.draw_out(&mut standings);
        for standing in &mut standings {
            let (flips, survives) = (standing.swept.rows.first(), standing.swept.rows.iter().any(|row| row.flipped_u8));
            standing.lost = flips.filter(|_| !survives).map(|row| row.row.epsilon);
        }
        (standings, found.unconfirmed)
    }

    /// Looks at what flips on the surface of the smallest ball around it.
    fn draw_out(&self, standings: &mut [Standing]) {
        let norm = self.attack.norm;
        let mut drawn: Vec<Drawn> = Vec::new();
        for (place, standing) in standings.iter().enumerate() {
            for row in standing.swept.rows.iter().filter(|row| row.lengths.get(norm) > 0.0) {
                let epsilon = row.row.epsilon;
                drawn.push(Drawn { place, row, epsilon, factor: epsilon.value() / row.lengths.get(norm) });
            }
        }
        for (place, row) in self.drawn(&drawn) {
            self.take(&mut standings[place], Round { rows: vec![row], part: Some(NEAREST) });
        }
    }

    /// Takes note of what was found for a sample.
    fn take(&self, standing: &mut Standing, mut round: Round) {
        if let Some(first) = round.rows.first_mut()
            && let Some(nearest) = standing.unspent.take()
        {
            first.steps += nearest.steps;
            first.forwards += nearest.forwards;
            first.backwards += nearest.backwards;
            first.zero_gradient &= nearest.zero_gradient;
            first.non_finite |= nearest.non_finite;
        }
        let flips = round.rows.iter().filter(|row| row.flipped).map(|row| row.lengths.get(self.attack.norm));
        standing.near = flips.fold(standing.near, f64::min);
        standing.swept.add(round, self.attack.norm);
    }

    /// Looks, in all smaller balls, at what samples ended with whose attack failed at a radius (place of the sample, and radius). Those of
    /// which nothing flips there are settled.
    fn draw_in(&self, standings: &mut [Standing], failed: &[(usize, Epsilon)]) {
        let best = |place: usize, radius: Epsilon| {
            let rows = standings[place].swept.rows.iter().filter(|row| row.row.epsilon == radius);
            rows.max_by(|a, b| a.measure.total_cmp(&b.measure))
        };
        let mut drawn: Vec<Drawn> = Vec::new();
        for &(place, radius) in failed {
            let Some(row) = best(place, radius) else { continue };
            for &epsilon in self.attack.epsilons.iter().take_while(|epsilon| **epsilon < radius) {
                drawn.push(Drawn { place, row, epsilon, factor: epsilon.value() / radius.value() });
            }
        }
        let rows = self.drawn(&drawn);
        failed.iter().for_each(|&(place, _)| standings[place].settled = true);
        for (place, row) in rows {
            let standing = &mut standings[place];
            standing.settled &= !row.flipped;
            self.take(standing, Round { rows: vec![row], part: Some(DRAWN) });
        }
    }

    /// Perturbations drawn into other balls, and judged there, with the places of their samples.
    fn drawn(&self, drawn: &[Drawn]) -> Vec<(usize, Finished)> {
        let rows = drawn.chunks(self.bench.capacity.max(1)).flat_map(|part| self.drawn_at_once(part));
        drawn.iter().map(|drawn| drawn.place).zip(rows).collect()
    }

    fn drawn_at_once(&self, drawn: &[Drawn]) -> Vec<Finished> {
        let (bench, device) = (self.bench, self.bench.clean.pixels.device());
        let row = |drawn: &Drawn| Row { epsilon: drawn.epsilon, ..drawn.row.row.clone() };
        let rows: Vec<Row> = drawn.iter().map(row).collect();
        let samples: Vec<i64> = rows.iter().map(|row| row.sample as i64).collect();
        let center = bench.clean.pixels.index_select(0, &Tensor::from_slice(&samples).to_device(device));
        let factors: Vec<f32> = drawn.iter().map(|drawn| drawn.factor as f32).collect();
        let factors = Tensor::from_slice(&factors).to_device(device).view([-1, 1, 1, 1]);
        let images: Vec<&Tensor> = drawn.iter().map(|drawn| &drawn.row.image).collect();
        let keys = vec![String::new(); rows.len()];
        let noise = self.noise("start");
        let images = tch::no_grad(|| {
            let entrants =
                Entrants { rows: &rows, keys: &keys, noise: &noise, center: center.shallow_clone(), steps: 0 };
            let region = Balls(self.attack.norm).around(&entrants);
            region.project(&(&center + (Tensor::cat(&images, 0) - &center) * factors))
        });
        let (plain, referee): (Vec<&Row>, _) = (rows.iter().collect(), ByMargin(bench));
        let verdicts = referee.judge(&plain, &images);
        let flips: Vec<usize> = (0..rows.len()).filter(|&place| verdicts[place].level > 0).collect();
        let mut rounded: Vec<bool> = vec![false; rows.len()];
        if !flips.is_empty() {
            let index: Vec<i64> = flips.iter().map(|&place| place as i64).collect();
            let chosen = images.index_select(0, &Tensor::from_slice(&index).to_device(device));
            let judged: Vec<&Row> = flips.iter().map(|&place| &rows[place]).collect();
            let verdicts = referee.judge(&judged, &in_8_bits(&chosen));
            flips.iter().zip(verdicts).for_each(|(&place, verdict)| rounded[place] = verdict.level > 0);
        }
        let lengths = Lengths::measure(&images, &center);
        let finished = rows.into_iter().zip(drawn).zip(verdicts).zip(lengths).zip(rounded).zip(0i64..);
        finished
            .map(|(((((row, drawn), verdict), lengths), rounded), place)| {
                let inside = inside(lengths.get(self.attack.norm), row.epsilon);
                let Verdict { level, measure, judgement } = verdict;
                let flips = level > 0;
                looked_at(
                    drawn.row,
                    row,
                    images.narrow(0, place, 1),
                    (judgement, measure, lengths),
                    [inside && (flips || !judgement.decided), inside && rounded, flips],
                )
            })
            .collect()
    }
}

/// A row of which one image was looked at, made from what `source` ended with. `flags`: whether it counts as flipped, and after rounding,
/// and whether the rounded image was looked at too.
fn looked_at(
    source: &Finished,
    row: Row,
    image: Tensor,
    (verdict, measure, lengths): (Judgement, f64, Lengths),
    [flipped, flipped_u8, again]: [bool; 3],
) -> Finished {
    Finished {
        row,
        image,
        verdict,
        measure,
        flipped,
        flipped_u8,
        hit: false,
        lengths,
        nearest: None,
        steps: 0,
        forwards: 1 + u32::from(again),
        backwards: 0,
        // What went wrong with the search went wrong with what it ended with.
        zero_gradient: source.zero_gradient,
        still_moves: None,
        non_finite: source.non_finite || !verdict.finite,
    }
}
