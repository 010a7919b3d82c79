//! Each verdict, and what it means for the pipeline.

use serde_json::json;

use super::*;
use crate::record::CellKind;
use crate::summary::{HealthSign, SampleSet};
use crate::terms::{Epsilon, Norm};

/// The verdict of the only rule on the worst case.
fn verdict(old: &Snapshot, new: &Snapshot, rule: Rule) -> (Verdict, Conclusion) {
    let outcome = judged(new, Some(old), &rules([rule]));
    (outcome.rules[0].verdict, outcome.conclusion)
}

#[test]
fn a_large_drop_fails_and_says_who_broke() {
    let outcome = judged(&run(500, 100..140), Some(&old(500, 100..110)), &rules([no_drop(0.02)]));
    assert_eq!((outcome.verdict, outcome.conclusion), (Verdict::Regressed, Conclusion::Failed));
    let check = &outcome.rules[0].checks[0];
    let change = check.change.as_ref().unwrap();
    assert!((change.estimate.point + 0.06).abs() < 1e-12 && change.estimate.hi < -0.02);
    assert_eq!((change.broken, change.fixed, change.n), (30, 0, 500));
    assert_eq!(change.broken_ids[0].as_str(), "110");
    assert!(check.failed && change.p_adjusted < 1e-6);
    assert!(outcome.rules[0].detectable.unwrap() > 0.02);
}

#[test]
fn no_change_passes_and_a_small_one_within_the_margin_too() {
    assert_eq!(verdict(&old(500, 0..50), &run(500, 0..50), no_drop(0.0)).0, Verdict::Pass);
    let small = verdict(&old(5000, 0..50), &run(5000, 0..60), no_drop(0.02));
    assert_eq!(small, (Verdict::Pass, Conclusion::Passed), "significant, but within the margin");
}

#[test]
fn a_drop_beyond_the_margin_that_noise_explains_is_inconclusive() {
    let rule = no_drop(0.01);
    let strict = Rule { inconclusive: Level::Error, ..rule.clone() };
    let (old, new) = (old(100, 0..10), run(100, 4..16));
    assert_eq!(verdict(&old, &new, rule), (Verdict::Inconclusive, Conclusion::Passed));
    assert_eq!(verdict(&old, &new, strict), (Verdict::Inconclusive, Conclusion::Failed));
}

#[test]
fn a_rise_improves_but_not_with_the_same_weights_or_beyond_what_is_credible() {
    let (before, mut after) = (old(500, 0..100), run(500, 0..50));
    assert_eq!(verdict(&before, &after, no_drop(0.02)).0, Verdict::Improved);
    let bounded = Rule { max_rise: Some(0.05), ..no_drop(0.02) };
    assert_eq!(verdict(&before, &after, bounded.clone()), (Verdict::Suspicious, Conclusion::Passed));
    assert_eq!(
        verdict(&before, &after, Rule { suspicious: Level::Error, ..bounded }),
        (Verdict::Suspicious, Conclusion::Failed)
    );
    after.provenance.models[0].weights_hash = "old".to_owned();
    assert_eq!(verdict(&before, &after, no_drop(0.02)).0, Verdict::Suspicious);
}

#[test]
fn a_new_grave_sign_is_suspicious_and_an_old_or_slight_one_is_not() {
    let before = old(500, 0..50);
    let with = |sign| {
        let mut after = run(500, 0..50);
        after.cells[0].health.push(sign);
        after
    };
    let zero = HealthSign::ZeroGradient(3);
    let outcome = judged(&with(zero), Some(&before), &rules([no_drop(0.02)]));
    let check = &outcome.rules[0].checks[0];
    assert_eq!(check.verdict, Verdict::Suspicious);
    assert!(check.why.as_ref().unwrap().contains("zero-gradient"), "{check:?}");
    assert_eq!(verdict(&before, &with(HealthSign::LostByRounding(3)), no_drop(0.02)).0, Verdict::Pass);
    let mut known = before.clone();
    known.cells[0].health.push(HealthSign::ZeroGradient(90));
    assert_eq!(verdict(&known, &with(zero), no_drop(0.02)).0, Verdict::Pass);
}

#[test]
fn other_conditions_refuse_the_comparison_and_are_named() {
    type Change = fn(&mut Provenance);
    let changes: [(&str, Change); 5] = [
        ("labels or images", |provenance| provenance.data_hash = "other".to_owned()),
        ("data.split", |provenance| provenance.data = json!({ "kind": "synthetic", "split": "train" })),
        ("engine version", |provenance| {
            provenance.versions.insert("engine".to_owned(), "2".to_owned());
        }),
        ("attack a.steps", |provenance| {
            provenance.attacks.get_mut("a").unwrap()["steps"] = json!(41);
        }),
        ("attack a.goal.target", |provenance| {
            provenance.attacks.get_mut("a").unwrap()["goal"]["target"] = json!("random");
        }),
    ];
    for (setting, change) in changes {
        let mut before = old(500, 0..10);
        change(&mut before.provenance);
        let outcome = judged(&run(500, 0..200), Some(&before), &rules([no_drop(0.02)]));
        assert_eq!(
            (outcome.verdict, outcome.conclusion),
            (Verdict::Incomparable, Conclusion::NotComparable),
            "{setting}"
        );
        let why = outcome.rules[0].checks[0].why.as_ref().unwrap();
        assert!(why.starts_with(setting), "{setting}: {why}");
        let allowed = Options { allow_mismatch: true, ..options() };
        let outcome = judge(&run(500, 0..200), Some(&before), &rules([no_drop(0.02)]), &allowed);
        assert_eq!(outcome.conclusion, Conclusion::Failed, "{setting} is overridden");
    }
}

#[test]
fn drift_is_told_and_stops_nothing() {
    let mut before = old(500, 0..10);
    before.provenance.device = "GPU".to_owned();
    before.provenance.models[0].arch = "other".to_owned();
    let outcome = judged(&run(500, 0..10), Some(&before), &rules([no_drop(0.02)]));
    assert_eq!(outcome.conclusion, Conclusion::Passed);
    assert_eq!(outcome.drift.len(), 2, "{:?}", outcome.drift);
}

#[test]
fn what_the_run_lost_is_incomparable_and_what_is_new_is_inconclusive() {
    let smaller = |mut snapshot: Snapshot| {
        snapshot.cells[0].cell.epsilon = Epsilon::new(4.0 / 255.0).unwrap();
        snapshot
    };
    let rule = Rule { max_drop: Some(0.02), ..Rule::unbounded(Metric::RobustAccuracy) };
    let outcome = judged(&smaller(run(500, 0..10)), Some(&old(500, 0..10)), &rules([rule]));
    let verdicts: Vec<Verdict> = outcome.rules[0].checks.iter().map(|check| check.verdict).collect();
    assert_eq!(verdicts, [Verdict::Inconclusive, Verdict::Incomparable]);
    assert_eq!(outcome.conclusion, Conclusion::NotComparable);
}

#[test]
fn other_top_units_are_no_mismatch() {
    let unit = |mut snapshot: Snapshot, units: [&str; 2]| {
        let like = snapshot.cells[0].clone();
        for name in units {
            let mut cell = like.clone();
            cell.cell.kind = CellKind::Unit;
            (cell.cell.layer, cell.cell.unit) = (Some("layer1".into()), Some(name.parse().unwrap()));
            snapshot.cells.push(cell);
        }
        snapshot
    };
    let (before, after) = (unit(old(500, 0..10), ["1", "2"]), unit(run(500, 0..10), ["2", "3"]));
    let mut rule = Rule { max_drop: Some(0.02), ..Rule::unbounded(Metric::RobustAccuracy) };
    rule.select.kind = Some(Pattern::new("unit"));
    let outcome = judged(&after, Some(&before), &rules([rule]));
    let found: Vec<(&str, Verdict)> =
        outcome.rules[0].checks.iter().map(|check| (check.subject.unit.as_deref().unwrap(), check.verdict)).collect();
    assert_eq!(found, [("2", Verdict::Pass), ("3", Verdict::Inconclusive)]);
    assert_eq!(outcome.conclusion, Conclusion::Passed);
}

#[test]
fn samples_are_paired_by_id_whatever_their_order() {
    let mut before = old(500, 400..450);
    before.samples.reverse();
    let outcome = judged(&run(500, 51..101), Some(&before), &rules([no_drop(0.02)]));
    let change = outcome.rules[0].checks[0].change.as_ref().unwrap();
    // In the baseline's order, places 400 to 449 are the samples 99 to 50.
    assert_eq!((change.broken, change.fixed), (1, 1));
    assert_eq!((change.broken_ids[0].as_str(), change.fixed_ids[0].as_str()), ("100", "50"));
}

#[test]
fn floors_need_no_baseline() {
    let floor = |min: f64| Rule { min: Some(min), ..Rule::unbounded(Metric::WorstCaseAccuracy) };
    let found = |min: f64| {
        let outcome = judged(&run(500, 0..250), None, &rules([floor(min)]));
        (outcome.verdict, outcome.conclusion)
    };
    assert_eq!(found(0.4), (Verdict::Pass, Conclusion::Passed));
    assert_eq!(found(0.51), (Verdict::Inconclusive, Conclusion::Passed));
    assert_eq!(found(0.6), (Verdict::Regressed, Conclusion::Failed));
    let ceiling = Rule { max: Some(0.3), ..Rule::unbounded(Metric::FlipRate) };
    assert_eq!(judged(&run(500, 0..250), None, &rules([ceiling])).verdict, Verdict::Regressed);
}

#[test]
fn all_norms_count_a_flip_in_any_of_their_headline_balls() {
    let floor = |min: f64| rules([Rule { min: Some(min), ..Rule::unbounded(Metric::AllNormsAccuracy) }]);
    let mut both = run(500, 0..100);
    // A model that is attacked in one norm has nothing to be joined.
    assert!(crate::gate::measure::measures(&both, Metric::AllNormsAccuracy).is_empty());
    let mut second = both.cells[0].clone();
    (second.cell.norm, second.flipped) = (Norm::L2, (50..250).collect());
    second.cell.epsilon = Epsilon::new(0.5).unwrap();
    both.cells.push(second);
    let measured = crate::gate::measure::measures(&both, Metric::AllNormsAccuracy);
    assert_eq!((measured.len(), measured[0].yes.len(), measured[0].population.len()), (1, 250, 500));
    assert_eq!(judged(&both, None, &floor(0.4)).verdict, Verdict::Pass);
    assert_eq!(judged(&both, None, &floor(0.6)).verdict, Verdict::Regressed);
}

#[test]
fn a_warning_never_fails_and_off_is_not_looked_at() {
    let (before, after) = (old(500, 0..10), run(500, 0..200));
    let warn = Rule { level: Level::Warn, ..no_drop(0.02) };
    let off = Rule { level: Level::Off, ..no_drop(0.02) };
    let outcome = judged(&after, Some(&before), &rules([warn, off]));
    assert_eq!((outcome.rules.len(), outcome.warnings(), outcome.conclusion), (1, 1, Conclusion::Passed));
    assert_eq!(outcome.rules[0].verdict, Verdict::Regressed);
}

#[test]
fn rules_of_level_error_share_one_chance_of_a_false_alarm() {
    // 8 against 1: p = 0.0195 alone, 0.039 with two tests, 0.0585 with three.
    let (before, after) = (old(100, 0..1), run(100, 1..9));
    let alone = judged(&after, Some(&before), &rules([no_drop(0.0)]));
    assert_eq!(alone.verdict, Verdict::Regressed);
    let two = rules([no_drop(0.0), Rule { max_drop: Some(0.0), ..Rule::unbounded(Metric::CleanAccuracy) }]);
    assert_eq!(judged(&after, Some(&before), &two).verdict, Verdict::Regressed);
    let three = rules([
        no_drop(0.0),
        Rule { max_drop: Some(0.0), ..Rule::unbounded(Metric::CleanAccuracy) },
        Rule { max_drop: Some(0.0), ..Rule::unbounded(Metric::CleanAccuracy) },
    ]);
    let outcome = judged(&after, Some(&before), &three);
    assert_eq!(outcome.verdict, Verdict::Inconclusive);
    let change = outcome.rules[0].checks[0].change.as_ref().unwrap();
    assert!((change.p_adjusted - 3.0 * change.p).abs() < 1e-12);
}

#[test]
fn a_waiver_excuses_until_its_day() {
    let (before, after) = (old(500, 0..10), run(500, 0..200));
    let waiver = |expires: &str| Waiver {
        metric: Some(Metric::WorstCaseAccuracy),
        select: Selector { model: Some(Pattern::new("m*")), ..Selector::default() },
        reason: "known".to_owned(),
        owner: "ana".to_owned(),
        expires: expires.parse().unwrap(),
    };
    let with = |expires: &str| {
        let rules = RuleSet { rules: vec![no_drop(0.02)], waivers: vec![waiver(expires)] };
        judged(&after, Some(&before), &rules)
    };
    let live = with("2026-06-01");
    assert_eq!((live.verdict, live.conclusion), (Verdict::Waived, Conclusion::Passed));
    assert_eq!(live.rules[0].checks[0].excuse.as_ref().unwrap().instead_of, Verdict::Regressed);
    let expired = with("2026-05-31");
    assert_eq!((expired.verdict, expired.conclusion), (Verdict::Regressed, Conclusion::Failed));
    assert!(expired.notes[0].contains("has expired and excuses nothing any more"), "{:?}", expired.notes);
    let rules = RuleSet { rules: vec![no_drop(0.02)], waivers: vec![waiver("2027-01-01")] };
    assert!(judged(&before, Some(&before), &rules).notes[0].contains("remove it if"));
}

#[test]
fn nothing_selected_and_no_samples_are_told() {
    let mut rule = no_drop(0.02);
    rule.select.model = Some(Pattern::new("resnet*"));
    let outcome = judged(&run(500, 0..10), Some(&old(500, 0..10)), &rules([rule.clone()]));
    assert_eq!(outcome.conclusion, Conclusion::NothingSelected);
    assert!(outcome.notes[0].contains("selects nothing"));
    rule.level = Level::Warn;
    assert_eq!(judged(&run(500, 0..10), None, &rules([rule])).conclusion, Conclusion::Passed);

    let flips = Rule { max: Some(0.5), ..Rule::unbounded(Metric::FlipRate) };
    let mut wrong = run(500, []);
    wrong.models[0].correct = SampleSet::default();
    let outcome = judged(&wrong, None, &rules([flips]));
    assert_eq!(outcome.conclusion, Conclusion::NothingSelected);
    assert!(outcome.rules[0].checks[0].empty);
    let empty = judged(&run(0, []), None, &rules([Rule { min: Some(0.1), ..Rule::unbounded(Metric::CleanAccuracy) }]));
    assert_eq!(empty.conclusion, Conclusion::NothingSelected);
}

#[test]
fn the_worst_case_is_the_union_and_grows_with_the_ball() {
    let mut snapshot = run(100, 0..10);
    let mut other = snapshot.cells[0].clone();
    other.cell.attack = "b".to_owned();
    other.flipped = (5..20).collect();
    let mut smaller = snapshot.cells[0].clone();
    smaller.cell.epsilon = Epsilon::new(4.0 / 255.0).unwrap();
    smaller.flipped = (90..92).collect();
    let mut noise = snapshot.cells[0].clone();
    noise.cell.kind = CellKind::ControlNoise;
    noise.flipped = (50..60).collect();
    snapshot.cells.extend([other, smaller, noise]);
    let points =
        |snapshot: &Snapshot| -> Vec<f64> { worst_cases(snapshot).iter().map(|(_, rate)| rate.point).collect() };
    assert_eq!(points(&snapshot), [0.98, 0.68]);
    // A flip counts whichever part of the run found it: the boundary search, and images made on another model.
    let near = with_distances(snapshot.clone(), |sample| match sample {
        70 => Distance::At(3.0 / 255.0),
        71 => Distance::At(8.0 / 255.0),
        72 => Distance::At(8.1 / 255.0),
        _ => Distance::Censored,
    });
    assert_eq!(points(&near), [0.97, 0.66]);
    let ball = (snapshot.cells[0].cell.norm, snapshot.cells[0].cell.epsilon);
    snapshot.models[0].fooled.insert(ball, (80..84).collect());
    assert_eq!(points(&snapshot), [0.98, 0.64]);
}

#[test]
fn no_rule_passes_cleanly_on_a_number_in_doubt() {
    let floor = || rules([Rule { min: Some(0.5), ..Rule::unbounded(Metric::RobustAccuracy) }]);
    let mut snapshot = run(100, 0..10);
    assert_eq!(judged(&snapshot, None, &floor()).verdict, Verdict::Pass);
    snapshot.cells[0].health = vec![HealthSign::ControlAsStrong, HealthSign::LostByRounding(2)];
    assert_eq!(judged(&snapshot, None, &floor()).verdict, Verdict::Pass);
    snapshot.cells[0].health = vec![HealthSign::ZeroGradient(90)];
    let outcome = judged(&snapshot, None, &floor());
    assert_eq!((outcome.verdict, outcome.conclusion), (Verdict::Suspicious, Conclusion::Passed));
    assert!(outcome.notes.iter().any(|note| note.contains("zero-gradient")), "{:?}", outcome.notes);
    let mut strict = floor();
    strict.rules[0].suspicious = Level::Error;
    assert_eq!(judged(&snapshot, None, &strict).conclusion, Conclusion::Failed);
}

#[test]
fn distances_are_compared_by_their_medians() {
    let at = |shift: f64| move |sample: usize| Distance::At(0.02 + 0.0001 * sample as f64 + shift);
    let (before, rule) = (with_distances(old(200, []), at(0.004)), Rule::unbounded(Metric::DistanceMedian));
    let drop = |max_drop: f64| Rule { max_drop: Some(max_drop), ..rule.clone() };
    let after = with_distances(run(200, []), at(0.0));
    let outcome = judged(&after, Some(&before), &rules([drop(0.001)]));
    assert_eq!(outcome.verdict, Verdict::Regressed);
    let change = outcome.rules[0].checks[0].change.as_ref().unwrap();
    assert!((change.estimate.point + 0.004).abs() < 1e-9 && change.p < 1e-6, "{change:?}");
    assert_eq!((change.broken, change.fixed), (200, 0));
    assert_eq!(judged(&after, Some(&before), &rules([drop(0.01)])).verdict, Verdict::Pass);
    assert_eq!(judged(&before, Some(&after), &rules([drop(0.001)])).verdict, Verdict::Improved);
    let censored = with_distances(run(200, []), |_| Distance::Censored);
    assert_eq!(judged(&censored, Some(&before), &rules([drop(0.001)])).verdict, Verdict::Improved);
    let mut search = before.clone();
    search.provenance.boundary["max_radius"] = json!(2.0);
    assert_eq!(judged(&after, Some(&search), &rules([drop(0.001)])).verdict, Verdict::Incomparable);
    let floor = Rule { min: Some(0.5), ..rule };
    assert_eq!(judged(&after, None, &rules([floor])).verdict, Verdict::Regressed);
}

#[test]
fn the_first_screen_gets_clean_and_worst_case_differences() {
    let outcome = judged(&run(500, 0..60), Some(&old(500, 0..50)), &RuleSet::default());
    let found: Vec<(bool, u64)> = outcome
        .differences
        .iter()
        .map(|difference| (difference.subject.norm.is_some(), difference.change.broken))
        .collect();
    assert_eq!(found, [(false, 0), (true, 10)]);
    assert_eq!((outcome.conclusion, outcome.is_silent()), (Conclusion::Passed, false));
}
