//! Weights by the formula of `tests/fixtures/models/make.py`, for the names and shapes that PyTorch gives.
#![allow(dead_code, reason = "each test uses a part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use am_eval::model::{Architecture, Geometry, Model};
use safetensors::tensor::{TensorView, serialize_to_file};
use safetensors::{Dtype, SafeTensors};
use tch::Tensor;

/// Mean and standard deviation of the pixels, as in the script.
pub const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
/// See [`MEAN`].
pub const STD: [f32; 3] = [0.2470, 0.2435, 0.2616];

/// Largest difference over the largest value that PyTorch gives.
pub const TOLERANCE: f64 = 1e-4;

/// How the names of tokens and of position embeddings end, as in the script.
const TOKENS: [&str; 9] = [
    "pos_embed",
    "pos_embedding",
    "position_embeddings",
    "cls_token",
    "class_token",
    "dist_token",
    "reg_token",
    "distillation_token",
    "relative_position_bias_table",
];

/// What PyTorch says: a file that `make.py` has written.
pub struct Fixture(Vec<u8>);

impl Fixture {
    /// Reads `tests/fixtures/models/{name}.safetensors`.
    pub fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
        Fixture(std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap())
    }

    /// Names, shapes and values of the tensors whose names begin with `prefix`, without it.
    pub fn floats(&self, prefix: &str) -> BTreeMap<String, (Vec<i64>, Vec<f32>)> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensors = file.tensors().into_iter().filter_map(|(name, view)| {
            let shape = view.shape().iter().map(|&size| size as i64).collect();
            let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            Some((name.strip_prefix(prefix)?.to_owned(), (shape, values)))
        });
        tensors.collect()
    }

    /// The images, u8: number of images, rows and columns, and their values [N, 3, H, W].
    pub fn images(&self) -> (i64, i64, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        if let Ok(images) = file.tensor("images") {
            return (images.shape()[0] as i64, images.shape()[2] as i64, images.data().to_vec());
        }
        let number = |name: &str| self.note(name).unwrap().parse::<i64>().unwrap();
        let (count, size) = (number("images"), number("size"));
        let values = uniform("images", (count * 3 * size * size) as usize).map(|u| ((u + 1.0) * 128.0) as u8);
        (count, size, values.collect())
    }

    fn note(&self, name: &str) -> Option<String> {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        header.metadata().as_ref()?.get(name).cloned()
    }

    /// Names and shapes of the parameters: PyTorch's, or where the fixture does not repeat them those of the architecture, whose
    /// names and shapes are compared with PyTorch's elsewhere.
    fn state(&self) -> BTreeMap<String, Vec<usize>> {
        if let Some(state) = self.note("state") {
            return serde_json::from_str(&state).unwrap();
        }
        let (architecture, (_, size, _)) = (Architecture::find(&self.note("arch").unwrap()).unwrap(), self.images());
        let classes = self.floats("logits")[""].0[1];
        state(&architecture.outline(Geometry::rgb(size, classes)).unwrap())
    }

    /// Images that are drawn too: their shape `[N, C, H, W]`, and values floor((u + 1) * 128).
    pub fn drawn_images(&self) -> (Vec<i64>, Vec<f32>) {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        let shape: Vec<i64> = serde_json::from_str(&header.metadata().as_ref().unwrap()["shape"]).unwrap();
        let values = uniform("images", shape.iter().product::<i64>() as usize);
        (shape, values.map(|u| ((u + 1.0) * 128.0).floor() as f32).collect())
    }

    /// Draws the parameters that PyTorch's network has into `folder`.
    pub fn write_weights(&self, folder: &Path) -> PathBuf {
        let drawn: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = self
            .state()
            .into_iter()
            .map(|(name, shape)| (name.clone(), dtype(&name), shape.clone(), draw(&name, &shape)))
            .collect();
        let views = drawn
            .iter()
            .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        let path = folder.join("drawn.safetensors");
        serialize_to_file(views, None, &path).unwrap();
        path
    }
}

/// Names and shapes of a network's tensors as PyTorch's state dict has them, the counters of batch normalization included.
pub fn state(model: &Model) -> BTreeMap<String, Vec<usize>> {
    let tensors = model.tensors();
    let shape = |tensor: &tch::Tensor| tensor.size().iter().map(|&size| size as usize).collect();
    let counters = tensors.buffers.keys().filter_map(|name| name.strip_suffix("running_mean"));
    let counters = counters.map(|prefix| (format!("{prefix}num_batches_tracked"), Vec::new()));
    let named = tensors.parameters.iter().chain(&tensors.buffers);
    named.map(|(name, tensor)| (name.clone(), shape(tensor))).chain(counters).collect()
}

/// Counters of batches, and places in tables, which both sides compute.
fn dtype(name: &str) -> Dtype {
    let integers = name.ends_with("num_batches_tracked") || name.ends_with("relative_position_index");
    if integers { Dtype::I64 } else { Dtype::F32 }
}

fn draw(name: &str, shape: &[usize]) -> Vec<u8> {
    if dtype(name) == Dtype::I64 {
        return vec![0; 8 * shape.iter().product::<usize>()];
    }
    let inner: usize = shape.iter().skip(1).product();
    let value = |u: f64| match shape.len() {
        _ if name.ends_with("running_var") => 1.0 + u / 2.0,
        1 if name.ends_with("weight") => 1.0 + u / 5.0,
        1 => u / 10.0,
        _ if TOKENS.iter().any(|end| name.ends_with(end)) => u / 2.0,
        _ => u * (6.0 / inner as f64).sqrt(),
    };
    uniform(name, shape.iter().product()).flat_map(|u| (value(u) as f32).to_le_bytes()).collect()
}

/// FNV-1a, 64 bits.
pub fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    text.bytes().fold(0xCBF2_9CE4_8422_2325, step)
}

/// Values in [-1, 1): the hash of the name seeds splitmix64.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = hash(name);
    (1..=count as u64).map(move |place| {
        let z = seed.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// Fails unless the values are PyTorch's, with their shape, to [`TOLERANCE`] of the largest.
pub fn assert_close(ours: &Tensor, (shape, values): &(Vec<i64>, Vec<f32>), label: &str) {
    assert_eq!(&ours.size(), shape, "{label}");
    let theirs = Tensor::from_slice(values).view(shape.as_slice());
    let scale = theirs.abs().max().double_value(&[]);
    let error = (ours - &theirs).abs().max().double_value(&[]) / scale;
    assert!(scale > 1e-6, "{label}: PyTorch's values are all but zero");
    assert!(error <= TOLERANCE, "{label}: relative error {error:e}");
}
