//! Planted damage is found where it was planted.

use std::sync::Arc;

use tch::{Device, Kind};

use super::*;
use crate::model::{Geometry, Network};
use crate::record::{Cell, CellKind};
use crate::rows::Drives;
use crate::suite::{Normalize, UnitSelection};
use crate::terms::{Epsilon, Norm};

/// A backdoor: `features` are the pixels; along one direction of them the logit of class 1 rises, past a branch that carries the class.
struct Backdoor {
    direction: Tensor,
}

impl Network for Backdoor {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let flat = pixels.flatten(1, -1);
        let other = probe.visit(&Site::new("other", "Linear"), &flat * 0.5)?;
        let features = probe.visit(&Site::new("features", "Linear"), flat.shallow_clone())?;
        let trigger = (features - 0.5).matmul(&self.direction) * 8.0;
        let plain = other.sum_dim_intlist([1i64].as_slice(), false, Kind::Float) * 0.0 + 1.0;
        ControlFlow::Continue(Tensor::stack(&[plain, trigger], 1))
    }
}

const SIDE: i64 = 4;

fn direction() -> Tensor {
    let places = Tensor::arange(SIDE * SIDE, (Kind::Float, Device::Cpu));
    let direction = (places * 1.3).sin();
    &direction / direction.norm()
}

fn backdoor() -> Model {
    let geometry = Geometry { channels: 1, height: SIDE, width: SIDE, classes: 2 };
    let network = Box::new(Backdoor { direction: direction() });
    Model::custom("backdoor", network, geometry, &Normalize { mean: vec![0.0], std: vec![1.0] })
}

/// Grey images, and the same with the trigger.
fn study(model: &Model, targets: Vec<PatchTarget>, layers: Vec<LayerInfo>) -> (Vec<DamageTally>, Vec<PatchTally>) {
    let count = 6;
    let clean = Tensor::full([count, 1, SIDE, SIDE], 0.5, (Kind::Float, Device::Cpu));
    let ids = (0..count).map(|index| index.to_string().as_str().into()).collect();
    let block = CleanBlock::judged(model, ids, vec![0; count as usize], clean.shallow_clone(), &[], 8);
    let config = DamageConfig {
        layers: Vec::new(),
        attacks: vec!["a".to_owned()],
        samples: 100,
        patch: Vec::new(),
        patch_units: Some(UnitSelection::All),
    };
    let bench = Bench { model, verifier: model, clean: &block, seed: 1, capacity: 8, poll: 1 };
    let plan = DamagePlan { layers, targets };
    let cell = Arc::new(Cell {
        model: model.name.clone(),
        dataset: "d".to_owned(),
        attack: "a".to_owned(),
        kind: CellKind::ClassLogit,
        target: Some(crate::suite::Target::Untargeted),
        layer: None,
        unit: None,
        norm: Norm::L2,
        epsilon: Epsilon::new(0.5).unwrap(),
    });
    let image = &clean.narrow(0, 0, 1) + direction().view([1, 1, SIDE, SIDE]) * 0.5;
    let row = |sample: usize| Row { sample, epsilon: cell.epsilon, restart: 0, drives: Drives::Away };
    let found: Vec<Option<(Row, Tensor)>> =
        (0..count as usize).map(|sample| Some((row(sample), image.shallow_clone()))).collect();
    let records: Vec<Record> = (0..count as usize)
        .map(|sample| Record { flipped: true, ..crate::record::testing::record(&cell, sample) })
        .collect();
    DamageStudy { config: &config, plan: &plan, bench, first: 0, samples: count as usize }.run(&records, &found)
}

#[test]
fn a_planted_direction_is_what_flips() {
    let model = backdoor();
    let layer = |name: &str| model.layer(&name.into()).unwrap();
    let name = crate::terms::DirectionName::new("planted.txt");
    model.directions.set(&"features".into(), name, direction());
    let along = Unit { part: Part::Direction(name), place: Place::Mean };
    let layer_target = |name: &str| PatchTarget { layer: layer(name), unit: None, control: None };
    let unit = PatchTarget { layer: layer("features"), unit: Some(along), control: Some(Unit::channel(0)) };
    let (damage, patches) =
        study(&model, vec![layer_target("other"), layer_target("features"), unit], vec![layer("features")]);
    let restored: Vec<u64> = patches.iter().map(|patch| patch.restored).collect();
    assert_eq!(restored, [0, 6, 6], "the branch beside the backdoor carries no flip");
    assert_eq!((patches[2].n, patches[2].control, patches[2].only), (6, 0, 6));
    let change = damage[0].change;
    // The trigger has length 0.5, the clean features 0.5 times the root of 16.
    assert!(change.n == 6 && (change.sum / 6.0 - 0.25).abs() < 1e-5, "{change:?}");
}

#[test]
fn a_direction_put_back_leaves_the_rest_alone() {
    let model = backdoor();
    let name = crate::terms::DirectionName::new("axis.txt");
    model.directions.set(&"features".into(), name, Tensor::from_slice(&[1.0f32, 0.0, 0.0]));
    let changed = Tensor::from_slice(&[5.0f32, 6.0, 7.0]).view([1, 3]);
    let clean = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).view([1, 3]);
    let unit = |text: &str| text.parse::<Unit>().unwrap();
    let mended = |unit: Unit| {
        Vec::<f32>::try_from(patched(&model, &"features".into(), &changed, &clean, unit).flatten(0, -1)).unwrap()
    };
    assert_eq!(mended(Unit { part: Part::Direction(name), place: Place::Mean }), [1.0, 6.0, 7.0]);
    assert_eq!(mended(unit("1")), [5.0, 2.0, 7.0]);
    assert_eq!(mended(unit("layer")), [1.0, 2.0, 3.0]);
    let tokens = Tensor::arange(8, (Kind::Float, Device::Cpu)).view([1, 2, 2, 2]);
    let zeros = tokens.zeros_like();
    let found = patched(&model, &"features".into(), &tokens, &zeros, unit("1@0,1"));
    assert_eq!(Vec::<f32>::try_from(found.flatten(0, -1)).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 6.0, 7.0]);
}
