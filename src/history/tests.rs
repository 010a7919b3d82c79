//! Order, groups, steps and drifts of made-up runs.

use std::ops::Range;

use super::*;
use crate::gate::testing::{run, with_distances};

fn entry(place: u64, run: &str) -> Entry {
    Entry {
        folder: PathBuf::from(format!("reports/{run}")),
        run: run.to_owned(),
        moment: Moment { seconds: 1_700_000_000 + place * 86_400, certain: true },
        commit: Some(format!("{place:040x}")),
        device: "cpu".to_owned(),
    }
}

/// Run number `place`, whose attack flips the samples in `flipped` of 200.
fn made(place: u64, flipped: Range<u32>) -> (Entry, Snapshot) {
    let name = format!("suite-{place:02}");
    let mut snapshot = run(200, flipped);
    snapshot.provenance.run = name.clone();
    snapshot.provenance.models[0].weights_hash = name.clone();
    (entry(place, &name), snapshot)
}

fn history(flips: &[u32]) -> History {
    let runs = flips.iter().zip(0..).map(|(flips, place)| made(place, 0..*flips)).collect();
    History::from_runs(runs, Vec::new(), 10)
}

fn worst(history: &History) -> &Series {
    history.groups[0].series.iter().find(|series| series.metric == Metric::WorstCaseAccuracy).unwrap()
}

#[test]
fn a_drift_is_found_that_no_single_step_shows() {
    let history = history(&[10, 14, 17, 21, 26, 30]);
    let series = worst(&history);
    let steps: Vec<f64> = series.points.iter().filter_map(|point| Some(point.step.as_ref()?.p_adjusted)).collect();
    assert!(steps.len() == 5 && steps.iter().all(|p| *p >= ALPHA), "{steps:?}");
    assert_eq!(series.finding, Finding::DriftsDown, "{series:?}");
    assert!((series.trend.as_ref().unwrap().slope.point + 0.02).abs() < 0.001);
    assert!(history.worsens());
}

#[test]
fn a_step_is_a_step_and_few_runs_are_no_trend() {
    let fell = history(&[10, 10, 40, 41]);
    assert_eq!(worst(&fell).finding, Finding::Fell(2));
    assert!(!fell.worsens(), "not with the last step");
    assert!(history(&[10, 40]).worsens());
    assert_eq!(worst(&history(&[40, 10])).finding, Finding::Rose(1));
    assert_eq!(worst(&history(&[10, 12, 14])).finding, Finding::TooFew);
    assert_eq!(worst(&history(&[10, 12, 9, 11, 10, 12])).finding, Finding::Steady);
}

#[test]
fn the_same_weights_count_once() {
    let mut runs: Vec<(Entry, Snapshot)> = (0..6).map(|place| made(place, 0..10)).collect();
    for (_, snapshot) in &mut runs[3..] {
        snapshot.provenance.models[0].weights_hash = "same".to_owned();
    }
    let history = History::from_runs(runs, Vec::new(), 10);
    let changed: Vec<bool> = worst(&history).points.iter().map(|point| point.changed).collect();
    assert_eq!(changed, [true, true, true, true, false, false]);
    assert_eq!(worst(&history).trend.as_ref().unwrap().measurements, 4);
}

#[test]
fn other_conditions_are_groups_of_their_own_and_copies_are_named() {
    let (mut seed, mut attack, mut data) = (made(1, 0..10), made(2, 0..10), made(3, 0..10));
    seed.1.provenance.seed = 18;
    attack.1.provenance.attacks.insert("b".to_owned(), serde_json::json!({}));
    data.1.provenance.data_hash = "other".to_owned();
    let mut copy = made(0, 0..10);
    copy.0.folder = PathBuf::from("reports/copy");
    let history = History::from_runs(vec![made(0, 0..10), seed, attack, data, made(4, 0..12), copy], Vec::new(), 10);
    let runs: Vec<usize> = history.groups.iter().map(|group| group.runs.len()).collect();
    assert_eq!(runs, [2, 1, 1, 1]);
    assert_eq!(history.groups[0].differs, Vec::<String>::new());
    let differs: String = history.groups[1..].iter().map(|group| group.differs.join("; ") + "\n").collect();
    for expected in ["seed: 17 in the group before, 18 in the run", "attacks: a in", "labels or images"] {
        assert!(differs.contains(expected), "{differs}");
    }
    assert!(history.unusable[0].why.contains("the same run as reports/suite-00"), "{:?}", history.unusable);
}

#[test]
fn distances_have_steps_and_trends_too() {
    let at = |shift: f64| move |sample: usize| crate::gate::Distance::At(0.05 + 1e-4 * sample as f64 - shift);
    let runs = (0..5u64).map(|place| {
        let (entry, snapshot) = made(place, 0..10);
        (entry, with_distances(snapshot, at(0.002 * place as f64)))
    });
    let history = History::from_runs(runs.collect(), Vec::new(), 10);
    let series = history.groups[0].series.iter().find(|series| series.metric == Metric::DistanceMedian).unwrap();
    assert!(matches!(series.finding, Finding::Fell(4)), "{series:?}");
    assert!((series.trend.as_ref().unwrap().slope.point + 0.002).abs() < 1e-9);
}

#[test]
fn the_table_has_a_row_for_each_number_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.csv");
    write_history(&path, &history(&[10, 14])).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 2, "{text}");
    assert!(lines[0].starts_with("group,suite,seed,place,run,") && lines[0].ends_with(",doubts"));
    assert!(lines[1].starts_with("1,suite,17,1,suite-00,reports/suite-00,2023-11-14T22:13:20Z,true,0000"), "{text}");
    assert!(lines.iter().all(|line| line.split(',').count() == csv::COLUMNS.len()), "{text}");
}
