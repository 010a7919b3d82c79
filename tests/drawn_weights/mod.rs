//! Weights by the formula of `tests/fixtures/models/make.py`, for the names and shapes that PyTorch gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

/// Mean and standard deviation of the pixels, as in the script.
pub const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
/// See [`MEAN`].
pub const STD: [f32; 3] = [0.2470, 0.2435, 0.2616];

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

    /// The images, u8 [4, 3, 32, 32].
    pub fn images(&self) -> Vec<u8> {
        SafeTensors::deserialize(&self.0).unwrap().tensor("images").unwrap().data().to_vec()
    }

    /// Draws the parameters that PyTorch's network has into `folder`.
    pub fn write_weights(&self, folder: &Path) -> PathBuf {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        let state = &header.metadata().as_ref().unwrap()["state"];
        let state: BTreeMap<String, Vec<usize>> = serde_json::from_str(state).unwrap();
        let drawn: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = state
            .into_iter()
            .map(|(name, shape)| (name.clone(), dtype(&name), shape.clone(), draw(&name, &shape)))
            .collect();
        let views = drawn
            .iter()
            .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        let path = folder.join("drawn.safetensors");
        std::fs::write(&path, serialize(views, None).unwrap()).unwrap();
        path
    }
}

fn dtype(name: &str) -> Dtype {
    if name.ends_with("num_batches_tracked") { Dtype::I64 } else { Dtype::F32 }
}

fn draw(name: &str, shape: &[usize]) -> Vec<u8> {
    if dtype(name) == Dtype::I64 {
        return vec![0; 8];
    }
    let inner: usize = shape.iter().skip(1).product();
    let value = |u: f64| match (shape.len(), name) {
        _ if name.ends_with("running_var") => 1.0 + u / 2.0,
        (1, _) if name.ends_with("weight") => 1.0 + u / 5.0,
        (1, _) => u / 10.0,
        (_, "pos_embed" | "cls_token") => u / 2.0,
        _ => u * (6.0 / inner as f64).sqrt(),
    };
    uniform(name, shape.iter().product()).flat_map(|u| (value(u) as f32).to_le_bytes()).collect()
}

/// Values in [-1, 1): FNV-1a of the name seeds splitmix64.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    (1..=count as u64).map(move |place| {
        let z = seed.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}
