//! Records for tests, inside the library and outside.
#![allow(dead_code, reason = "each test uses a part of this")]

use std::sync::Arc;

use am_eval::record::{Cell, CellKind, Record, Status};
use am_eval::suite::Target;
use am_eval::terms::{Epsilon, Norm};

/// A class-logit cell of the model `m` with attack `a` in an l-inf ball.
pub fn cell(epsilon: f64) -> Cell {
    Cell {
        model: "m".to_owned(),
        dataset: "synthetic".to_owned(),
        attack: "a".to_owned(),
        kind: CellKind::ClassLogit,
        target: Some(Target::Untargeted),
        layer: None,
        unit: None,
        norm: Norm::Linf,
        epsilon: Epsilon::new(epsilon).unwrap(),
    }
}

/// A record of the sample `sample`, of class 1, clean-correct and not flipped.
pub fn record(cell: &Arc<Cell>, sample: usize) -> Record {
    Record {
        cell: cell.clone(),
        sample_id: sample.to_string().into(),
        label: 1,
        clean_pred: 1,
        target: None,
        part: None,
        nearest_flip: None,
        steps: 10,
        forwards: 11,
        backwards: 10,
        adv_pred: 1,
        flipped: false,
        flipped_u8: false,
        target_hit: None,
        margin_clean: 1.5,
        margin_adv: 0.25,
        confidence_clean: 0.9,
        confidence_adv: 0.6,
        activation_clean: None,
        activation_adv: None,
        activation_gain_z: None,
        linf: 0.03,
        l2: 0.5,
        l1: 12.0,
        l0: 3072,
        status: Status::Ok,
    }
}

/// The record after a flip.
pub fn flipped(mut record: Record) -> Record {
    record.adv_pred = record.clean_pred + 1;
    record.flipped = true;
    record.flipped_u8 = true;
    record
}

/// The record of a sample that is misclassified and so not attacked.
pub fn misclassified(mut record: Record) -> Record {
    record.clean_pred = record.label + 1;
    record.adv_pred = record.clean_pred;
    record.status = Status::SkippedMisclassified;
    record
}
