//! The boundary along the path that activation maximization takes: its direction, and the first flip of a geometric grid of radii.

use super::{BoundaryBlock, Method, Ray, Searched};
use crate::attack::ByMargin;
use crate::objective::LogitObjective;
use crate::optimizer::Pace;
use crate::random::Noise;
use crate::region::Balls;
use crate::rows::Row;
use crate::search::{Criterion, Retain, Search};
use crate::suite::OptimizerName;
use crate::suite::passes::GRID;

/// Each radius of the grid is so many times the next.
const RATIO: f64 = 0.66;

/// Follows the gradient until the first flip, at most `max_radius` far, and looks along the straight way there.
pub(super) struct AlongPath;

impl Method for AlongPath {
    fn rays(&self, block: &BoundaryBlock, searched: &Searched) -> (Vec<Ray>, u64) {
        let (bench, config) = (block.bench, block.config);
        let predictions = bench.clean.predictions();
        let search = Search {
            bench,
            regions: &Balls(config.norm),
            objective: &|rows| Box::new(LogitObjective::new(config.loss, rows, &predictions, bench.model.device())),
            optimizer: OptimizerName::Steepest,
            pace: Pace::new(config.steps, None),
            criterion: Criterion::first(searched.level()),
            referee: &ByMargin(bench),
            views: None,
            noise: Noise::new(bench.seed, "boundary/path"),
            retain: Retain::All,
            known: None,
        };
        let epsilon = config.max_radius;
        let row = |&sample: &usize| vec![Row { sample, epsilon, restart: 0, drives: searched.drives(sample, false) }];
        let found = search.run(searched.samples.iter().map(row).collect());
        let mut rays: Vec<Ray> = found.chains.iter().flatten().map(|row| block.ray(row, searched)).collect();
        bracket(block, &mut rays);
        (rays, found.unconfirmed)
    }
}

/// Labels along a ray need not change once only, so the first flip of a grid counts, not any.
fn bracket(block: &BoundaryBlock, rays: &mut [Ray]) {
    let largest = block.config.max_radius.value();
    let grid = |ray: &Ray| {
        let mut radii: Vec<f64> = (0..GRID).map(|place| largest * RATIO.powi((GRID - 1 - place) as i32)).collect();
        if ray.flipped {
            radii.push(ray.reach);
            radii.sort_by(f64::total_cmp);
        }
        radii
    };
    let radii: Vec<Vec<f64>> = rays.iter().map(grid).collect();
    let points = radii.iter().enumerate().flat_map(|(ray, radii)| radii.iter().map(move |&radius| (ray, radius)));
    let points: Vec<(usize, f64)> = points.collect();
    let mut flips = block.flips(rays, &points).into_iter();
    for (ray, radii) in rays.iter_mut().zip(&radii) {
        ray.forwards += radii.len() as u32;
        let flips: Vec<bool> = flips.by_ref().take(radii.len()).collect();
        let first = flips.iter().position(|&flip| flip);
        ray.high = first.map(|first| radii[first]);
        ray.first = ray.high.unwrap_or(0.0);
        ray.low = first.filter(|&first| first > 0).map_or(0.0, |first| radii[first - 1]);
    }
}
