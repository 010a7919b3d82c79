//! Vision Transformers and Swin are torchvision's, timm's and Hugging Face's: the same weights give the same logits, activations
//! and input gradients, also for images of another size than the weights', and every published form has the same tensors
//! (`tests/fixtures/models/make_vit.py`).
#![cfg(feature = "torch")]

use std::collections::BTreeMap;
use std::path::Path;

use am_eval::engine::Predictor;
use am_eval::model::vit::{self, Activation, Framework, Prefix};
use am_eval::model::{Architecture, Compute, Family, Geometry, Model, ModelSource, Taps, swin};
use am_eval::objective::{PixelObjective, unit_means};
use am_eval::suite::{ModelConfig, Normalize};
use am_eval::terms::LayerName;
use drawn_weights::{Fixture, assert_close};
use tch::{Device, Tensor};

mod drawn_weights;

/// Every so many values of a gradient are stored.
const STRIDE: i64 = 37;

const SMALL: vit::Config = vit::Config::new(Framework::Timm, 4, 32, 2, 2);

const fn small(family: &'static dyn Family) -> Architecture {
    let (stem, classifier) = ("patch_embed.proj.weight", "head.weight");
    let geometry = Geometry::rgb(24, 7);
    Architecture { name: "small", about: "", geometry, stem, classifier, channels_last: false, family }
}

static TIMM: Architecture = small(&SMALL);
static TORCHVISION: Architecture = Architecture {
    stem: "conv_proj.weight",
    classifier: "heads.head.weight",
    ..small(&vit::Config { framework: Framework::Torchvision, ..SMALL })
};
static DISTILLED: Architecture = small(&vit::Config { prefix: Prefix::ClassAndDistillation, ..SMALL });
static CLIP: Architecture =
    small(&vit::Config { pre_norm: true, epsilon: 1e-5, activation: Activation::QuickGelu, ..SMALL });
static REGISTERS: Architecture =
    small(&vit::Config { prefix: Prefix::ClassAndRegisters(4), prefix_positions: false, layer_scale: true, ..SMALL });
static SWIN: Architecture = Architecture {
    stem: "features.0.0.weight",
    ..small(&swin::Config { patch: 4, width: 16, depths: &[2, 2], heads: &[2, 4], window: 4 })
};

/// The network with the drawn weights for the fixture's images `[N, C, H, W]` in [0, 1].
fn opened(fixture: &Fixture, architecture: &'static Architecture) -> (Model, Tensor) {
    let folder = tempfile::tempdir().unwrap();
    let (shape, values) = fixture.drawn_images();
    let channels = shape[1] as usize;
    let normalize = Normalize { mean: vec![0.5; channels], std: vec![0.25; channels] };
    let config = ModelConfig::of_file(architecture.name, &fixture.write_weights(folder.path()), normalize);
    let source = ModelSource::open_as(architecture, &config, Some([shape[2], shape[3]])).unwrap();
    let pixels = Tensor::from_slice(&values).view(shape.as_slice()) / 255.0;
    (source.build(Compute::f32(Device::Cpu)).unwrap(), pixels)
}

fn compare(name: &str, architecture: &'static Architecture) {
    let fixture = Fixture::read(name);
    let (model, pixels) = opened(&fixture, architecture);
    let activations = fixture.floats("activation.");
    let layers = activations.keys().map(|layer| LayerName::from(layer.as_str())).collect();
    let prediction = Predictor::new(&model, layers, None).unwrap().predict(&pixels);
    assert_close(&prediction.logits, &fixture.floats("logits")[""], &format!("{name}: logits"));
    for ((layer, theirs), activation) in activations.iter().zip(&prediction.activations) {
        assert_close(&unit_means(activation, model.tokens()), theirs, &format!("{name}: {layer}"));
    }
    for (objective, theirs) in fixture.floats("gradient.") {
        let label = format!("{name}: gradient of {objective}");
        let objective: PixelObjective = objective.parse().unwrap();
        let gradient = Predictor::new(&model, Vec::new(), Some(objective)).unwrap().predict(&pixels).gradient.unwrap();
        assert_close(&gradient.flatten(0, -1).slice(0, 0, None, STRIDE), &theirs, &label);
    }
}

#[test]
fn torchvisions_vit() {
    for name in ["vit-torchvision", "vit-torchvision-32x32", "vit-torchvision-16x16"] {
        compare(name, &TORCHVISION);
    }
}

#[test]
fn timms_vit() {
    for name in ["vit-timm", "vit-timm-32x20", "vit-timm-16x16", "vit-gray"] {
        compare(name, &TIMM);
    }
}

#[test]
fn timms_distilled_deit() {
    compare("vit-distilled", &DISTILLED);
    compare("vit-distilled-32x32", &DISTILLED);
}

#[test]
fn timms_clip() {
    compare("vit-clip", &CLIP);
}

#[test]
fn timms_dinov2_with_registers() {
    compare("vit-registers", &REGISTERS);
    compare("vit-registers-32x20", &REGISTERS);
}

#[test]
fn a_published_vit_at_its_own_size() {
    compare("vit-tiny-224", Architecture::find("timm/vit_tiny_patch16_224").unwrap());
}

#[test]
fn hugging_faces_vit_and_deit() {
    compare("vit-hugging-face", &TIMM);
    compare("deit-hugging-face", &DISTILLED);
}

/// The larger image needs padding and an odd merging; the other has a stage of one window, which is not shifted.
#[test]
fn torchvisions_swin() {
    compare("swin-44x36", &SWIN);
    compare("swin-32x32", &SWIN);
}

/// Law 6: Logits of attention are looked at apart: who wants them gets another kernel, whose results differ by rounding.
#[test]
fn leaving_the_network_early_changes_no_activation() {
    for (name, architecture) in
        [("vit-registers", &REGISTERS), ("vit-torchvision", &TORCHVISION), ("swin-44x36", &SWIN)]
    {
        let (model, pixels) = opened(&Fixture::read(name), architecture);
        let (logits, others): (Vec<_>, Vec<_>) =
            model.layers().into_iter().partition(|info| info.kind == "AttentionLogits");
        assert!(logits.len() > 1 && others.len() > 20);
        for infos in [others, logits[..1].to_vec(), logits[1..2].to_vec()] {
            let layers: Vec<LayerName> = infos.iter().map(|info| info.name.clone()).collect();
            let mut taps = Taps::new(&layers);
            assert!(tch::no_grad(|| model.forward(&pixels, &mut taps)).is_continue());
            for (info, full) in infos.iter().zip(taps.into_activations()) {
                let truncated = tch::no_grad(|| model.tap(&pixels, &info.name)).unwrap();
                assert!(truncated.equal(&full.unwrap()), "{name}: {}", info.name);
                assert_eq!(truncated.size()[1..], info.shape, "{name}: {}", info.name);
            }
        }
    }
}

/// What is shown only where it is wanted goes on through the network as if it had not been shown.
#[test]
fn looking_at_all_layers_changes_the_logits_by_rounding_alone() {
    for (name, architecture) in [("vit-distilled", &DISTILLED), ("swin-44x36", &SWIN), ("swin-32x32", &SWIN)] {
        let (model, pixels) = opened(&Fixture::read(name), architecture);
        let layers = model.layers().into_iter().map(|info| info.name).collect();
        let prediction = Predictor::new(&model, layers, None).unwrap().predict(&pixels);
        let difference = (tch::no_grad(|| model.logits(&pixels)) - &prediction.logits).abs().max().double_value(&[]);
        assert!(difference <= 1e-5 * prediction.logits.abs().max().double_value(&[]), "{name}: {difference}");
    }
}

#[test]
fn results_repeat() {
    let (model, pixels) = opened(&Fixture::read("vit-timm"), &TIMM);
    let predictor = Predictor::new(&model, Vec::new(), Some("class:2".parse().unwrap())).unwrap();
    let first = predictor.predict(&pixels);
    for _ in 0..3 {
        let again = predictor.predict(&pixels);
        assert!(first.logits.equal(&again.logits));
        assert!(first.gradient.as_ref().unwrap().equal(&again.gradient.unwrap()));
    }
}

/// A row alone gives what it gives in a batch.
#[test]
fn rows_do_not_see_each_other() {
    for (name, architecture) in [("vit-timm", &TIMM), ("swin-44x36", &SWIN)] {
        let (model, pixels) = opened(&Fixture::read(name), architecture);
        let predictor = Predictor::new(&model, Vec::new(), Some("class:2".parse().unwrap())).unwrap();
        let (both, alone) = (predictor.predict(&pixels), predictor.predict(&pixels.narrow(0, 1, 1)));
        let pairs = [(both.logits, alone.logits), (both.gradient.unwrap(), alone.gradient.unwrap())];
        for (both, alone) in pairs {
            let error = (both.narrow(0, 1, 1) - &alone).abs().max().double_value(&[]);
            assert!(error <= 1e-5 * alone.abs().max().double_value(&[]), "{name}: {error}");
        }
    }
}

type Line = BTreeMap<String, String>;

fn listing(file: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(file);
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(line: &Line, column: &str) -> T {
    line[column].parse().unwrap()
}

/// Names and shapes of all tensors are the framework's.
fn assert_tensors(line: &Line) -> &'static Architecture {
    let architecture = Architecture::find(&line["architecture"]).unwrap();
    let model = architecture.outline(architecture.geometry).unwrap();
    let shape = |tensor: &Tensor| tensor.size().iter().map(i64::to_string).collect::<Vec<_>>().join("x");
    let mut lines: Vec<String> =
        model.tensors().parameters.iter().map(|(name, tensor)| format!("{name} {}", shape(tensor))).collect();
    lines.sort();
    assert_eq!(lines.len(), number::<usize>(line, "tensors"), "{}", architecture.name);
    assert_eq!(model.parameters, number::<u64>(line, "parameters"), "{}", architecture.name);
    let hash = drawn_weights::hash(&lines.join("\n"));
    assert_eq!(format!("{hash:016x}"), line["state"], "{}:\n{}", architecture.name, lines.join("\n"));
    architecture
}

#[test]
fn every_vit_has_the_published_form() {
    let lines = listing("vit.csv");
    for line in &lines {
        let architecture = assert_tensors(line);
        let truth = |column: &str| line[column] == "True";
        let framework = match line["architecture"].split_once('/').unwrap().0 {
            "timm" => Framework::Timm,
            _ => Framework::Torchvision,
        };
        let prefix = match line["prefix"].as_str() {
            "class" => Prefix::Class,
            "class+distillation" => Prefix::ClassAndDistillation,
            registers => Prefix::ClassAndRegisters(registers.strip_prefix("class+").unwrap().parse().unwrap()),
        };
        let activation = if line["activation"] == "QuickGELU" { Activation::QuickGelu } else { Activation::Gelu };
        let form = vit::Config {
            prefix,
            prefix_positions: truth("prefix_positions"),
            pre_norm: truth("pre_norm"),
            layer_scale: truth("layer_scale"),
            activation,
            epsilon: number(line, "epsilon"),
            ..vit::Config::new(
                framework,
                number(line, "patch"),
                number(line, "width"),
                number(line, "depth"),
                number(line, "heads"),
            )
        };
        assert_eq!(format!("{:?}", architecture.family), format!("{form:?}"), "{}", architecture.name);
        assert_eq!(architecture.geometry, Geometry::rgb(number(line, "size"), 1000), "{}", architecture.name);
    }
    let listed = |name: &str| lines.iter().any(|line| line["architecture"] == name);
    for architecture in Architecture::all() {
        let (framework, rest) = architecture.name.split_once('/').unwrap();
        let transformer = framework != "cifar" && (rest.starts_with("vit_") || rest.starts_with("deit_"));
        assert_eq!(transformer, listed(architecture.name), "{}", architecture.name);
    }
}

#[test]
fn every_swin_has_the_published_form() {
    for line in listing("swin.csv") {
        let architecture = assert_tensors(&line);
        let depths: Vec<usize> = line["depths"].split(' ').map(|depth| depth.parse().unwrap()).collect();
        let heads: Vec<i64> = line["heads"].split(' ').map(|heads| heads.parse().unwrap()).collect();
        let form = swin::Config {
            patch: number(&line, "patch"),
            width: number(&line, "width"),
            depths: depths.leak(),
            heads: heads.leak(),
            window: number(&line, "window"),
        };
        assert_eq!(format!("{:?}", architecture.family), format!("{form:?}"), "{}", architecture.name);
    }
}

#[test]
fn images_that_are_no_multiple_of_the_patch_are_refused() {
    let geometry = Geometry { height: 225, ..Geometry::rgb(224, 10) };
    let error = Architecture::find("timm/vit_tiny_patch16_224").unwrap().outline(geometry).err().unwrap().to_string();
    assert!(error.contains("16x16") && error.contains("225x224"), "{error}");
}
