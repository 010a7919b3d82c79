//! Gate and summary call the same samples robust: those that nothing of the run flips inside the ball.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::record::testing::{cell, distance, flipped, record};
use crate::record::{Cell, CellKind, DistanceRecord, Record};
use crate::stats::wilson;
use crate::summary::summarize;
use crate::terms::Norm;

const SAMPLES: usize = 12;

fn cells() -> Vec<Arc<Cell>> {
    let ball = |norm: Norm, epsilon: f64, kind: CellKind| Arc::new(Cell { norm, kind, ..cell(epsilon) });
    vec![
        ball(Norm::Linf, 0.1, CellKind::ClassLogit),
        ball(Norm::Linf, 0.2, CellKind::ClassLogit),
        ball(Norm::L2, 0.5, CellKind::ClassLogit),
        ball(Norm::L2, 1.0, CellKind::ClassLogit),
        ball(Norm::Linf, 0.1, CellKind::ControlSearch),
    ]
}

/// A record whose perturbation has `share` of its ball's radius, and is `other` long in the other norm.
fn at(cell: &Arc<Cell>, sample: usize, share: f32, other: f32) -> Record {
    let length = share * cell.epsilon.value() as f32;
    let [linf, l2] = [Norm::Linf, Norm::L2].map(|norm| if norm == cell.norm { length } else { other });
    Record { linf, l2, l1: 100.0, l0: 3000, ..record(cell, sample) }
}

proptest! {
    #[test]
    fn no_sample_is_robust_where_anything_flips_it(
        flips in prop::collection::btree_map((0usize..5, 0usize..SAMPLES), (0.0f32..1.0, 0.0f32..1.5), 0..40),
        passed in prop::collection::btree_map((0usize..5, 0usize..SAMPLES), 0.0f32..1.0, 0..40),
        near in prop::collection::vec((0usize..SAMPLES, 0.0f64..0.3), 0..6),
    ) {
        let cells = cells();
        let near: BTreeMap<usize, f64> = near.into_iter().collect();
        let mut records = Vec::new();
        for (place, cell) in cells.iter().enumerate() {
            for sample in 0..SAMPLES {
                records.push(match flips.get(&(place, sample)) {
                    Some(&(share, other)) => {
                        let record = flipped(at(cell, sample, share, other));
                        // A nearer flip on the way to it.
                        let nearest = passed.get(&(place, sample)).map(|part| part * record.length_in_ball() as f32);
                        Record { nearest_flip: nearest, ..record }
                    }
                    None => at(cell, sample, 1.0, 9.0),
                });
            }
        }
        let distances: Vec<DistanceRecord> = near
            .iter()
            .map(|(&sample, &near)| DistanceRecord { norm: Norm::Linf, ..distance(sample, Some(near)) })
            .collect();
        let summary = summarize(&records, &distances, &[], &[]);
        let mut collector = Collector::default();
        records.iter().for_each(|record| collector.add_record(record));
        distances.iter().for_each(|distance| collector.add_distance(distance));
        let snapshot = collector.finish(run(1, []).provenance, &summary);

        let holds = |norm: Norm, radius: f64, sample: usize| {
            let within = |length: f64| length <= radius * (1.0 + 1e-6);
            let inside = |record: &Record| {
                let passed = record.nearest_flip.filter(|_| record.cell.norm == norm);
                within(record.length(norm)) || passed.is_some_and(|passed| within(passed.into()))
            };
            let mut of_sample = records.iter().filter(|record| record.sample_id.as_str() == sample.to_string());
            let near = near.get(&sample).is_some_and(|&near| norm == Norm::Linf && near <= radius);
            !near && !of_sample.any(|record| record.flipped && inside(record))
        };
        let worst = &summary.models[0].worst_case;
        let gate = worst_cases(&snapshot);
        prop_assert_eq!((worst.len(), gate.len()), (4, 4));
        for (norm, epsilon, rate) in worst {
            let robust = (0..SAMPLES).filter(|&sample| holds(*norm, epsilon.value(), sample)).count() as u64;
            prop_assert_eq!(*rate, wilson(robust, SAMPLES as u64));
            let same = |subject: &Subject| (subject.norm, subject.epsilon) == (Some(*norm), Some(*epsilon));
            let (_, of_gate) = gate.iter().find(|(subject, _)| same(subject)).unwrap();
            prop_assert_eq!(of_gate, rate);
        }
    }
}
