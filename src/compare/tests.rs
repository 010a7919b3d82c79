//! What a comparison says of made-up runs.

use super::*;
use crate::gate::testing::{old, run, with_distances};
use crate::gate::{Distance, ModelProvenance};
use crate::stats::{mcnemar, paired_difference};
use crate::summary::HealthSign;

fn only(reference: &Snapshot, run: &Snapshot) -> Contrast {
    let mut comparison = compare(reference, std::slice::from_ref(run), &Options::default()).unwrap();
    assert_eq!(comparison.contrasts.len(), 1);
    comparison.contrasts.remove(0)
}

fn called(mut snapshot: Snapshot, model: &str) -> Snapshot {
    snapshot.models[0].model = model.to_owned();
    snapshot.cells[0].cell.model = model.to_owned();
    snapshot.provenance.models[0].name = model.to_owned();
    snapshot.distances.iter_mut().for_each(|distances| distances.model = model.to_owned());
    snapshot
}

fn row_of(contrast: &Contrast, metric: Metric) -> &Row {
    contrast.rows.iter().find(|row| row.metric == metric).unwrap()
}

fn numbers(set: &SampleSet) -> Vec<u32> {
    set.iter().collect()
}

#[test]
fn differences_are_paired_two_sided_and_adjusted_in_two_families() {
    let contrast = only(&old(200, 0..10), &run(200, 5..40));
    let metrics: Vec<Metric> = contrast.rows.iter().map(|row| row.metric).collect();
    assert_eq!(metrics, [Metric::CleanAccuracy, Metric::WorstCaseAccuracy, Metric::RobustAccuracy]);
    let (worst, cell) = (row_of(&contrast, Metric::WorstCaseAccuracy), row_of(&contrast, Metric::RobustAccuracy));
    assert_eq!((worst.reference.point, worst.run.point), (0.95, 0.825));
    assert_eq!(worst.change.estimate, paired_difference(5, 30, 200));
    assert_eq!((worst.change.broken, worst.change.fixed), (30, 5));
    assert!((worst.change.p - mcnemar(30, 5).two_sided).abs() < 1e-15);
    assert_eq!(worst.change.p_adjusted, 2.0 * worst.change.p, "beside clean accuracy");
    assert_eq!(cell.change.p_adjusted, cell.change.p, "the only cell");
    assert_eq!((numbers(&worst.broken), numbers(&worst.fixed)), ((10..40).collect(), (0..5).collect()));
    assert!(!row_of(&contrast, Metric::CleanAccuracy).is_significant() && worst.is_significant());
}

#[test]
fn order_of_samples_does_not_matter() {
    let reference = old(50, 0..10);
    let mut shuffled = run(50, (0..50).filter(|place| (place * 7) % 50 < 15));
    shuffled.samples = (0..50).map(|place| reference.samples[(place * 7) % 50].clone()).collect();
    let (straight, turned) = (only(&reference, &run(50, 0..15)), only(&reference, &shuffled));
    for (a, b) in straight.rows.iter().zip(&turned.rows) {
        assert_eq!((&a.change, &a.reference, &a.run), (&b.change, &b.reference, &b.run));
    }
}

#[test]
fn the_other_way_round_is_the_mirror_image() {
    let at = |shift: f64| move |sample: usize| Distance::At(0.02 + 0.0001 * sample as f64 + shift);
    let (a, b) = (with_distances(old(80, 0..10), at(0.001)), with_distances(run(80, 4..30), at(0.0)));
    let (forth, back) = (only(&a, &b), only(&b, &a));
    for (forwards, backwards) in forth.rows.iter().zip(&back.rows) {
        assert!((forwards.change.estimate.point + backwards.change.estimate.point).abs() < 1e-12);
        assert!((forwards.change.p - backwards.change.p).abs() < 1e-12);
        assert_eq!((forwards.change.broken, forwards.change.fixed), (backwards.change.fixed, backwards.change.broken));
        assert_eq!(numbers(&forwards.broken), numbers(&backwards.fixed));
    }
}

#[test]
fn distances_shift_with_interval_and_both_tests() {
    let at = |shift: f64| {
        move |sample: usize| match sample % 10 {
            0 => Distance::Censored,
            _ => Distance::At(0.02 + 0.0001 * sample as f64 - shift * (1.0 + sample as f64 / 100.0)),
        }
    };
    let contrast = only(&with_distances(old(200, 0..10), at(0.0)), &with_distances(run(200, 0..10), at(0.004)));
    let row = row_of(&contrast, Metric::DistanceMedian);
    assert!(row.change.estimate.hi < 0.0 && row.change.estimate.point < -0.004, "{:?}", row.change.estimate);
    assert!(row.change.p < 1e-6 && row.log_rank.unwrap() < 0.01);
    assert_eq!((row.change.broken, row.change.fixed), (180, 0));
    assert_eq!(row.change.broken_ids[0].as_str(), "199", "the largest shift first");
    assert!((row.run.point - row.reference.point - row.change.estimate.point).abs() < 1e-3);
}

#[test]
fn a_sample_that_one_side_did_not_measure_does_not_count() {
    let at = |sample: usize| if sample < 5 { Distance::Missing } else { Distance::At(sample as f64) };
    let mut now = with_distances(run(20, 0..2), at);
    now.cells[0].samples = (0..15).collect();
    let contrast = only(&with_distances(old(20, 15..20), |sample| Distance::At(sample as f64)), &now);
    let cell = row_of(&contrast, Metric::RobustAccuracy);
    assert_eq!((cell.change.n, cell.reference.point), (15, 1.0));
    let distances = row_of(&contrast, Metric::DistanceMedian);
    assert_eq!((distances.change.n, distances.change.estimate.point), (15, 0.0));
    assert_eq!(distances.reference, distances.run);
}

#[test]
fn models_with_pictures_alone_are_paired_where_runs_have_pictures() {
    let mut pictures = called(old(20, 0..0), "cnn");
    pictures.provenance.models.push(ModelProvenance { name: "vit".to_owned(), ..ModelProvenance::default() });
    (pictures.models, pictures.cells, pictures.samples) = Default::default();
    let compared = |pictures_there: bool| {
        let options =
            Options { models: vec!["cnn=vit".parse().unwrap()], pictures: pictures_there, ..Options::default() };
        compare(&pictures, std::slice::from_ref(&pictures), &options)
    };
    let contrast = compared(true).unwrap().contrasts.remove(0);
    assert_eq!((contrast.models.to_string().as_str(), contrast.finding()), ("cnn → vit", "no numbers in common"));
    assert!(contrast.rows.is_empty() && compared(false).is_err());
}

#[test]
fn models_are_paired_by_name_by_wish_or_because_they_are_the_only_ones() {
    let (one, other) = (called(old(20, 0..3), "cnn"), called(run(20, 0..5), "vit"));
    assert_eq!(only(&one, &other).models.to_string(), "cnn → vit");
    let mut both = one.clone();
    both.models.extend(other.models.clone());
    both.cells.extend(other.cells.clone());
    both.provenance.models.push(ModelProvenance { name: "vit".to_owned(), ..ModelProvenance::default() });
    assert_eq!(only(&both, &other).models.to_string(), "vit");

    let options = |text: &str| Options { models: vec![text.parse().unwrap()], ..Options::default() };
    let within = compare(&both, std::slice::from_ref(&both), &options("cnn=vit")).unwrap();
    assert_eq!(numbers(&row_of(&within.contrasts[0], Metric::RobustAccuracy).broken), [3, 4]);
    let error =
        |options: &Options, run: &Snapshot| compare(&both, std::slice::from_ref(run), options).unwrap_err().to_string();
    insta::assert_snapshot!(error(&options("cnn=vti"), &other), @"run suite-new has no model `vti`; did you mean `vit`?");
    insta::assert_snapshot!(error(&Options::default(), &called(other.clone(), "mlp")), @"the runs have no model of the same name: cnn, vit in suite-old, mlp in suite-new; name pairs with --model cnn=mlp");
    for text in ["", "=", "a=", "=b", "a=b=c"] {
        assert!(text.parse::<ModelPair>().is_err(), "{text}");
    }
}

#[test]
fn other_conditions_are_refused_by_name_unless_allowed() {
    let mut other = run(20, 0..5);
    other.provenance.attacks.get_mut("a").unwrap()["steps"] = 10.into();
    other.provenance.data["split"] = "train".into();
    let refused = |options: &Options| compare(&old(20, 0..3), std::slice::from_ref(&other), options);
    let error = refused(&Options::default()).unwrap_err();
    assert!(matches!(error, CompareError::Incomparable { .. }));
    insta::assert_snapshot!(error, @r"
    suite-new and suite-old were made under different conditions:
    - data.split: test in the reference, train in the run
    - attack a.steps: 40 in the reference, 10 in the run
    ");
    let composed = |percent: u32, named: Snapshot| {
        let mut run = named;
        let attack = run.provenance.attacks.get_mut("a").unwrap();
        (attack["goal"]["preset"], attack["steps"]) = ("am-standard".into(), percent.into());
        run
    };
    let (half_budget, whole_budget) = (composed(50, run(20, 0..5)), composed(100, old(20, 0..5)));
    let error = compare(&whole_budget, &[half_budget], &Options::default()).unwrap_err().to_string();
    assert!(error.ends_with("- attack a.budget: 100 in the reference, 50 in the run"), "{error}");
    let allowed = refused(&Options { allow_mismatch: true, ..Options::default() }).unwrap();
    assert_eq!(allowed.contrasts[0].mismatches.len(), 2);
    assert_eq!(row_of(&allowed.contrasts[0], Metric::RobustAccuracy).change.broken, 2);
}

#[test]
fn an_attack_of_one_side_alone_is_told_and_not_compared() {
    let mut other = run(20, 0..5);
    let mut cell = other.cells[0].clone();
    cell.cell.attack = "b".to_owned();
    other.cells.push(cell);
    other.provenance.attacks.insert("b".to_owned(), serde_json::json!({}));
    let contrast = only(&old(20, 0..3), &other);
    assert_eq!(contrast.only_run[0].attack.as_deref(), Some("b"));
    assert!(contrast.only_reference.is_empty());
    assert!(contrast.rows.iter().all(|row| row.metric != Metric::WorstCaseAccuracy));
    insta::assert_snapshot!(contrast.notes[0], @"the worst case of m · linf 8/255 is left out: its attacks are a in the reference, a, b in the run");
    let changed_samples: Vec<u32> = contrast.changed(false).into_iter().map(|(sample, _)| sample).collect();
    assert_eq!(changed_samples, [3, 4], "cells speak where no worst case does");
}

#[test]
fn changed_samples_come_by_the_first_row_that_shows_them() {
    let mut other = run(20, 3..8);
    other.models[0].correct = (0..20).filter(|sample| *sample != 12).collect();
    let contrast = only(&old(20, 0..3), &other);
    let changed_samples: Vec<(u32, Metric)> =
        contrast.changed(false).iter().map(|(sample, row)| (*sample, row.metric)).collect();
    assert_eq!(changed_samples[0], (12, Metric::CleanAccuracy));
    assert_eq!(changed_samples[1..].iter().map(|(sample, _)| *sample).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    assert_eq!(contrast.changed(true).len(), 3);
}

#[test]
fn new_health_signs_are_told() {
    let mut other = run(20, 0..1);
    other.cells[0].health = vec![HealthSign::ZeroGradient(7)];
    let contrast = only(&old(20, 0..10), &other);
    assert_eq!(row_of(&contrast, Metric::RobustAccuracy).new_signs, ["zero-gradient"]);
}

#[test]
fn runs_of_other_samples_share_nothing() {
    let mut other = run(20, 0..5);
    other.samples = (100..120).map(|sample| SampleId::from(sample.to_string())).collect();
    let options = Options { allow_mismatch: true, ..Options::default() };
    let error = compare(&old(20, 0..3), &[other], &options).unwrap_err();
    assert!(matches!(error, CompareError::NothingShared { .. }), "{error}");
}
