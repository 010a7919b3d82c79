//! Every flip that a run claims can be confirmed from the images that it saves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use am_eval::data::{Dataset, Synthetic};
use am_eval::model::{Compute, Model, ModelSource};
use am_eval::suite::{ModelConfig, Normalize, Split};
use csv::StringRecord;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::sandbox::{Results, Sandbox, UNDISTURBED, assert_same, files_of, models};

/// The rows of `samples.csv`, with a look-up by column.
pub struct Samples {
    columns: StringRecord,
    pub rows: Vec<StringRecord>,
}

impl Samples {
    pub fn read(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap();
        Samples { columns: reader.headers().unwrap().clone(), rows: reader.records().map(Result::unwrap).collect() }
    }

    pub fn get(&self, row: usize, column: &str) -> &str {
        &self.rows[row][self.columns.iter().position(|name| name == column).unwrap()]
    }

    pub fn number(&self, row: usize, column: &str) -> f64 {
        self.get(row, column).parse().unwrap()
    }
}

/// `x` `[N, 3, H, W]` and `index` `[N]` of a file of adversarial images.
pub fn images(path: &Path) -> (Tensor, Vec<usize>) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (x, index) = (file.tensor("x").unwrap(), file.tensor("index").unwrap());
    assert_eq!((x.dtype(), index.dtype()), (Dtype::F32, Dtype::I64));
    let shape: Vec<i64> = x.shape().iter().map(|&size| size as i64).collect();
    assert_eq!(shape[1..], [3, 32, 32]);
    let rows = index.data().chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as usize).collect();
    (Tensor::f_from_data_size(x.data(), &shape, Kind::Float).unwrap(), rows)
}

fn model() -> Model {
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let weights = models().join("synthetic-cnn.safetensors");
    let source = ModelSource::open(&ModelConfig::of_file("cifar/resnet8", &weights, normalize), None).unwrap();
    source.build(Compute::f32(Device::Cpu)).unwrap()
}

/// The clean image of a sample, `[3, 32, 32]` in [0, 1].
fn clean(id: &str) -> Tensor {
    let index: usize = id.strip_prefix("test/").unwrap().parse().unwrap();
    let image = Synthetic::new(Split::Test, 40).image(index).unwrap();
    Tensor::from_slice(&image.pixels).view([3, 32, 32]).to_kind(Kind::Float) / 255.0
}

#[test]
fn every_flip_is_confirmed_from_its_saved_image() {
    let sandbox = Sandbox::small();
    sandbox.run(&["--save-adversarial"]).assert().success();
    let dir = sandbox.run_dir();
    assert_same(&Results::read(&dir), &UNDISTURBED);
    let samples = Samples::read(&dir.join("samples.csv"));
    let model = model();
    let (mut confirmed, mut saved) = (BTreeSet::new(), BTreeSet::new());
    let files = files_of(&dir.join("adversarial"));
    let names: Vec<&str> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["cnn--logit.safetensors", "cnn--units.safetensors"]);
    for path in &files {
        let attack = path.file_stem().unwrap().to_str().unwrap().strip_prefix("cnn--").unwrap();
        let (x, index) = images(path);
        let logits = tch::no_grad(|| model.logits(&x));
        let predictions = Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap();
        for (at, &row) in index.iter().enumerate() {
            saved.insert(samples.get(row, "kind").to_owned());
            assert_eq!((samples.get(row, "model"), samples.get(row, "attack")), ("cnn", attack));
            let delta = (x.select(0, at as i64) - clean(samples.get(row, "sample_id"))).to_kind(Kind::Double);
            let (linf, l2) =
                (delta.abs().max().double_value(&[]), delta.square().sum(Kind::Double).sqrt().double_value(&[]));
            let (length, epsilon) =
                (if samples.get(row, "norm") == "linf" { linf } else { l2 }, samples.number(row, "epsilon"));
            assert!(length <= epsilon * (1.0 + 1e-6), "row {row}: {length} is beyond {epsilon}");
            assert!((linf - samples.number(row, "linf")).abs() < 1e-6, "row {row} has another image");
            assert!((l2 - samples.number(row, "l2")).abs() < 1e-4 * l2.max(1e-3), "row {row} has another image");
            if samples.get(row, "flipped") == "true" {
                assert_eq!(predictions[at], samples.number(row, "adv_pred") as i64, "row {row}");
                assert_ne!(predictions[at], samples.number(row, "clean_pred") as i64, "row {row}");
                confirmed.insert(row);
            }
        }
    }
    // Controls beside the attacks claim flips too.
    let flipped = |row: usize| samples.get(row, "flipped") == "true";
    let claimed: BTreeSet<usize> = (0..samples.rows.len()).filter(|&row| flipped(row)).collect();
    assert!(["control-noise", "control-search"].iter().all(|&kind| saved.contains(kind)), "{saved:?}");
    assert!(claimed.len() >= 10, "{} flips are too few to prove anything", claimed.len());
    assert_eq!(confirmed, claimed);
}

#[test]
fn images_can_be_asked_for_after_a_run_is_finished() {
    let sandbox = Sandbox::small();
    sandbox.run(&[]).assert().success();
    let dir = sandbox.run_dir();
    assert!(!dir.join("adversarial").exists());
    sandbox.run(&["--save-adversarial"]).assert().success();
    assert_same(&Results::read(&dir), &UNDISTURBED);
    let saved = files_of(&dir.join("adversarial"));
    assert_eq!(saved.len(), 2);
    let first = fs::read(&saved[0]).unwrap();

    // A truncated file of images is computed again with its block.
    let block = dir.join("blocks/000-cnn--logit--00001.adv.safetensors");
    let bytes = fs::read(&block).unwrap();
    fs::write(&block, &bytes[..bytes.len() - 5]).unwrap();
    fs::remove_file(&saved[0]).unwrap();
    let stderr = sandbox.run(&["--save-adversarial"]).assert().success().get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&stderr).contains("00001.adv.safetensors is damaged"));
    assert!(fs::read(&saved[0]).unwrap() == first && fs::read(&block).unwrap() == bytes);
}
