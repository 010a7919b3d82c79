//! What is said of units and layers whose flips are known.

use std::sync::Arc;

use super::*;
use crate::random::Noise;
use crate::record::Cell;
use crate::record::testing::{cell, flipped, record, unit_cell};
use crate::summary::{RunSummary, summarize};

fn summary(records: &[Record]) -> RunSummary {
    summarize(records, [], &[], &[])
}

#[test]
fn flips_passed_on_the_way_count_as_smallest() {
    let unit = |unit: &str| Arc::new(unit_cell(CellKind::Unit, unit, 0.1));
    let flip =
        |cell: &Arc<Cell>, sample, linf, nearest_flip| flipped(Record { linf, nearest_flip, ..record(cell, sample) });
    let (strong, weak) = (unit("3"), unit("4"));
    // One unit ends at the ball's edge and has passed a nearer flip; the other one's flip is nearer than its end, yet not the nearest.
    let mut records: Vec<Record> = (0..4).map(|sample| flip(&strong, sample, 0.1, Some(0.02))).collect();
    records.extend((0..4).map(|sample| flip(&weak, sample, 0.05, None)));
    let distance = |records: &[Record]| summary(records).inside.layers[0].distance.unwrap().point;
    assert!((distance(&records) - 0.02).abs() < 1e-6);
    records.iter_mut().for_each(|record| record.nearest_flip = None);
    assert!((distance(&records) - 0.05).abs() < 1e-6);
    // A control's flips are nobody's distance.
    let control = Arc::new(unit_cell(CellKind::ControlRandomUnit, "9", 0.1));
    records.extend((0..4).map(|sample| flip(&control, sample, 0.01, Some(0.001))));
    assert!((distance(&records) - 0.05).abs() < 1e-6);
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let records = run(&Noise::new(1, "same"), 0.0);
    let first = summary(&records).inside;
    for _ in 0..4 {
        let again = summary(&records).inside;
        assert!(first.units == again.units && first.layers == again.layers);
    }
}

const LAYERS: usize = 3;
const UNITS: usize = 8;
const SAMPLES: usize = 20;

/// A run on a network whose units each have a strength and whose samples each have a weakness of their own. Noise flips less than any unit
/// does, and a unit that is driven by design is stronger than random ones by `above`.
fn run(noise: &Noise, above: f32) -> Vec<Record> {
    let weakness = noise.normal("samples", SAMPLES);
    let kinds =
        [(CellKind::Unit, UNITS, above), (CellKind::ControlRandomUnit, UNITS, 0.0), (CellKind::ControlNoise, 5, -2.0)];
    let mut records = Vec::new();
    for layer in 0..LAYERS {
        for (kind, count, shift) in kinds {
            let strengths = noise.normal(&format!("{layer}/{kind:?}"), count);
            for (index, strength) in strengths.into_iter().enumerate() {
                let unit = match kind {
                    CellKind::ControlNoise => format!("draw:{index}"),
                    CellKind::ControlRandomUnit => (UNITS + index).to_string(),
                    _ => index.to_string(),
                };
                let cell =
                    Arc::new(Cell { layer: Some(format!("layer{layer}").into()), ..unit_cell(kind, &unit, 0.1) });
                let chances = noise.uniform(&format!("{layer}/{kind:?}/{index}"), SAMPLES);
                for (sample, (chance, weakness)) in chances.into_iter().zip(&weakness).enumerate() {
                    let clean = record(&cell, sample);
                    let flips = chance < 1.0 / (1.0 + (-(strength + weakness + shift)).exp());
                    records.push(if flips { flipped(clean) } else { clean });
                }
            }
        }
    }
    let class = Arc::new(cell(0.1));
    records.extend((0..SAMPLES).map(|sample| flipped(record(&class, sample))));
    records
}

/// Runs of `runs` in which any unit stands out of noise, any unit of all its controls, and any layer of random units.
fn called_significant(runs: u64, above: f32) -> [u64; 3] {
    let mut found = [0; 3];
    for seed in 0..runs {
        let inside = summary(&run(&Noise::new(seed, "untrained"), above)).inside;
        assert_eq!((inside.units.len(), inside.layers.len()), (LAYERS * UNITS, LAYERS));
        let significant = |p: Option<f64>| p.unwrap() <= 0.05;
        found[0] += u64::from(inside.units.iter().any(|unit| significant(unit.p_noise)));
        found[1] += u64::from(inside.units.iter().any(|unit| significant(unit.p_corrected)));
        found[2] += u64::from(inside.layers.iter().any(|layer| significant(layer.p_corrected)));
    }
    found
}

#[test]
fn where_nothing_was_learned_no_table_calls_more_significant_than_it_says() {
    let runs = 40;
    let [above_noise, units, layers] = called_significant(runs, 0.0);
    // Five deviations of a binomial with p = 0.05.
    let most = (runs as f64 * 0.05 + 5.0 * (runs as f64 * 0.05 * 0.95).sqrt()) as u64;
    assert!(units <= most && layers <= most, "units {units}, layers {layers} of {runs} runs");
    // Noise alone would call units special that are like all others.
    assert!(above_noise > runs / 2, "{above_noise} of {runs}");
    // Where chosen units are stronger, the same tables say so.
    let [_, _, layers] = called_significant(5, 2.0);
    assert_eq!(layers, 5);
}
