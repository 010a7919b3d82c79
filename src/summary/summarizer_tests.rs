use proptest::prelude::*;

use super::*;
use crate::record::testing::{block, cell, distance, flipped, misclassified, record, unit_cell};
use crate::record::{CellKind, Status};
use crate::summary::{HealthSign, write_summary, write_worst_case, write_worst_samples};
use crate::terms::Epsilon;

fn summary(records: &[Record]) -> RunSummary {
    summarize(records, [], &[], &[])
}

/// Ten samples: 0 to 5 hold, 6 to 8 flip (8 is lost by rounding), 9 is misclassified.
fn ten() -> Vec<Record> {
    let cell = Arc::new(cell(0.1));
    let mut records: Vec<Record> = (0..10).map(|sample| record(&cell, sample)).collect();
    for flip in &mut records[6..9] {
        *flip = flipped(flip.clone());
    }
    records[8].flipped_u8 = false;
    records[9] = misclassified(records[9].clone());
    records
}

#[test]
fn rates_have_the_denominators_of_the_contract() {
    let summary = summary(&ten());
    let cell = &summary.cells[0];
    assert_eq!((cell.n, cell.n_clean_correct), (10, 9));
    assert_eq!(cell.clean_accuracy, wilson(9, 10));
    assert_eq!(cell.robust_accuracy, wilson(6, 10), "misclassified counts as not robust");
    assert_eq!(cell.flip_rate, Some(wilson(3, 9)));
    assert_eq!(cell.flip_rate_all, wilson(3, 10), "skipped counts as not flipped");
    assert_eq!(cell.flip_rate_u8, Some(wilson(2, 9)));
    assert_eq!((cell.target_rate, cell.gain_z_mean, cell.distance_median), (None, None, None));
    assert_eq!((cell.forwards, cell.backwards), (110, 100));
    assert_eq!(cell.health, [HealthSign::LostByRounding(1)]);
    assert_eq!(summary.models[0].clean_accuracy, wilson(9, 10));
}

#[test]
fn a_cell_without_correct_samples_has_no_flip_rate() {
    let cell = Arc::new(cell(0.1));
    let summary = summary(&[misclassified(record(&cell, 0))]);
    assert_eq!((summary.cells[0].flip_rate, summary.cells[0].flip_rate_u8), (None, None));
    assert_eq!(summary.cells[0].robust_accuracy.point, 0.0);
}

#[test]
fn the_worst_case_is_taken_per_sample_over_all_that_flipped() {
    let attacks = [Arc::new(cell(0.1)), Arc::new(unit_cell(CellKind::Unit, "3", 0.1))];
    let noise = Arc::new(unit_cell(CellKind::ControlNoise, "draw:0", 0.1));
    let larger = Arc::new(cell(0.2));
    let mut records = Vec::new();
    for sample in 0..10 {
        let flip_if = |yes: bool, record: Record| if yes { flipped(record) } else { record };
        records.push(flip_if(sample < 3, record(&attacks[0], sample)));
        records.push(flip_if((2..5).contains(&sample), record(&attacks[1], sample)));
        records.push(flip_if(sample == 9, record(&noise, sample)));
        // A weaker search in the larger ball: what flips in the smaller one settles it.
        records.push(flip_if(sample == 7, Record { linf: 0.2, ..record(&larger, sample) }));
    }
    let worst: Vec<_> = summary(&records).models[0].worst_case.iter().map(|(_, e, rate)| (e.value(), *rate)).collect();
    assert_eq!(worst, [(0.1, wilson(4, 10)), (0.2, wilson(3, 10))]);
    // The boundary search found flips of two more, one of them inside the smaller ball.
    let near = |sample: usize, at: f64| DistanceRecord {
        norm: Norm::Linf,
        model: "m".into(),
        sample_id: records[4 * sample].sample_id.clone(),
        ..distance(sample, Some(at))
    };
    let with = summarize(&records, &[near(5, 0.08), near(6, 0.15)], &[], &[]);
    let worst: Vec<_> = with.models[0].worst_case.iter().map(|(_, e, rate)| (e.value(), *rate)).collect();
    assert_eq!(worst, [(0.1, wilson(3, 10)), (0.2, wilson(1, 10))]);
}

#[test]
fn a_flip_counts_in_every_ball_that_it_lies_in() {
    let cells = [(Norm::Linf, 0.1), (Norm::Linf, 0.2), (Norm::L2, 0.5)];
    let cells = cells.map(|(norm, epsilon)| Arc::new(Cell { norm, ..cell(epsilon) }));
    // The first flip of the large ball lies in the small one, the second in the ball of the other norm.
    let near = |sample: usize, linf: f32, l2: f32| flipped(Record { linf, l2, l0: 9, ..record(&cells[1], sample) });
    let mut records = vec![near(0, 0.05, 3.0), near(1, 0.15, 0.4), near(2, 0.15, 3.0), record(&cells[1], 3)];
    records.extend((0..4).flat_map(|sample| [&cells[0], &cells[2]].map(|cell| record(cell, sample))));
    let robust = |records: &[Record]| -> Vec<f64> {
        summary(records).models[0].worst_case.iter().map(|(_, _, rate)| rate.point).collect()
    };
    assert_eq!(robust(&records), [0.75, 0.25, 0.75]);
}

#[test]
fn signs_show_when_they_should() {
    let mut records = ten();
    records[0].status = Status::ZeroGradient;
    records[1].status = Status::NonFinite;
    let unit = Arc::new(unit_cell(CellKind::Unit, "3", 0.1));
    let noise = Arc::new(unit_cell(CellKind::ControlNoise, "draw:0", 0.1));
    let other = Arc::new(unit_cell(CellKind::ControlRandomUnit, "5", 0.1));
    for sample in 0..10 {
        let hold = record(&unit, sample);
        records.push(if sample == 2 { Record { status: Status::DeadUnit, ..hold } } else { hold });
        let control = record(&noise, sample);
        records.push(if sample == 6 { flipped(control) } else { control });
        records.push(record(&other, sample));
    }
    let health = |records: &[Record]| -> Vec<Vec<HealthSign>> {
        summary(records).cells.into_iter().map(|cell| cell.health).collect()
    };
    use HealthSign::{ControlAsStrong, DeadUnit, GradientMasking, LostByRounding, NonFinite, ZeroGradient};
    let logit = vec![ZeroGradient(1), NonFinite(1), LostByRounding(1)];
    assert_eq!(health(&records), [logit.clone(), vec![DeadUnit(1), ControlAsStrong], vec![], vec![]]);

    // The noise flips a sample that no attack flipped.
    let masked = records.iter_mut().find(|r| r.cell == noise && r.sample_id.as_str() == "1").unwrap();
    *masked = flipped(masked.clone());
    let masked = health(&records);
    assert_eq!(masked[0], [logit, vec![GradientMasking]].concat());
    assert_eq!(masked[1], [DeadUnit(1), ControlAsStrong, GradientMasking]);

    let constant: Vec<Record> = (0..4).map(|at| Record { label: at % 2, ..record(&noise, at as usize) }).collect();
    assert_eq!(health(&constant), [[HealthSign::ConstantPrediction]]);
    let one_label: Vec<Record> = (0..4).map(|at| record(&noise, at)).collect();
    assert_eq!(health(&one_label), [[]]);
}

#[test]
fn signs_name_cause_and_remedy() {
    let signs = [
        HealthSign::ZeroGradient(3),
        HealthSign::NonFinite(1),
        HealthSign::Undecided(2),
        HealthSign::DeadUnit(2),
        HealthSign::UnconfirmedHits(1),
        HealthSign::ControlAsStrong,
        HealthSign::LostByRounding(4),
        HealthSign::GradientMasking,
        HealthSign::GradientFree(5),
        HealthSign::NotConverged(3),
        HealthSign::TransferFindsMore(2),
        HealthSign::NotAtChance,
        HealthSign::SelfTestFailed(9),
        HealthSign::FlatGradient(4),
        HealthSign::FarBeyondLinear(6),
        HealthSign::ConstantPrediction,
        HealthSign::RandomModel,
        HealthSign::AveragedModel(8),
        HealthSign::Probabilities,
    ];
    insta::assert_snapshot!(signs.map(|sign| format!("{}: {sign}", sign.code())).join("\n"));
}

#[test]
fn distances_are_censored_and_the_misclassified_lie_at_zero() {
    let mut distances: Vec<_> = (0..6).map(|at| distance(at, (at < 4).then_some(0.1 * at as f64 + 0.1))).collect();
    distances[0].clean_pred = 2;
    let cell = Arc::new(cell(0.1));
    let summary = summarize(&[record(&cell, 0)], &distances, &[], &[]);
    let known = &summary.distances[0];
    assert_eq!((known.n, known.censored, known.curve[0].distance), (6, 2, 0.0));
    assert_eq!(known.curve[0].survival.point, 5.0 / 6.0);
    assert_eq!(known.median.unwrap().point, distances[2].distance);
    assert_eq!(summary.cells[0].distance_median, known.median);
}

#[test]
fn seconds_are_shared_out_by_passes_and_hits_shown_once() {
    let mut one = block("b");
    let mut summarizer = Summarizer::default();
    summarizer.add_block(&one);
    let first = summarizer.clone().finish(&[], &[]);
    let total = (one.forwards() + one.backwards()) as f64;
    assert!((first.cells[0].seconds - 1.25 * 63.0 / total).abs() < 1e-12);
    assert!((first.cells[1].seconds - 1.25 * 21.0 / total).abs() < 1e-12);
    let hits = |summary: &RunSummary| {
        summary
            .cells
            .iter()
            .flat_map(|cell| &cell.health)
            .filter(|s| matches!(s, HealthSign::UnconfirmedHits(_)))
            .count()
    };
    assert_eq!(hits(&first), 0, "the block holds two attacks: whose hit it was is unknown");
    one.records.truncate(3);
    summarizer.add_block(&one);
    assert_eq!(hits(&summarizer.finish(&[], &[])), 1);
}

#[test]
fn the_table_has_the_columns_of_the_contract() {
    let unit = Arc::new(unit_cell(CellKind::Unit, "17@3,5", 8.0 / 255.0));
    let mut records = ten();
    records.push(Record { activation_gain_z: Some(2.5), ..record(&unit, 0) });
    let distances: Vec<_> = (0..4).map(|at| distance(at, (at < 3).then_some(0.25))).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.csv");
    write_summary(&path, &summarize(&records, &distances, &[], &[])).unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap());
}

#[test]
fn models_and_attacks_keep_the_order_of_the_suite() {
    let named = |model: &str, attack: &str| {
        record(&Arc::new(Cell { model: model.to_owned(), attack: attack.to_owned(), ..cell(0.1) }), 0)
    };
    let records = [named("a", "x"), named("b", "y"), named("b", "x"), named("c", "x")];
    let order = ["b".to_owned(), "c".to_owned()];
    let summary = summarize(&records, [], &order, &["y".to_owned()]);
    let cells: Vec<_> = summary.cells.iter().map(|c| format!("{} {}", c.cell.model, c.cell.attack)).collect();
    assert_eq!(cells, ["b y", "b x", "c x", "a x"]);
    assert_eq!(summary.models.iter().map(|m| m.model.as_str()).collect::<Vec<_>>(), ["b", "c", "a"]);
}

/// Records of some samples in three balls, an attack and a unit attack with a control; some are misclassified.
fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let cells: Vec<Arc<Cell>> = [0.1, 0.2, 0.4]
        .into_iter()
        .flat_map(|epsilon| {
            let unit = |kind, unit| unit_cell(kind, unit, epsilon);
            [cell(epsilon), unit(CellKind::Unit, "3"), unit(CellKind::ControlNoise, "draw:0")]
        })
        .map(Arc::new)
        .collect();
    let sample = (any::<bool>(), proptest::collection::vec((any::<bool>(), any::<bool>(), -9.0f32..9.0), 9));
    proptest::collection::vec(sample, 0..12).prop_map(move |samples| {
        let mut records = Vec::new();
        for (at, (wrong, outcomes)) in samples.into_iter().enumerate() {
            for ((flips, present, z), cell) in outcomes.into_iter().zip(&cells) {
                let one = Record { activation_gain_z: Some(z), ..record(cell, at) };
                match (present, wrong, flips) {
                    (false, _, _) => {}
                    (_, true, _) => records.push(misclassified(one)),
                    (_, _, true) => records.push(flipped(one)),
                    _ => records.push(one),
                }
            }
        }
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_does_not_matter(
        (records, shuffled) in any_records().prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
    ) {
        prop_assert_eq!(summary(&records), summary(&shuffled));
    }

    #[test]
    fn merged_parts_are_the_whole(records in any_records(), cut in any::<proptest::sample::Index>()) {
        let distances: Vec<_> = (0..5).map(|at| distance(at, (at % 2 == 0).then_some(at as f64))).collect();
        let part = |records: &[Record], distances: &[DistanceRecord]| {
            let mut part = Summarizer::default();
            records.iter().for_each(|record| part.add_record(record));
            distances.iter().for_each(|distance| part.add_distance(distance));
            part
        };
        let cut = cut.index(records.len() + 1);
        let mut merged = part(&records[cut..], &distances[2..]);
        merged.merge(&part(&records[..cut], &distances[..2]));
        merged.merge(&Summarizer::default());
        prop_assert_eq!(merged.finish(&[], &[]), part(&records, &distances).finish(&[], &[]));
    }

    #[test]
    fn robust_accuracy_never_rises_with_epsilon(flips in proptest::collection::vec((0usize..5, any::<bool>()), 1..30)) {
        let cells = [0.1, 0.2, 0.3, 0.4].map(|epsilon| Arc::new(cell(epsilon)));
        let mut records = Vec::new();
        for (sample, (from, wrong)) in flips.iter().enumerate() {
            for (at, cell) in cells.iter().enumerate() {
                let one = Record { linf: 0.99 * cell.epsilon.value() as f32, ..record(cell, sample) };
                records.push(if *wrong { misclassified(one) } else if at >= *from { flipped(one) } else { one });
            }
        }
        let summary = summary(&records);
        for pair in summary.cells.windows(2) {
            prop_assert!(pair[0].cell.epsilon < pair[1].cell.epsilon);
            prop_assert!(pair[0].robust_accuracy.point >= pair[1].robust_accuracy.point);
        }
        let worst = &summary.models[0].worst_case;
        for (cell, (_, epsilon, rate)) in summary.cells.iter().zip(worst) {
            prop_assert_eq!((cell.cell.epsilon, cell.robust_accuracy), (*epsilon, *rate));
        }
    }

    #[test]
    fn the_worst_case_never_rises_and_is_below_every_attack(records in any_records()) {
        let summary = summary(&records);
        for model in &summary.models {
            // Samples may be missing from a ball here, so only balls that saw the same samples compare.
            for cell in summary.cells.iter().filter(|cell| !cell.cell.kind.is_control()) {
                let (_, _, worst) = model.worst_case.iter().find(|(n, e, _)| (*n, *e) == (cell.cell.norm, cell.cell.epsilon)).unwrap();
                let missing = model.n - cell.n;
                prop_assert!(worst.point * model.n as f64 <= cell.robust_accuracy.point * cell.n as f64 + missing as f64 + 1e-9);
            }
        }
    }
}

/// Twelve samples attacked in two norms: 0 to 3 flip in l-inf, 3 to 5 in l2, 11 is misclassified.
#[test]
fn the_worst_case_over_norms_is_taken_per_sample() {
    let in_norm = |norm: Norm, epsilon: f64| Arc::new(Cell { norm, ..cell(epsilon) });
    let (linf, small, l2) = (in_norm(Norm::Linf, 8.0 / 255.0), in_norm(Norm::L2, 0.25), in_norm(Norm::L2, 0.5));
    let mut summarizer = Summarizer::default();
    for sample in 0..12 {
        let add = |cell: &Arc<Cell>, flips: bool| {
            let length = |norm: Norm| if norm == cell.norm { cell.epsilon.value() as f32 } else { 1e3 };
            let [linf, l2, l1] = [Norm::Linf, Norm::L2, Norm::L1].map(length);
            let plain = Record { linf, l2, l1, ..record(cell, sample) };
            match (sample, flips) {
                (11, _) => misclassified(plain),
                (_, true) => flipped(plain),
                (_, false) => plain,
            }
        };
        summarizer.add_record(&add(&linf, sample < 4));
        summarizer.add_record(&add(&small, sample == 3));
        summarizer.add_record(&add(&l2, (3..6).contains(&sample)));
    }
    let worst = summarizer.worst_samples();
    let rows = |norm: Option<Norm>| -> Vec<_> { worst.iter().filter(|row| row.norm == norm).collect() };
    assert_eq!([Some(Norm::Linf), Some(Norm::L2), None].map(|norm| rows(norm).len()), [12, 12, 12]);
    let robust = |norm: Option<Norm>| rows(norm).iter().filter(|row| row.robust).count();
    assert_eq!([Some(Norm::Linf), Some(Norm::L2), None].map(robust), [7, 8, 5]);
    let radius = |value: f64| Some(Epsilon::new(value).unwrap());
    let l2 = rows(Some(Norm::L2));
    assert_eq!((l2[3].robust_at, l2[3].broken_at), (None, radius(0.25)));
    assert_eq!((l2[4].robust_at, l2[4].broken_at), (radius(0.25), radius(0.5)));
    assert_eq!((l2[6].robust_at, l2[6].broken_at), (radius(0.5), None));
    assert_eq!((l2[11].clean_correct, l2[11].robust_at, l2[11].robust), (false, None, false));

    let summary = summarizer.finish(&[], &[]);
    let all = summary.models[0].all_norms.as_ref().unwrap();
    assert_eq!((all.to_string().as_str(), all.estimate), ("linf 8/255, l2 0.5", wilson(5, 12)));
    let folder = tempfile::tempdir().unwrap();
    let [balls, samples] = ["worst_case.csv", "worst_case_samples.csv"].map(|name| folder.path().join(name));
    write_worst_case(&balls, &summary).unwrap();
    write_worst_samples(&samples, &worst).unwrap();
    let text = std::fs::read_to_string(&balls).unwrap();
    assert_eq!(text.lines().count(), 1 + 3 + 1, "{text}");
    assert!(text.lines().last().unwrap().contains(",all,\"linf 8/255, l2 0.5\",0.41666"), "{text}");
    assert_eq!(std::fs::read_to_string(&samples).unwrap().lines().count(), 1 + 36);
}
