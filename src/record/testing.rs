//! Records for tests.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Block, Cell, CellKind, CheckKind, DistanceRecord, Evidence, Example, Record, Status, Thumbnail, TransferRecord,
};
pub(crate) use shared::{cell, flipped, misclassified, record};

use crate::terms::Norm;

/// The records that the tests of the binary use too.
#[path = "../../tests/support/records.rs"]
mod shared;

/// A unit cell, or one of its controls, beside the attack `u`.
pub(crate) fn unit_cell(kind: CellKind, unit: &str, epsilon: f64) -> Cell {
    Cell {
        attack: "u".to_owned(),
        kind,
        target: None,
        layer: Some("layer1".into()),
        unit: Some(unit.parse().unwrap()),
        ..cell(epsilon)
    }
}

/// A distance; none is a censored one.
pub(crate) fn distance(sample: usize, distance: Option<f64>) -> DistanceRecord {
    DistanceRecord {
        model: "m".into(),
        sample_id: sample.to_string().into(),
        label: 1,
        clean_pred: 1,
        norm: Norm::Linf,
        method: "path".into(),
        distance: distance.unwrap_or(f64::INFINITY),
        bracket: 1e-6,
        searched: 1.0,
        censored: distance.is_none(),
        linearized: 0.01,
        adv_pred: 2,
        forwards: 36,
        backwards: 20,
        status: if distance.is_none() { Status::Censored } else { Status::Ok },
    }
}

/// A finite or infinite number.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![any::<f32>(), Just(f32::INFINITY), Just(0.0), -10.0f32..10.0].prop_filter("NaN", |x| !x.is_nan())
}

/// Any record of one of four cells.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let cells = [
        Arc::new(cell(0.1)),
        Arc::new(cell(8.0 / 255.0)),
        Arc::new(unit_cell(CellKind::Unit, "17@3,5", 0.1)),
        Arc::new(unit_cell(CellKind::ControlNoise, "draw:0", 0.1)),
    ];
    let head = (0usize..4, "[a-z0-9/,\"\n é.]{0,12}", any::<u32>(), 0u32..3, any::<Option<u32>>(), any::<[u32; 4]>());
    let outcome = (any::<bool>(), any::<bool>(), any::<Option<bool>>(), [(); 7].map(|()| number()));
    let units = proptest::option::of([(); 3].map(|()| number()));
    let status = proptest::sample::select(vec![Status::Ok, Status::DeadUnit, Status::NonFinite]);
    (head, outcome, units, status).prop_map(move |(head, outcome, units, status)| {
        let (at, sample, label, clean_pred, target, [steps, forwards, backwards, adv_pred]) = head;
        let (flipped, flipped_u8, target_hit, [margin_clean, margin_adv, clean, adv, linf, l2, l1]) = outcome;
        Record {
            cell: cells[at].clone(),
            sample_id: sample.into(),
            label,
            clean_pred,
            target,
            part: None,
            nearest_flip: None,
            steps,
            forwards,
            backwards,
            adv_pred,
            flipped,
            flipped_u8,
            target_hit,
            margin_clean,
            margin_adv,
            confidence_clean: clean,
            confidence_adv: adv,
            activation_clean: units.map(|[clean, _, _]| clean),
            activation_adv: units.map(|[_, adv, _]| adv),
            activation_gain_z: units.map(|[_, _, z]| z),
            linf,
            l2,
            l1,
            l0: steps,
            status,
        }
    })
}

/// What a victim says of a sample's image, which flips its source.
pub(crate) fn transfer(cell: &Arc<Cell>, victim: &str, sample: usize, fooled: bool) -> TransferRecord {
    TransferRecord {
        cell: cell.clone(),
        victim: victim.into(),
        sample_id: sample.to_string().into(),
        flipped: true,
        victim_pred: if fooled { 2 } else { 1 },
        fooled,
        fooled_by_noise: false,
        forwards: 2,
    }
}

/// Any transfer of one of two cells.
pub(crate) fn any_transfer() -> impl Strategy<Value = TransferRecord> {
    let cells = [0.1, 0.2].map(|epsilon| Arc::new(cell(epsilon)));
    let names = (0usize..2, "[a-z,\"\n é-]{1,8}", "[a-z0-9/,\"\n é.]{0,12}");
    (names, any::<[bool; 3]>(), any::<[u32; 2]>()).prop_map(move |((at, victim, sample), truths, numbers)| {
        let [flipped, fooled, fooled_by_noise] = truths;
        let [victim_pred, forwards] = numbers;
        TransferRecord {
            cell: cells[at].clone(),
            victim: victim.into(),
            sample_id: sample.into(),
            flipped,
            victim_pred,
            fooled,
            fooled_by_noise,
            forwards,
        }
    })
}

/// [`block`] with transfers: of a cell that its records have, and of one that they lack.
pub(crate) fn block_with_transfers(key: &str) -> Block {
    let (known, other) = (Arc::new(cell(0.1)), Arc::new(cell(0.2)));
    let transfers = vec![transfer(&known, "v", 1, true), transfer(&other, "w", 1, false)];
    let evidence = vec![Evidence {
        model: "m".to_owned(),
        check: CheckKind::SelfTest,
        attack: String::new(),
        norm: Norm::Linf,
        epsilon: crate::terms::Epsilon::new(0.1).unwrap(),
        n: 8,
        found: 7,
    }];
    Block { transfers, evidence, ..block(key) }
}

/// A block with a record of each kind, distances and an example.
pub(crate) fn block(key: &str) -> Block {
    let (one, two) = (Arc::new(cell(0.1)), Arc::new(unit_cell(CellKind::Unit, "3", 0.1)));
    let unit = Record { activation_gain_z: Some(2.5), ..flipped(record(&two, 1)) };
    Block {
        key: key.to_owned(),
        records: vec![record(&one, 0), flipped(record(&one, 1)), misclassified(record(&one, 2)), unit],
        distances: vec![distance(0, None), distance(1, Some(0.0125))],
        examples: vec![Example {
            cell: cell(0.1),
            sample_id: "1".into(),
            label: 1,
            clean_pred: 1,
            adv_pred: 2,
            confidence_clean: 0.9,
            confidence_adv: 0.6,
            linf: 0.03,
            l2: 0.5,
            length: None,
            clean: vec![137, 80, 78, 71, 0, 10],
            perturbation: vec![1],
            gain: 8.0,
            adversarial: vec![],
        }],
        thumbnails: ["1", "2"]
            .map(|id| Thumbnail { sample_id: id.into(), png: vec![137, 80, 10, id.len() as u8] })
            .into(),
        transfers: Vec::new(),
        seconds: 1.25,
        unconfirmed_hits: 1,
        damage: Vec::new(),
        patches: Vec::new(),
        evidence: Vec::new(),
    }
}
