//! The networks are PyTorch's: the same weights give the same logits, activations and input gradients as torchvision's
//! blocks and timm's `VisionTransformer` (`tests/fixtures/models/make.py`).
#![cfg(feature = "torch")]

use am_eval::engine::Predictor;
use am_eval::model::{Compute, Model, ModelSource, Taps};
use am_eval::objective::{PixelObjective, unit_means};
use am_eval::suite::{ModelConfig, Normalize};
use am_eval::terms::LayerName;
use drawn_weights::{Fixture, MEAN, STD};
use tch::{Device, Kind, Tensor};

mod drawn_weights;

/// Largest difference over the largest value that PyTorch gives.
const TOLERANCE: f64 = 1e-4;

/// Both memory layouts of a network with the drawn weights, and the fixture's pixels `[4, 3, 32, 32]` in [0, 1].
fn models(fixture: &Fixture, arch: &str) -> (Vec<(&'static str, Model)>, Tensor) {
    let folder = tempfile::tempdir().unwrap();
    let normalize = Normalize { mean: MEAN.into(), std: STD.into() };
    let weights = fixture.write_weights(folder.path());
    let source = ModelSource::open(&ModelConfig::of_file(arch, &weights, normalize), None).unwrap();
    let plain = Compute::f32(Device::Cpu);
    let build = |channels_last| source.build(Compute { channels_last, ..plain }).unwrap();
    let pixels = Tensor::from_slice(&fixture.images()).view([4, 3, 32, 32]).to_kind(Kind::Float) / 255.0;
    (vec![("contiguous", build(false)), ("channels-last", build(true))], pixels)
}

fn assert_close(ours: &Tensor, (shape, values): &(Vec<i64>, Vec<f32>), what: &str) {
    assert_eq!(&ours.size(), shape, "{what}");
    let theirs = Tensor::from_slice(values).view(shape.as_slice());
    let scale = theirs.abs().max().double_value(&[]);
    let error = (ours - &theirs).abs().max().double_value(&[]) / scale;
    assert!(scale > 1e-6, "{what}: PyTorch's values are all but zero");
    assert!(error <= TOLERANCE, "{what}: relative error {error:e}");
}

fn compare(name: &str, arch: &str) {
    let fixture = Fixture::read(name);
    let (models, pixels) = models(&fixture, arch);
    for (layout, model) in models {
        let logits = tch::no_grad(|| model.logits(&pixels));
        assert_close(&logits, &fixture.floats("logits")[""], &format!("{layout}: logits"));
        for (layer, theirs) in fixture.floats("activation.") {
            let activation = tch::no_grad(|| model.tap(&pixels, &LayerName::from(layer.as_str()))).unwrap();
            assert_close(&unit_means(&activation, 0), &theirs, &format!("{layout}: {layer}"));
        }
        for (objective, theirs) in fixture.floats("gradient.") {
            let objective: PixelObjective = objective.parse().unwrap();
            let what = format!("{layout}: gradient of {objective}");
            let predictor = Predictor::new(&model, Vec::new(), Some(objective)).unwrap();
            let gradient = predictor.predict(&pixels).gradient.unwrap();
            assert_close(&gradient, &theirs, &what);
        }
    }
}

#[test]
fn the_residual_network_is_pytorchs() {
    compare("resnet20", "cifar/resnet20");
}

#[test]
fn the_vision_transformer_is_timms() {
    compare("vit", "cifar/vit");
}

#[test]
fn the_convolutional_stem_is_pytorchs() {
    compare("vit-c-tiny", "cifar/vit-c-tiny");
}

#[test]
fn leaving_the_network_early_changes_no_activation() {
    for (name, arch) in [("resnet20", "cifar/resnet20"), ("vit-c-tiny", "cifar/vit-c-tiny")] {
        let (models, pixels) = models(&Fixture::read(name), arch);
        for (layout, model) in models {
            let infos = model.layers();
            let layers: Vec<LayerName> = infos.iter().map(|info| info.name.clone()).collect();
            let mut taps = Taps::new(&layers);
            assert!(tch::no_grad(|| model.forward(&pixels, &mut taps)).is_continue());
            for (info, full) in infos.iter().zip(taps.into_activations()) {
                let truncated = tch::no_grad(|| model.tap(&pixels, &info.name)).unwrap();
                assert!(truncated.equal(&full.unwrap()), "{arch}, {layout}: {}", info.name);
                assert_eq!(truncated.size()[1..], info.shape, "{arch}: {}", info.name);
            }
        }
    }
}
