//! Networks with drawn weights and procedural images, so that benches need no files.
#![allow(dead_code, reason = "each bench uses a part of this")]

use std::time::{Duration, Instant};

use am_eval::data::{Dataset, Sample, Synthetic};
use am_eval::judge::pixels;
use am_eval::model::{Architecture, Compute, Model, ModelSource};
use am_eval::rows::floats;
use am_eval::suite::{ModelConfig, Normalize, Split};
use criterion::Criterion;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use tch::{Device, Tensor};

/// Rows in a batch: what the engine takes on a CPU.
pub const ROWS: usize = 64;

/// Short measurements: the ratios within one run matter, not the absolute times.
pub fn criterion() -> Criterion {
    let criterion = Criterion::default().configure_from_args().without_plots().sample_size(10);
    criterion.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2))
}

/// A network for evaluation, built from a file as a run builds it.
pub fn model(arch: &str, compute: Compute) -> Model {
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let architecture = Architecture::find(arch).expect("a known architecture");
    let fresh = Model::fresh(architecture, 1, Compute::f32(Device::Cpu), &normalize, architecture.geometry)
        .expect("fresh weights");
    let named: Vec<(&String, Vec<usize>, Vec<u8>)> = (fresh.tensors().parameters.iter())
        .chain(&fresh.tensors().buffers)
        .map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|&size| size as usize).collect();
            (name, shape, floats(tensor).iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = named.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes of the shape"))
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    serialize_to_file(views, None, file.path()).expect("room for the weights");
    let source =
        ModelSource::open(&ModelConfig::of_file(arch, file.path(), normalize), None).expect("readable weights");
    source.build(compute).expect("the architecture's own weights")
}

/// Procedural images, each labelled with what `model` sees in it, so that all are attacked.
pub fn samples(model: &Model, count: usize) -> Vec<Sample> {
    let data = Synthetic::new(Split::Test, count);
    let sample = |index| Sample { id: data.id(index), label: 0, image: data.image(index).expect("an image") };
    let mut samples: Vec<Sample> = (0..count).map(sample).collect();
    let logits = tch::no_grad(|| model.logits(&pixels(&samples, model.device())));
    let classes = Vec::<i64>::try_from(logits.argmax(-1, false)).expect("one class for each image");
    for (sample, class) in samples.iter_mut().zip(classes) {
        sample.label = class as u32;
    }
    samples
}

/// Pixels `[N, 3, 32, 32]` in [0, 1].
pub fn batch(count: usize) -> Tensor {
    let data = Synthetic::new(Split::Test, count);
    let sample = |index| Sample { id: data.id(index), label: 0, image: data.image(index).expect("an image") };
    pixels(&(0..count).map(sample).collect::<Vec<_>>(), Device::Cpu)
}

/// Pixels `[N, C, H, W]` in [0, 1] without meaning, of the size that `arch` was published for.
pub fn noise(arch: &str, count: usize) -> Tensor {
    let [channels, height, width] = Architecture::find(arch).expect("a known architecture").geometry.image();
    tch::manual_seed(0);
    Tensor::rand([count as i64, channels, height, width], (tch::Kind::Float, Device::Cpu))
}

/// A bare forward and backward pass: the gradient of the largest logits with respect to the pixels.
pub fn pass(model: &Model, pixels: &Tensor) -> Tensor {
    let pixels = pixels.detach().set_requires_grad(true);
    let score = model.logits(&pixels).amax([1i64].as_slice(), false).sum(tch::Kind::Float);
    Tensor::run_backward(&[score], &[&pixels], false, false).remove(0)
}

/// What this process and its threads have used of processors so far.
pub fn processor_seconds() -> f64 {
    unsafe extern "C" {
        fn clock() -> std::ffi::c_long;
    }
    // SAFETY: clock takes nothing and only reads. POSIX counts in microseconds.
    unsafe { clock() as f64 / 1e6 }
}

/// How long `work` takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    std::hint::black_box(work());
    started.elapsed()
}

/// The median of the ratios of `one` to `other`, measured in turns, so that a busy machine slows both alike.
pub fn median_ratio(rounds: usize, mut one: impl FnMut() -> Duration, mut other: impl FnMut() -> Duration) -> f64 {
    let mut ratios: Vec<f64> = (0..rounds).map(|_| one().as_secs_f64() / other().as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[rounds / 2]
}
