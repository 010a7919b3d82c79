//! Runs with made-up numbers for the tests of reports.

use std::collections::BTreeMap;

use crate::record::{Cell, CellKind, Example, Manifest, ManifestFormat, ModelEntry, RunStatus};
use crate::stats::Estimate;
use crate::suite::{Suite, Target};
use crate::summary::{
    CellSummary, DistanceSummary, HealthSign, ModelSummary, RunSummary, SurvivalPoint, TransferSummary,
};
use crate::terms::{Epsilon, Norm};

/// A share of `n` with an interval of normal approximation: the reports only print it.
pub fn share(point: f64, n: u64) -> Estimate {
    let half = 1.96 * (point * (1.0 - point) / n as f64).sqrt() + 0.5 / n as f64;
    Estimate { point, lo: (point - half).max(0.0), hi: (point + half).min(1.0) }
}

pub fn cell(model: &str, attack: &str, kind: CellKind, unit: Option<&str>, levels: f64, robust: f64) -> CellSummary {
    let n = 500;
    let clean = 0.92;
    let flip = ((clean - robust) / clean).max(0.0);
    let logit = kind == CellKind::ClassLogit;
    CellSummary {
        cell: Cell {
            model: model.to_owned(),
            dataset: "cifar10".to_owned(),
            attack: attack.to_owned(),
            kind,
            target: logit.then_some(Target::LeastLikely),
            layer: (!logit).then(|| attack.trim_end_matches("-units").into()),
            unit: unit.map(|unit| unit.parse().unwrap()),
            norm: Norm::Linf,
            epsilon: Epsilon::new(levels / 255.0).unwrap(),
        },
        n,
        n_clean_correct: (clean * n as f64) as u64,
        clean_accuracy: share(clean, n),
        robust_accuracy: share(robust, n),
        flip_rate: Some(share(flip, 460)),
        flip_rate_all: share(clean - robust, n),
        flip_rate_u8: Some(share(flip * 0.99, 460)),
        target_rate: logit.then(|| share(flip * 0.6, 460)),
        distance_median: None,
        gain_z_mean: (!logit).then_some(3.25),
        forwards: 20_000,
        backwards: 19_000,
        seconds: 4.5,
        health: Vec::new(),
    }
}

/// Three models, two class-logit attacks, unit attacks on four layers with controls, distances.
pub fn realistic(models: &[&str]) -> RunSummary {
    let mut summary = RunSummary::default();
    for (index, model) in models.iter().enumerate() {
        let strength = [1.0, 0.18, 0.75, 0.6, 0.5][index % 5];
        let clean = [0.921, 0.794, 0.862, 0.9, 0.7][index % 5];
        let robust = |levels: f64, power: f64| clean * (-strength * power * levels / 2.2).exp();
        for (attack, power) in [("logit-least-likely", 0.7), ("margin-untargeted", 1.0)] {
            for levels in [1.0, 2.0, 4.0, 8.0] {
                summary.cells.push(cell(model, attack, CellKind::ClassLogit, None, levels, robust(levels, power)));
            }
        }
        for (layer, depth) in ["layer1.2.conv2", "layer2.2.conv2", "layer3.1.conv1", "layer3.2.conv2"].iter().zip(1..) {
            let attack = format!("{layer}-units");
            for unit in 0..14u32 {
                let wave = f64::from((unit * 7 + depth * 5 + index as u32 * 3) % 14) / 14.0;
                let flips = strength * (0.05 + 0.17 * f64::from(depth) * wave * wave);
                let name = (unit * 5 + depth).to_string();
                let kind = CellKind::Unit;
                summary.cells.push(cell(model, &attack, kind, Some(&name), 8.0, 0.92 * (1.0 - flips)));
            }
            for draw in 0..5 {
                let unit = format!("draw:{draw}");
                let noise = CellKind::ControlNoise;
                summary.cells.push(cell(model, &attack, noise, Some(&unit), 8.0, 0.92 * (1.0 - 0.012 * strength)));
            }
            let other = CellKind::ControlRandomUnit;
            summary.cells.push(cell(model, &attack, other, Some("61"), 8.0, 0.92 * (1.0 - 0.11 * strength)));
        }
        let worst = [1.0, 2.0, 4.0, 8.0]
            .map(|levels: f64| (Norm::Linf, Epsilon::new(levels / 255.0).unwrap(), share(robust(levels, 1.08), 500)));
        let worst_case = worst.to_vec();
        let clean_accuracy = share(clean, 500);
        summary.models.push(ModelSummary {
            model: (*model).to_owned(),
            n: 500,
            clean_accuracy,
            worst_case,
            all_norms: None,
            health: vec![],
        });
        summary.distances.push(distances(model, clean, 0.12 / strength));
    }
    summary.cells[0].health.push(HealthSign::ZeroGradient(3));
    summary.cells[9].health.push(HealthSign::LostByRounding(2));
    summary
}

/// The same with the images of the attack `margin-untargeted` shown to the other models.
pub fn with_transfers(mut summary: RunSummary) -> RunSummary {
    let models: Vec<String> = summary.models.iter().map(|model| model.model.clone()).collect();
    let sources: Vec<Cell> = summary.cells.iter().map(|cell| cell.cell.clone()).collect();
    for source in sources.into_iter().filter(|cell| cell.attack == "margin-untargeted") {
        for (place, victim) in models.iter().enumerate().filter(|(_, victim)| **victim != source.model) {
            let rate = (source.epsilon.value() * 255.0 * (0.02 + 0.03 * place as f64)).min(0.7);
            summary.transfers.push(TransferSummary {
                cell: source.clone(),
                victim: victim.clone(),
                n_both_correct: 410,
                n: 320,
                fooled: (rate * 320.0) as u64,
                fooled_all: (rate * 330.0) as u64,
                transfer_rate: Some(share(rate, 320)),
                noise_rate: Some(share(0.0125, 320)),
                transfer_rate_all: Some(share(rate * 330.0 / 410.0, 410)),
                noise_rate_all: Some(share(0.01, 410)),
                forwards: 820,
            });
        }
    }
    summary
}

fn distances(model: &str, clean: f64, typical: f64) -> DistanceSummary {
    let mut curve = vec![SurvivalPoint { distance: 0.0, survival: share(clean, 500), at_risk: 500 }];
    for step in 1..400 {
        let distance = f64::from(step) * 0.0025;
        let survival = clean * (-(distance / typical).powf(1.5)).exp();
        curve.push(SurvivalPoint { distance, survival: share(survival, 500), at_risk: 500 - step as u64 });
    }
    let censored = (curve.last().unwrap().survival.point * 500.0) as u64;
    let middle = typical * (2.0 * clean).ln().powf(1.0 / 1.5);
    let median = Estimate { point: middle, lo: middle * 0.93, hi: middle * 1.08 };
    let (method, norm) = ("path".to_owned(), Norm::L2);
    DistanceSummary {
        model: model.to_owned(),
        method,
        norm,
        n: 500,
        censored,
        median: Some(median),
        optimality: None,
        curve,
    }
}

/// A suite with one attack, which ends as `stop` says.
pub fn suite(name: &str, stop: &str) -> Suite {
    let text = format!(
        "schema = 1\nname = \"s\"\nseed = 17\n[data]\nkind = \"synthetic\"\n[[model]]\nname = \"resnet20\"\n\
         arch = \"cifar/resnet20\"\nweights = \"w\"\nnormalize = {{ mean = [0.5], std = [0.5] }}\n[[attack]]\n\
         name = \"margin-untargeted\"\nkind = \"class-logit\"\ntarget = \"untargeted\"\nnorm = \"linf\"\n\
         epsilons = [0.1]\nsteps = 10\nstop = \"{stop}\"\n"
    );
    let parsed = Suite::parse("suite.toml", text).map_err(|errors| format!("{errors:#}")).unwrap();
    Suite { name: name.to_owned(), ..parsed }
}

pub fn manifest(suite: &str, models: &[&str]) -> Manifest {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Manifest {
        format: ManifestFormat::new(1),
        run: format!("{suite}-0123456789ab"),
        status: RunStatus::Complete,
        suite_name: suite.to_owned(),
        suite_source: format!("schema = 1\nname = \"{suite}\"\nseed = 17\n"),
        suite: self::suite(suite, "flip"),
        dataset: "cifar10".to_owned(),
        classes: words(&["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]),
        samples: 500,
        skipped: Vec::new(),
        data_hash: "d".repeat(64),
        models: models
            .iter()
            .map(|name| ModelEntry {
                name: (*name).to_owned(),
                arch: "cifar/resnet20".to_owned(),
                weights: "../models/resnet20.safetensors".to_owned(),
                weights_hash: "a".repeat(64),
                parameters: 272_474,
                search: "f32, channels-last".to_owned(),
                trial: None,
            })
            .collect(),
        seed: 17,
        device: "CPU, 2 threads".to_owned(),
        repeats: true,
        versions: BTreeMap::from([("am-eval".to_owned(), "0.1.0".to_owned())]),
        command: words(&["am-eval", "run", "suites/cifar10.toml"]),
        blocks_total: 12,
        blocks_done: 12,
        seconds: 192.4,
        origin: None,
        unconfirmed_hits: 4,
        evidence: vec![],
        outputs: BTreeMap::from([("samples.csv".to_owned(), "b".repeat(64))]),
        blocks: BTreeMap::new(),
    }
}

/// An example whose pictures are `side` pixels wide.
pub fn example(model: &str, attack: &str, sample: u32, side: u32) -> Example {
    let png = |value: &dyn Fn(u32, u32, u32) -> u8| {
        let image = image::RgbImage::from_fn(side, side, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))));
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let noise = |x: u32, y: u32, c: u32| (x * 31 + y * 57 + c * 11 + sample * 3).wrapping_mul(2_654_435_761) >> 24;
    let scene = |x: u32, y: u32, c: u32| ((x * (5 + c) + y * (9 - c) + sample * 40) * 32 / side % 256) as u8;
    Example {
        cell: cell(model, attack, CellKind::ClassLogit, None, 8.0, 0.1).cell,
        sample_id: format!("val/cat/{sample:04}.png").into(),
        label: 3,
        clean_pred: 3,
        adv_pred: if sample % 10 == 3 { 5 } else { sample % 10 },
        confidence_clean: 0.981,
        confidence_adv: 0.774,
        linf: 8.0 / 255.0,
        l2: 1.52,
        length: None,
        clean: png(&scene),
        perturbation: png(&|x, y, c| if noise(x, y, c) > 127 { 200 } else { 55 }),
        gain: 16.0,
        adversarial: png(&|x, y, c| scene(x, y, c).saturating_add((noise(x, y, c) / 16) as u8)),
    }
}
