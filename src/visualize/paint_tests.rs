use tch::{Device, Kind, Tensor};

use super::*;
use crate::model::{Compute, Flow, Geometry, ModelSource, Probe, Site, Tokens};
use crate::suite::{ModelConfig, Normalize, Penalties, PicturePreset};

/// A shipped model. Fresh ones normalize by their batch.
fn model(arch: &str) -> Model {
    let name = if arch == CNN.0 { "synthetic-cnn" } else { "synthetic-vit" };
    let file = format!("{}/models/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let source = ModelSource::open(&ModelConfig::of_file(arch, std::path::Path::new(&file), normalize), None).unwrap();
    source.build(Compute::f32(Device::Cpu)).unwrap()
}

fn short(preset: PicturePreset, steps: usize) -> PictureConfig {
    let config = preset.config();
    let views = crate::suite::Views { copies: config.views.copies.min(2), ..config.views };
    PictureConfig { steps, views, ..config }
}

fn subjects(units: &[usize]) -> Vec<Subject> {
    units.iter().map(|&unit| Subject { unit: Unit::channel(unit), seed: 0 }).collect()
}

fn paint(model: &Model, layer: &str, config: &PictureConfig, subjects: &[Subject]) -> Vec<Painted> {
    paint_from(None, model, layer, config, subjects)
}

/// The same, beginning at an image.
fn paint_from(
    origin: Option<&Tensor>,
    model: &Model,
    layer: &str,
    config: &PictureConfig,
    subjects: &[Subject],
) -> Vec<Painted> {
    let noise = Noise::new(11, "paint");
    let layer = LayerName::from(layer);
    Painter { model, judge: model, layer: &layer, config, direction: Direction::Maximize, noise: &noise }
        .paint(subjects, origin)
}

const CNN: (&str, &str) = ("cifar/resnet8", "layer2.0");
const PLACES: [(&str, &str); 2] = [CNN, ("cifar/vit-c-tiny", "blocks.1.mlp.act")];

#[test]
fn every_preset_raises_units_of_cnns_and_transformers() {
    for (arch, layer) in PLACES {
        let model = model(arch);
        for preset in PicturePreset::ALL {
            let painted = paint(&model, layer, &short(preset, 40), &subjects(&[3]));
            let mean = |steps: &[f32]| steps.iter().sum::<f32>() / steps.len() as f32;
            let (begin, end) = (mean(&painted[0].history[..8]), mean(&painted[0].history[32..]));
            assert!(end > begin, "{arch} {preset}: {begin} {end}");
            assert!(!painted[0].dead && !painted[0].broken);
            let (least, most) = (painted[0].image.min().double_value(&[]), painted[0].image.max().double_value(&[]));
            assert!(least >= 0.0 && most <= 1.0, "{least} {most}");
        }
    }
}

/// An image in which no two places are alike, so that no gradient is zero but for rounding: Adam makes steps of equal length of it.
fn textured() -> Tensor {
    let noise = Noise::new(2, "texture").uniform("image", 3 * 32 * 32);
    Tensor::from_slice(&noise).view([3, 32, 32]) * 0.3 + 0.5
}

#[test]
fn a_batch_gives_what_single_pictures_give() {
    let origin = textured();
    for (arch, layer) in PLACES {
        let model = model(arch);
        for preset in [PicturePreset::Lucid, PicturePreset::Ghiasi] {
            let config = short(preset, 3);
            let paint = |units: &[usize]| paint_from(Some(&origin), &model, layer, &config, &subjects(units));
            let together = paint(&[5, 1, 7]);
            for (place, unit) in [(0, 5), (2, 7)] {
                let alone = paint(&[unit]);
                let first = (together[place].history[0], alone[0].history[0]);
                assert!((first.0 - first.1).abs() <= 1e-6 * first.1.abs().max(1.0), "{arch} {preset}: {first:?}");
                let error = (&together[place].image - &alone[0].image).abs().mean(Kind::Float).double_value(&[]);
                assert!(error < 1e-3, "{arch} {preset}: {error}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let model = model(CNN.0);
    let config = short(PicturePreset::Maco, 4);
    let bytes = || {
        let painted = paint(&model, CNN.1, &config, &subjects(&[0, 1]));
        painted.iter().flat_map(|one| Vec::<f32>::try_from(one.image.flatten(0, -1)).unwrap()).collect::<Vec<f32>>()
    };
    let (first, again) = (bytes(), bytes());
    assert!(first.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn seeds_give_different_pictures_and_diversity_more_so() {
    let model = model(CNN.0);
    let seeds: Vec<Subject> = (0..2).map(|seed| Subject { unit: Unit::channel(2), seed }).collect();
    let apart = |diversity: f64| {
        let config = PictureConfig { diversity, ..short(PicturePreset::Lucid, 24) };
        let painted = paint(&model, CNN.1, &config, &seeds);
        let layer = LayerName::from(CNN.1);
        let gram = |image: &Tensor| {
            let features = model.tap(&image.unsqueeze(0), &layer).unwrap().flatten(2, -1).squeeze_dim(0);
            let gram = features.matmul(&features.transpose(0, 1));
            &gram / gram.norm()
        };
        (gram(&painted[0].image) * gram(&painted[1].image)).sum(Kind::Float).double_value(&[])
    };
    let (alone, pushed) = (apart(0.0), apart(50.0));
    assert!(pushed < alone, "{pushed} {alone}");
}

/// A network of 8x8 images and two units, whose pixels are normalized by this mean and deviation.
fn toy(network: impl crate::model::Network + 'static, [mean, std]: [f32; 2]) -> Model {
    let normalize = Normalize { mean: vec![mean; 3], std: vec![std; 3] };
    let geometry = Geometry { channels: 3, height: 8, width: 8, classes: 2 };
    Model::custom("toy", Box::new(network), geometry, &normalize)
}

/// A network whose first unit never answers, and whose second is asleep on grey.
struct Sleepy;

impl crate::model::Network for Sleepy {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mean = pixels.mean_dim([1i64].as_slice(), true, Kind::Float);
        let asleep = probe.rectify(&(&mean - 1.0));
        let activation = Tensor::cat(&[&mean * 0.0 - 1.0, asleep], 1);
        let activation = probe.visit(&Site::new("units", "ReLU"), activation)?;
        Flow::Continue(activation.mean_dim([2i64, 3].as_slice(), false, Kind::Float))
    }

    fn tokens(&self) -> Tokens {
        Tokens::default()
    }
}

#[test]
fn dead_units_are_told_and_sleeping_ones_woken() {
    let model = toy(Sleepy, [0.0, 0.6]);
    let painted = paint(&model, "units", &short(PicturePreset::Lucid, 40), &subjects(&[0, 1]));
    assert!(painted[0].dead);
    assert!(!painted[1].dead && painted[1].activation > 0.0, "{:?}", painted[1].history);
}

/// A unit that is asleep on grey, and whose gradient is a fiftieth of what leaking rectifiers let through.
struct Drowsy;

impl crate::model::Network for Drowsy {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mean = pixels.mean_dim([1i64].as_slice(), true, Kind::Float);
        // Never awake: pixels lie above -1.
        let silent = probe.rectify(&((&mean + 2.0) * -50.0));
        let activation = probe.visit(&Site::new("units", "ReLU"), probe.rectify(&(mean - silent - 0.1)))?;
        Flow::Continue(activation.mean_dim([2i64, 3].as_slice(), false, Kind::Float))
    }

    fn tokens(&self) -> Tokens {
        Tokens::default()
    }
}

#[test]
fn a_woken_unit_rises_by_its_own_gradient() {
    let model = toy(Drowsy, [0.5, 0.5]);
    // White gives 0.9. Steps and penalties that remember the leaking rectifiers come half as far.
    let painted = paint(&model, "units", &short(PicturePreset::Pixel, 160), &subjects(&[0]));
    assert!(!painted[0].dead && painted[0].activation > 0.8, "{} {:?}", painted[0].activation, painted[0].history);
}

/// Two units behind GELU that both begin where it only falls.
struct Sunken;

impl crate::model::Network for Sunken {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mean = pixels.mean_dim([1i64].as_slice(), true, Kind::Float);
        let before =
            probe.visit(&Site::new("before", "Conv2d"), Tensor::cat(&[&mean * 3.0 - 2.0, &mean * 3.0 - 1.2], 1))?;
        let activation = probe.visit(&Site::new("units", "GELU"), before.gelu("none"))?;
        Flow::Continue(activation.mean_dim([2i64, 3].as_slice(), false, Kind::Float))
    }

    fn tokens(&self) -> Tokens {
        Tokens::default()
    }
}

#[test]
fn units_behind_smooth_rectifiers_are_not_sent_down() {
    let model = toy(Sunken, [0.5, 0.5]);
    for painted in paint(&model, "units", &short(PicturePreset::Pixel, 120), &subjects(&[0, 1])) {
        assert!(painted.activation > 0.5, "{} {:?}", painted.activation, painted.history);
    }
    // Sent down on purpose, they stay at the lowest point.
    let (noise, config, layer) = (Noise::new(11, "paint"), short(PicturePreset::Pixel, 120), LayerName::from("units"));
    let direction = Direction::Suppress;
    let down = Painter { model: &model, judge: &model, layer: &layer, config: &config, direction, noise: &noise };
    for painted in down.paint(&subjects(&[0, 1]), None) {
        assert!(painted.activation < -0.1, "{}", painted.activation);
    }
}

#[test]
fn accentuation_begins_at_its_image_and_stays_near_if_told() {
    let model = model(CNN.0);
    let origin = Tensor::linspace(0.1, 0.9, 3 * 32 * 32, (Kind::Float, Device::Cpu)).view([3, 32, 32]);
    let far = |keep: f64| {
        let penalties = Penalties { keep, ..Penalties::default() };
        let config = PictureConfig { penalties, ..short(PicturePreset::Lucid, 20) };
        let painted = paint_from(Some(&origin), &model, CNN.1, &config, &subjects(&[3]));
        (&painted[0].image - &origin).square().mean(Kind::Float).sqrt().double_value(&[])
    };
    let (free, near) = (far(0.0), far(20.0));
    assert!(near < free && free < 0.5, "{near} {free}");
}
