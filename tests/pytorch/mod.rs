//! PyTorch's answers for a network, from a fixture, against this program's.
#![allow(dead_code, reason = "each test uses a part of this")]

use std::collections::BTreeMap;
use std::path::Path;

use am_eval::engine::Predictor;
use am_eval::model::Model;
use am_eval::suite::Normalize;
use am_eval::terms::LayerName;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

/// A suite that attacks the logits of the model in this file, and units of a layer.
pub fn suite_of(arch: &str, weights: &Path, layer: &str) -> String {
    format!(
        r#"schema = 1
name = "small"
seed = 5
[run]
device = "cpu"
[data]
kind = "synthetic"
size = 20
samples = 10
[[model]]
name = "small"
arch = "{arch}"
weights = "{}"
normalize = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}
[[attack]]
name = "logit"
kind = "class-logit"
norm = "linf"
epsilons = ["8/255"]
steps = 5
[[attack]]
name = "hidden"
kind = "unit"
layer = "{layer}"
units = {{ top = 2 }}
norm = "linf"
epsilons = ["8/255"]
steps = 5
"#,
        weights.display()
    )
}

/// How the fixtures' pixels are normalized.
pub fn normalize() -> Normalize {
    Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] }
}

/// The tensors of a safetensors file.
pub fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let kind = if view.dtype() == Dtype::U8 { Kind::Uint8 } else { Kind::Float };
        (name, Tensor::f_from_data_size(view.data(), &shape, kind).unwrap())
    });
    tensors.collect()
}

/// Those whose names begin with `prefix`, without it.
pub fn with_prefix<'a>(tensors: &'a BTreeMap<String, Tensor>, prefix: &str) -> Vec<(String, &'a Tensor)> {
    tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor))).collect()
}

pub fn assert_close(ours: &Tensor, theirs: &Tensor, tolerance: f64, label: &str) {
    assert_eq!(ours.size(), theirs.size(), "{label}");
    let scale = theirs.abs().max().double_value(&[]);
    let error = (ours - theirs).abs().max().double_value(&[]) / scale;
    assert!(scale > 1e-6 && error <= tolerance, "{label}: relative error {error:e}, largest value {scale:e}");
}

/// Logits, activations of `layers` and gradients of `objectives`.
pub fn compare(
    model: &Model,
    pixels: &Tensor,
    logits: &Tensor,
    layers: &[(String, &Tensor)],
    objectives: &[(String, &Tensor)],
    [tolerance, of_gradients]: [f64; 2],
    label: &str,
) {
    let names = layers.iter().map(|(layer, _)| LayerName::from(layer.as_str())).collect();
    let plain = Predictor::new(model, names, None).unwrap_or_else(|error| panic!("{label}: {error}")).predict(pixels);
    assert_close(&plain.logits, logits, tolerance, &format!("{label}: logits"));
    for ((layer, theirs), ours) in layers.iter().zip(&plain.activations) {
        assert_close(ours, theirs, tolerance, &format!("{label}: {layer}"));
    }
    for (objective, theirs) in objectives {
        let predictor = Predictor::new(model, Vec::new(), Some(objective.parse().unwrap())).unwrap();
        let ours = predictor.predict(pixels).gradient.unwrap();
        assert_close(&ours, theirs, of_gradients, &format!("{label}: gradient of {objective}"));
    }
}
