//! The gate on simulated runs: how often noise alone fails it, and how often it finds a drop of the size that it states.

use std::collections::BTreeMap;

use am_eval::gate::{
    CellSamples, Conclusion, ModelProvenance, ModelSamples, Options, Provenance, Snapshot, Verdict, judge,
};
use am_eval::record::{Cell, CellKind};
use am_eval::suite::Target;
use am_eval::suite::gate::{Metric, Rule, RuleSet};
use am_eval::summary::SampleSet;
use am_eval::terms::{Epsilon, Norm, SampleId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const PAIRS: usize = 1000;

/// Uniform in [0, 1).
fn uniform(dice: &mut ChaCha8Rng) -> f64 {
    (dice.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A run of `models`, each with one attack at each of `levels`; `flips` tells who flips.
fn run(
    n: u32,
    weights: &str,
    models: &[&str],
    levels: &[f64],
    mut flips: impl FnMut(&str, f64, u32) -> bool,
) -> Snapshot {
    let all: SampleSet = (0..n).collect();
    let mut cells = Vec::new();
    for model in models {
        for level in levels {
            let cell = Cell {
                model: (*model).to_owned(),
                dataset: "synthetic".to_owned(),
                attack: "logit".to_owned(),
                kind: CellKind::ClassLogit,
                target: Some(Target::Untargeted),
                layer: None,
                unit: None,
                norm: Norm::Linf,
                epsilon: Epsilon::new(level / 255.0).unwrap(),
            };
            let flipped = (0..n).filter(|sample| flips(model, *level, *sample)).collect();
            cells.push(CellSamples { cell, samples: all.clone(), flipped, health: Vec::new() });
        }
    }
    let provenance = Provenance {
        models: models
            .iter()
            .map(|name| ModelProvenance {
                name: (*name).to_owned(),
                weights_hash: weights.to_owned(),
                ..ModelProvenance::default()
            })
            .collect(),
        versions: BTreeMap::from([("engine".to_owned(), "1".to_owned())]),
        ..Provenance::default()
    };
    Snapshot {
        provenance,
        samples: (0..n).map(|sample| SampleId::from(sample.to_string())).collect(),
        models: models
            .iter()
            .map(|model| ModelSamples {
                model: (*model).to_owned(),
                samples: all.clone(),
                correct: all.clone(),
                ..ModelSamples::default()
            })
            .collect(),
        cells,
        distances: Vec::new(),
    }
}

fn options() -> Options {
    Options { allow_mismatch: false, today: "2026-01-01".parse().unwrap(), samples_hash: String::new() }
}

fn rules(metrics: &[Metric], margin: f64) -> RuleSet {
    let rules = metrics.iter().map(|metric| Rule { max_drop: Some(margin), ..Rule::unbounded(*metric) });
    RuleSet { rules: rules.collect(), waivers: Vec::new() }
}

/// Two runs of the same models, in which one sample in ten is decided by chance in each run: 5 % of the pairs differ.
#[test]
fn noise_alone_rarely_fails_the_gate() {
    let mut dice = ChaCha8Rng::seed_from_u64(17);
    let rules = rules(&[Metric::WorstCaseAccuracy, Metric::RobustAccuracy], 0.0);
    let mut false_alarms = 0;
    for _ in 0..PAIRS {
        let mut once = |weights: &str| {
            run(400, weights, &["cnn", "vit"], &[2.0, 4.0, 8.0], |_, level, sample| match sample % 10 {
                0 => uniform(&mut dice) < 0.5,
                rest => f64::from(rest) < level,
            })
        };
        let (before, after) = (once("old"), once("new"));
        let outcome = judge(&after, Some(&before), &rules, &options());
        assert_eq!(outcome.rules.iter().map(|rule| rule.checks.len()).sum::<usize>(), 12);
        false_alarms += usize::from(outcome.conclusion == Conclusion::Failed);
    }
    println!("{false_alarms} of {PAIRS} pairs of runs from the same models fail");
    assert!(false_alarms as f64 <= 0.05 * PAIRS as f64, "{false_alarms} false alarms");
}

/// With one test and no margin the exact test uses its level up best: the hardest case for the error rate.
#[test]
fn a_single_test_keeps_its_level_too() {
    let mut dice = ChaCha8Rng::seed_from_u64(18);
    let rules = rules(&[Metric::WorstCaseAccuracy], 0.0);
    let mut false_alarms = 0;
    for _ in 0..PAIRS {
        let mut once = |weights: &str| {
            run(2000, weights, &["cnn"], &[8.0], |_, _, sample| {
                if sample.is_multiple_of(10) { uniform(&mut dice) < 0.5 } else { sample.is_multiple_of(2) }
            })
        };
        let (before, after) = (once("old"), once("new"));
        false_alarms += usize::from(judge(&after, Some(&before), &rules, &options()).verdict == Verdict::Regressed);
    }
    println!("{false_alarms} of {PAIRS} single tests are false alarms");
    assert!(false_alarms as f64 <= 0.05 * PAIRS as f64, "{false_alarms} false alarms");
}

#[test]
fn a_drop_of_the_stated_size_is_found() {
    const DISCORDANT: f64 = 0.05;
    let mut dice = ChaCha8Rng::seed_from_u64(19);
    for (n, margin) in [(500, 0.0), (1000, 0.01), (3000, 0.02)] {
        let rules = rules(&[Metric::WorstCaseAccuracy], margin);
        let same = |weights: &str| run(n, weights, &["cnn"], &[8.0], |_, _, sample| sample.is_multiple_of(2));
        let stated = judge(&same("new"), Some(&same("old")), &rules, &options()).rules[0].detectable.unwrap();
        assert!(stated > margin && stated <= DISCORDANT, "{stated}");
        let (broken, fixed) = ((DISCORDANT + stated) / 2.0, (DISCORDANT - stated) / 2.0);
        let mut found = 0;
        for _ in 0..PAIRS {
            let fates: Vec<f64> = (0..n).map(|_| uniform(&mut dice)).collect();
            // Up to `broken` robust in the baseline alone, then `fixed` in the run alone; the rest is the same in both.
            let flips = |in_run: bool| {
                let fates = &fates;
                move |_: &str, _: f64, sample: u32| match fates[sample as usize] {
                    fate if fate < broken => in_run,
                    fate if fate < broken + fixed => !in_run,
                    _ => sample.is_multiple_of(2),
                }
            };
            let before = run(n, "old", &["cnn"], &[8.0], flips(false));
            let after = run(n, "new", &["cnn"], &[8.0], flips(true));
            found += usize::from(judge(&after, Some(&before), &rules, &options()).verdict == Verdict::Regressed);
        }
        println!("n = {n}, margin {margin}: {found} of {PAIRS} drops of {stated} are found");
        assert!(found as f64 >= 0.8 * PAIRS as f64, "n = {n}: {found} of {PAIRS} drops of {stated}");
    }
}
