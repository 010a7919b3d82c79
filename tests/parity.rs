//! The networks are PyTorch's: the same weights give the same logits, activations and input gradients as torchvision's and
//! timm's networks (`tests/fixtures/models/make.py`, `make_cnn.py`).
#![cfg(feature = "torch")]

use am_eval::engine::Predictor;
use am_eval::model::{Compute, Model, ModelSource, Taps, Tokens};
use am_eval::objective::{PixelObjective, unit_means};
use am_eval::suite::{ModelConfig, Normalize};
use am_eval::terms::LayerName;
use drawn_weights::{Fixture, MEAN, STD, TOLERANCE, assert_close};
use tch::{Device, Kind, Tensor};

mod drawn_weights;

/// Every so many values of a gradient that is stored in part.
const STRIDE: i64 = 37;

const LAYOUTS: [(&str, bool); 2] = [("contiguous", false), ("channels-last", true)];

/// A network with the drawn weights, and the fixture's pixels `[N, 3, H, W]` in [0, 1].
fn opened(fixture: &Fixture, arch: &str) -> (ModelSource, Tensor) {
    let folder = tempfile::tempdir().unwrap();
    let normalize = Normalize { mean: MEAN.into(), std: STD.into() };
    let weights = fixture.write_weights(folder.path());
    let (count, side, images) = fixture.images();
    let source = ModelSource::open(&ModelConfig::of_file(arch, &weights, normalize), Some([side; 2])).unwrap();
    let pixels = Tensor::from_slice(&images).view([count, 3, side, side]).to_kind(Kind::Float) / 255.0;
    (source, pixels)
}

fn build(source: &ModelSource, channels_last: bool) -> Model {
    source.build(Compute { channels_last, ..Compute::f32(Device::Cpu) }).unwrap()
}

/// The gradient of each image, or of each the values at every [`STRIDE`]th place. Where an input of a ReLU lies within rounding of
/// zero, libtorch's own gradient depends on the number of its threads; so one image at least must be exact, and all of
/// them near.
fn assert_gradient(ours: &Tensor, (shape, values): &(Vec<i64>, Vec<f32>), label: &str) {
    let (images, each) = (ours.size()[0], ours.numel() as i64 / ours.size()[0]);
    let (ours, stride) = (ours.flatten(0, -1), if shape.len() > 1 { 1 } else { STRIDE });
    let (ours, theirs) = (ours.slice(0, 0, None, stride), Tensor::from_slice(values));
    assert_eq!(ours.size(), theirs.size(), "{label}");
    let errors = |image: i64| {
        let place = |image: i64| (image * each + stride - 1) / stride;
        let part = |all: &Tensor| all.slice(0, place(image), place(image + 1), 1);
        let scale = part(&theirs).abs().max().double_value(&[]);
        assert!(scale > 1e-9, "{label}: PyTorch's values for image {image} are all but zero");
        (part(&ours) - part(&theirs)).abs().max().double_value(&[]) / scale
    };
    let errors: Vec<f64> = (0..images).map(errors).collect();
    let (best, worst) =
        errors.iter().fold((f64::MAX, 0.0f64), |(best, worst), &error| (best.min(error), worst.max(error)));
    assert!(best <= TOLERANCE && worst <= 0.05, "{label}: relative errors of the images {errors:?}");
}

fn compare(name: &str, arch: &str) {
    let fixture = Fixture::read(name);
    let (source, pixels) = opened(&fixture, arch);
    for (layout, channels_last) in LAYOUTS {
        let model = build(&source, channels_last);
        let activations = fixture.floats("activation.");
        let layers: Vec<LayerName> = activations.keys().map(|layer| LayerName::from(layer.as_str())).collect();
        let predictor = Predictor::new(&model, layers, None).unwrap();
        let prediction = predictor.predict(&pixels);
        assert_close(&prediction.logits, &fixture.floats("logits")[""], &format!("{arch}, {layout}: logits"));
        for ((layer, theirs), activation) in activations.iter().zip(&prediction.activations) {
            assert_close(&unit_means(activation, Tokens::default()), theirs, &format!("{arch}, {layout}: {layer}"));
        }
        for (objective, theirs) in fixture.floats("gradient.") {
            let objective: PixelObjective = objective.parse().unwrap();
            let label = format!("{arch}, {layout}: gradient of {objective}");
            let predictor = Predictor::new(&model, Vec::new(), Some(objective)).unwrap();
            let gradient = predictor.predict(&pixels).gradient.unwrap();
            assert_gradient(&gradient, &theirs, &label);
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

/// Tests that compare a fixture with the architecture that it is named after.
macro_rules! fixtures {
    ($($test:ident: $arch:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            compare(&$arch.replace('/', "_"), $arch);
        })+
    };
}

fixtures! {
    cifar_resnet18: "cifar/resnet18",
    cifar_preact_resnet18: "cifar/preact_resnet18",
    cifar_wide_resnet: "cifar/wide_resnet-28-10",
    torchvision_resnext50: "torchvision/resnext50_32x4d",
    timm_resnet18: "timm/resnet18",
    torchvision_vgg11_bn: "torchvision/vgg11_bn",
    torchvision_vgg13: "torchvision/vgg13",
    torchvision_squeezenet1_0: "torchvision/squeezenet1_0",
    torchvision_squeezenet1_1: "torchvision/squeezenet1_1",
    torchvision_densenet121: "torchvision/densenet121",
    torchvision_mobilenet_v2: "torchvision/mobilenet_v2",
    torchvision_convnext_tiny: "torchvision/convnext_tiny",
}

/// Law 6.
#[test]
fn leaving_the_network_early_changes_no_activation() {
    let fixtures = [
        ("cifar/resnet20", "resnet20"),
        ("cifar/vit-c-tiny", "vit-c-tiny"),
        ("torchvision/squeezenet1_1", "torchvision_squeezenet1_1"),
    ];
    for (arch, name) in fixtures {
        let (source, pixels) = opened(&Fixture::read(name), arch);
        let pixels = pixels.narrow(0, 0, 1);
        for (layout, channels_last) in LAYOUTS {
            let model = build(&source, channels_last);
            // Who wants logits of attention gets another kernel, whose results differ by rounding.
            let mut infos = model.layers();
            infos.retain(|info| info.kind != "AttentionLogits");
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
