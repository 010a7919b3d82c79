//! Made-up runs for tests of the gate and of its outputs.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::record::testing::cell;
use crate::summary::SampleSet;
use crate::terms::{Norm, SampleId};

/// A run of the model `m` with `n` samples, all clean-correct, and the attack `a` at 8/255, which flips `flipped`.
pub(crate) fn run(n: u32, flipped: impl IntoIterator<Item = u32>) -> Snapshot {
    let all: SampleSet = (0..n).collect();
    let config = json!({ "goal": { "kind": "class-logit", "target": "untargeted" }, "norm": "linf", "steps": 40 });
    Snapshot {
        provenance: Provenance {
            run: "suite-new".to_owned(),
            suite: "suite".to_owned(),
            dataset: "synthetic".to_owned(),
            data_hash: format!("hash-of-{n}"),
            seed: 17,
            device: "CPU".to_owned(),
            versions: BTreeMap::from([("engine".to_owned(), "1".to_owned())]),
            data: json!({ "kind": "synthetic", "split": "test" }),
            attacks: BTreeMap::from([("a".to_owned(), config)]),
            boundary: json!({ "norm": "linf", "max_radius": 1.0 }),
            models: vec![ModelProvenance {
                name: "m".to_owned(),
                weights_hash: "new".to_owned(),
                ..ModelProvenance::default()
            }],
        },
        samples: (0..n).map(|sample| SampleId::from(sample.to_string())).collect(),
        models: vec![ModelSamples {
            model: "m".to_owned(),
            samples: all.clone(),
            correct: all.clone(),
            ..ModelSamples::default()
        }],
        cells: vec![CellSamples {
            cell: cell(8.0 / 255.0),
            samples: all,
            flipped: flipped.into_iter().collect(),
            health: Vec::new(),
        }],
        distances: Vec::new(),
    }
}

/// The same as the baseline: other weights, another name.
pub(crate) fn old(n: u32, flipped: impl IntoIterator<Item = u32>) -> Snapshot {
    let mut snapshot = run(n, flipped);
    snapshot.provenance.run = "suite-old".to_owned();
    snapshot.provenance.models[0].weights_hash = "old".to_owned();
    snapshot
}

/// The run with distances.
pub(crate) fn with_distances(mut snapshot: Snapshot, distance: impl Fn(usize) -> Distance) -> Snapshot {
    let values = (0..snapshot.samples.len()).map(distance).collect();
    let (model, method) = ("m".to_owned(), "path".to_owned());
    snapshot.distances.push(Distances { model, method, norm: Norm::Linf, searched: 1.0, values });
    snapshot
}

/// `worst_case_accuracy` must not drop by more than `margin`.
pub(crate) fn no_drop(margin: f64) -> Rule {
    Rule { max_drop: Some(margin), ..Rule::unbounded(Metric::WorstCaseAccuracy) }
}

pub(crate) fn rules(rules: impl IntoIterator<Item = Rule>) -> RuleSet {
    RuleSet { rules: rules.into_iter().collect(), waivers: Vec::new() }
}

pub(crate) fn options() -> Options {
    Options { allow_mismatch: false, today: "2026-06-01".parse().unwrap(), samples_hash: "hash".to_owned() }
}

pub(crate) fn judged(run: &Snapshot, baseline: Option<&Snapshot>, rules: &RuleSet) -> GateOutcome {
    judge(run, baseline, rules, &options())
}
