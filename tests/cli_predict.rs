//! `models`, `layers` and `predict` of the real binary, with weights by a formula whose results PyTorch knows.
#![cfg(feature = "torch")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use drawn_weights::{Fixture, MEAN, STD};
use predicates::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};

mod drawn_weights;

fn am_eval() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    command.env_remove("LD_LIBRARY_PATH").env_remove("NO_COLOR");
    command
}

/// A folder with `drawn.safetensors` (weights), `images.safetensors` and the same images as PNG files.
struct Workplace {
    folder: tempfile::TempDir,
    fixture: Fixture,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Fixture::read("resnet20");
        fixture.write_weights(folder.path());
        let (_, _, images) = fixture.images();
        let view = TensorView::new(Dtype::U8, vec![4, 3, 32, 32], &images).unwrap();
        std::fs::write(folder.path().join("images.safetensors"), serialize([("pixels_u8", view)], None).unwrap())
            .unwrap();
        std::fs::create_dir(folder.path().join("png")).unwrap();
        for (index, planes) in images.chunks(3 * 1024).enumerate() {
            let image = image::RgbImage::from_fn(32, 32, |x, y| {
                let place = (y * 32 + x) as usize;
                image::Rgb([planes[place], planes[1024 + place], planes[2048 + place]])
            });
            image.save(folder.path().join(format!("png/{index}.png"))).unwrap();
        }
        Workplace { folder, fixture }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn predict(&self, images: &str, out: &str) -> Command {
        let mut command = am_eval();
        command.args(["predict", "--device", "cpu", "--arch", "cifar/resnet20"]);
        command.args(["--mean", &list(MEAN), "--std", &list(STD)]);
        command.arg("--weights").arg(self.path("drawn.safetensors"));
        command.arg("--images").arg(self.path(images)).arg("--out").arg(self.path(out));
        command
    }

    /// PyTorch's values of a tensor.
    fn pytorch(&self, name: &str) -> Vec<f32> {
        self.fixture.floats(name)[""].1.clone()
    }
}

fn list(values: [f32; 3]) -> String {
    values.map(|value| value.to_string()).join(",")
}

fn assert_close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(0.0f32, |scale, value| scale.max(value.abs()));
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-4 * scale, "{ours} is not {theirs} (largest: {scale})");
    }
}

fn columns(path: &Path, prefix: &str) -> Vec<f32> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let wanted: Vec<usize> = reader
        .headers()
        .unwrap()
        .iter()
        .enumerate()
        .filter(|(_, name)| name.starts_with(prefix))
        .map(|(at, _)| at)
        .collect();
    reader
        .records()
        .flat_map(|row| {
            let row = row.unwrap();
            wanted.iter().map(|&at| row[at].parse().unwrap()).collect::<Vec<f32>>()
        })
        .collect()
}

#[test]
fn safetensors_hold_pytorchs_logits_activations_and_gradients() {
    let place = Workplace::new();
    let mut command = place.predict("images.safetensors", "out.safetensors");
    command.args(["--tap", "layer2", "--tap", "fc", "--tap", "layer2", "--gradient", "unit:layer3.0.conv1:7@2,5"]);
    command.assert().success().stdout(predicate::str::contains("(4 images; "));
    let bytes = std::fs::read(place.path("out.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str, shape: &[usize]| -> Vec<f32> {
        let view = file.tensor(name).unwrap();
        assert_eq!((view.dtype(), view.shape()), (Dtype::F32, shape), "{name}");
        view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    assert_eq!(file.len(), 5);
    let logits = floats("logits", &[4, 10]);
    assert_close(&logits, &place.pytorch("logits"));
    assert_eq!(floats("activation.fc", &[4, 10]), logits);
    let means: Vec<f32> = floats("activation.layer2", &[4, 32, 16, 16])
        .chunks(256)
        .map(|unit| unit.iter().sum::<f32>() / 256.0)
        .collect();
    assert_close(&means, &place.pytorch("activation.layer2"));
    assert_close(&floats("gradient", &[4, 3, 32, 32]), &place.pytorch("gradient.unit:layer3.0.conv1:7@2,5"));
    let prediction = file.tensor("prediction").unwrap();
    assert_eq!((prediction.dtype(), prediction.shape()), (Dtype::I64, &[4][..]));
    for (row, class) in logits.chunks(10).zip(prediction.data().chunks(8)) {
        let class = i64::from_le_bytes(class.try_into().unwrap()) as usize;
        assert!(row.iter().all(|logit| *logit <= row[class]), "{class} of {row:?}");
    }
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["ids"], r#"["0","1","2","3"]"#);
}

#[test]
fn a_folder_of_images_gives_a_table_with_the_same_numbers() {
    let place = Workplace::new();
    place.predict("png", "out.csv").args(["--tap", "layer2", "--gradient", "class:3"]).assert().success();
    let table = place.path("out.csv");
    assert_close(&columns(&table, "logits."), &place.pytorch("logits"));
    assert_close(&columns(&table, "activation.layer2."), &place.pytorch("activation.layer2"));
    assert_close(&columns(&table, "gradient."), &place.pytorch("gradient.class:3"));
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.starts_with("id,prediction,logits.0,logits.1,") && text.contains("\n0.png,"), "{:.200}", text);
    place.predict("png/2.png", "one.csv").assert().success();
    assert_eq!(std::fs::read_to_string(place.path("one.csv")).unwrap().lines().count(), 2);
    assert_close(&columns(&place.path("one.csv"), "logits."), &place.pytorch("logits")[20..30]);
}

#[test]
fn a_suites_model_and_preprocessing_are_used() {
    let place = Workplace::new();
    let suite = r#"
        schema = 1
        name = "s"
        [data]
        kind = "image-folder"
        root = "png"
        resize = 32
        crop = 32
        [[model]]
        name = "cnn"
        arch = "cifar/resnet20"
        weights = "drawn.safetensors"
        normalize = { mean = [0.4914, 0.4822, 0.4465], std = [0.2470, 0.2435, 0.2616] }
        [[attack]]
        name = "a"
        kind = "class-logit"
        norm = "linf"
        epsilons = ["1/255"]
        steps = 1
    "#;
    std::fs::write(place.path("s.toml"), suite).unwrap();
    image::RgbImage::from_pixel(48, 40, image::Rgb([9, 90, 200])).save(place.path("png/wide.png")).unwrap();
    let predict = |model: &str| {
        let mut command = am_eval();
        command.arg("predict").arg("--suite").arg(place.path("s.toml")).args(["--model", model]);
        command.arg("--images").arg(place.path("png")).arg("--out").arg(place.path("out.csv"));
        command.assert()
    };
    predict("cnn").success().stdout(predicate::str::contains("(5 images; "));
    assert_close(&columns(&place.path("out.csv"), "logits.")[..40], &place.pytorch("logits"));
    predict("cmn")
        .code(2)
        .stderr(predicate::str::contains("has no model `cmn`").and(predicate::str::contains("`cnn`")));
}

#[test]
fn what_does_not_exist_is_named_and_no_file_is_left() {
    let place = Workplace::new();
    image::RgbImage::new(40, 32).save(place.path("png/odd.png")).unwrap();
    let fails = |images: &str, out: &str, more: &[&str], code: i32, words: &[&str]| {
        let assert = place.predict(images, out).args(more).assert().code(code);
        let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        for word in words {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
        assert!(!place.path(out).is_file(), "{out} was left behind");
    };
    let images = "images.safetensors";
    fails(images, "o.csv", &["--tap", "layer2.0.conv3"], 2, &["no layer `layer2.0.conv3`", "`layer2.0.conv1`"]);
    fails(images, "o.csv", &["--gradient", "unit:layer2:32"], 2, &["no unit 32", "0 to 31"]);
    fails(images, "o.csv", &["--gradient", "unit:layer2:3@16,0"], 2, &["no unit 3@16,0", "15,15"]);
    fails(images, "o.csv", &["--gradient", "class:10"], 2, &["no class 10", "0 to 9"]);
    fails(images, "o.csv", &["--gradient", "logit:3"], 2, &["`logit:3` is not an objective", "class:K"]);
    fails("png", "o.csv", &[], 2, &["odd.png", "40x32", "32x32"]);
    fails("png", "o.safetensors", &["--gradient", "class:1"], 2, &["odd.png"]);
    fails("drawn.safetensors", "o.csv", &[], 2, &["no tensor `pixels_u8`"]);
    fails("gone", "o.csv", &[], 2, &["gone"]);
    fails(images, "o.json", &[], 2, &[".csv or .safetensors"]);
    fails(images, "gone/o.csv", &[], 101, &["failed to write", "o.csv"]);
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn layers_are_listed_as_a_table_and_as_json() {
    let table = am_eval().args(["layers", "cifar/resnet20"]).assert().success();
    insta::assert_snapshot!(String::from_utf8_lossy(&table.get_output().stdout));
    let json = am_eval().args(["layers", "cifar/vit", "--json"]).assert().success();
    let layers: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let layer = |name: &str| layers.as_array().unwrap().iter().find(|layer| layer["name"] == name).unwrap();
    assert_eq!(layer("blocks.3.mlp.fc1")["units"], 512);
    assert_eq!(layer("blocks.3.mlp.fc1")["shape"], serde_json::json!([64, 512]));
    assert_eq!(layer("head")["share"], 1.0);
    let shares: f64 = layers.as_array().unwrap().iter().map(|layer| layer["own"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    let near = predicate::str::contains("unknown architecture `cifar/resnet21`")
        .and(predicate::str::contains("`cifar/resnet20`"));
    am_eval().args(["layers", "cifar/resnet21"]).assert().code(2).stderr(near);
}

#[test]
fn models_lists_architectures_and_the_weights_that_are_there() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("models")).unwrap();
    let some = TensorView::new(Dtype::U8, vec![1], &[0]).unwrap();
    let notes = [("arch".to_owned(), "cifar/vit".to_owned()), ("seed".to_owned(), "7".to_owned())].into();
    std::fs::write(place.path("models/good.safetensors"), serialize([("a", some)], Some(notes)).unwrap()).unwrap();
    std::fs::write(place.path("models/bad.safetensors"), "not weights").unwrap();
    let listed = am_eval().arg("models").current_dir(place.folder.path()).assert().success();
    let text = String::from_utf8_lossy(&listed.get_output().stdout).into_owned();
    let (architectures, weights) = text.split_once("\n\n").unwrap();
    let line = architectures.lines().find(|line| line.starts_with("cifar/resnet20 ")).unwrap();
    assert!(line.contains("3x32x32") && line.contains("269,722") && line.contains("ResNet-20"), "{line}");
    insta::assert_snapshot!(weights);
    let none = am_eval().arg("models").current_dir(place.path("png")).assert().success();
    none.stdout(predicate::str::contains("No weights in models/"));
}
