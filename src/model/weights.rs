//! Parameters by name: read from safetensors with a strict two-way check, or drawn for training.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Div;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use super::arch::Architecture;

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("failed to read weights {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a safetensors file, truncated, or of a dtype that weights do not have.
    #[error("{path}: not usable as safetensors: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Not a TorchScript model that can be evaluated.
    #[error("{path}: not usable as a TorchScript model: {problem}")]
    Script {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The tensors are not those of the architecture.
    #[error("{path}: these are not the weights of {arch}:{}{}", list(.problems), resemblance(.resembles.as_deref()))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The architecture that the suite names.
        arch: String,
        /// One line for each tensor.
        problems: Vec<String>,
        /// The architecture whose weights they seem to be.
        resembles: Option<String>,
    },
}

fn resemblance(arch: Option<&str>) -> String {
    arch.map_or_else(String::new, |arch| format!("\n  they look like the weights of {arch}"))
}

fn list(problems: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text: String = problems.iter().take(SHOWN).map(|problem| format!("\n  {problem}")).collect();
    if problems.len() > SHOWN {
        text += &format!("\n  and {} more", problems.len() - SHOWN);
    }
    text
}

/// A safetensors file in memory, with its hash.
pub struct WeightsFile {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    /// The file's own notes (`__metadata__`).
    pub notes: BTreeMap<String, String>,
    /// blake3 of the file.
    pub hash: String,
}

impl WeightsFile {
    /// Reads all tensors as f32 (f16 and bf16 are widened, integers kept).
    ///
    /// # Errors
    /// If the file cannot be read, is not safetensors, holds NaN or infinity, or a dtype that weights do not have.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Read { path: path.into(), source })?;
        let format = |problem: String| WeightsError::Format { path: path.into(), problem };
        let damaged = |error| format(format!("{error}; the file may be truncated or damaged"));
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let kind = match view.dtype() {
                Dtype::F64 => Kind::Double,
                Dtype::F32 => Kind::Float,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::I64 => Kind::Int64,
                other => {
                    return Err(format(format!("tensor `{name}` has dtype {other:?}; weights are f32, f16 or bf16")));
                }
            };
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
                .map_err(|error| format(format!("tensor `{name}`: {error}")))?;
            let tensor = if kind == Kind::Int64 { tensor } else { tensor.to_kind(Kind::Float) };
            if kind != Kind::Int64 && tensor.isfinite().all().int64_value(&[]) == 0 {
                return Err(format(format!("tensor `{name}` holds NaN or infinity")));
            }
            tensors.insert(name, tensor);
        }
        let notes = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        let hash = blake3::hash(&bytes).to_hex().to_string();
        Ok(WeightsFile { path: path.into(), tensors, notes, hash })
    }

    /// The tensors by name.
    pub fn into_tensors(self) -> BTreeMap<String, Tensor> {
        self.tensors
    }

    /// Number of floating-point values, running statistics included.
    pub fn parameters(&self) -> u64 {
        self.tensors.values().filter(|tensor| tensor.kind() == Kind::Float).map(|tensor| tensor.numel() as u64).sum()
    }

    /// The shapes of the tensors of floating-point values.
    pub fn shapes(&self) -> BTreeMap<String, Vec<i64>> {
        let floats = self.tensors.iter().filter(|(_, tensor)| tensor.kind() == Kind::Float);
        floats.map(|(name, tensor)| (name.clone(), tensor.size())).collect()
    }

    /// The shape of a tensor, if the file has it.
    pub fn shape(&self, name: &str) -> Option<Vec<i64>> {
        self.tensors.get(name).map(Tensor::size)
    }
}

/// How a fresh parameter is drawn.
#[derive(Debug, Clone, Copy)]
pub enum Init {
    /// All the same value.
    Constant(f64),
    /// Normal with this standard deviation.
    Normal(f64),
}

enum Source<'a> {
    File(&'a WeightsFile),
    Fresh { seed: u64 },
    Outline,
}

/// What the tensors of a network are for, and how it computes.
struct Store<'a> {
    source: Source<'a>,
    used: BTreeSet<String>,
    problems: Vec<String>,
    parameters: BTreeMap<String, Tensor>,
    buffers: BTreeMap<String, Tensor>,
}

/// How a network computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute {
    /// Where.
    pub device: Device,
    /// Arithmetic of convolutions and matrix products; normalization, softmax and residual sums of transformers stay f32.
    pub kind: Kind,
    /// Convolution weights and activations with the channels innermost.
    pub channels_last: bool,
}

impl Compute {
    /// Plain f32 on a device: what verification uses.
    pub fn f32(device: Device) -> Self {
        Compute { device, kind: Kind::Float, channels_last: false }
    }
}

/// A place in the tree of parameter names, from which blocks take their tensors. `scope / "conv1"` goes down.
#[derive(Clone)]
pub struct Scope<'a> {
    store: Rc<RefCell<Store<'a>>>,
    prefix: String,
    /// How the network will compute.
    pub compute: Compute,
    /// Shared switch of all normalization layers: batch statistics (training) or running ones.
    pub training: Rc<Cell<bool>>,
    trainable: bool,
}

impl<'a> Scope<'a> {
    /// The root for weights from a file.
    pub fn file(file: &'a WeightsFile, compute: Compute) -> Self {
        Self::root(Source::File(file), compute, false)
    }

    /// The root for weights that are drawn from `seed` and will be trained.
    pub fn fresh(seed: u64, compute: Compute) -> Self {
        Self::root(Source::Fresh { seed }, compute, true)
    }

    /// The root for zeros that share one value in memory, to look at a network's form.
    pub fn outline(compute: Compute) -> Self {
        Self::root(Source::Outline, compute, false)
    }

    fn root(source: Source<'a>, compute: Compute, trainable: bool) -> Self {
        let store = Store {
            source,
            used: BTreeSet::new(),
            problems: Vec::new(),
            parameters: BTreeMap::new(),
            buffers: BTreeMap::new(),
        };
        Scope {
            store: Rc::new(RefCell::new(store)),
            prefix: String::new(),
            compute,
            training: Rc::new(Cell::new(trainable)),
            trainable,
        }
    }

    /// The full name of `name` here; the scope's own for an empty one.
    pub fn name(&self, name: &str) -> String {
        match (self.prefix.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.prefix.clone(),
            _ => format!("{}.{name}", self.prefix),
        }
    }

    /// A parameter of f32.
    pub fn parameter(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        let full = self.name(name);
        let tensor = self.take(&full, shape, init);
        let tensor = tensor.set_requires_grad(self.trainable);
        self.store.borrow_mut().parameters.insert(full, tensor.shallow_clone());
        tensor
    }

    /// A weight of a convolution or matrix product: in a network that is not trained, already in the precision and layout
    /// that it computes in.
    pub fn weight(&self, shape: &[i64], init: Init) -> Tensor {
        let weight = self.parameter("weight", shape, init);
        if self.trainable {
            return weight;
        }
        let weight = weight.to_kind(self.compute.kind);
        if self.compute.channels_last && shape.len() == 4 { channels_last(&weight) } else { weight }
    }

    /// The bias that goes with [`Scope::weight`].
    pub fn bias(&self, size: i64) -> Tensor {
        let bias = self.parameter("bias", &[size], Init::Constant(0.0));
        if self.trainable { bias } else { bias.to_kind(self.compute.kind) }
    }

    /// A tensor that is stored with the weights but not trained.
    pub fn buffer(&self, name: &str, shape: &[i64], value: f64) -> Tensor {
        let full = self.name(name);
        let tensor = self.take(&full, shape, Init::Constant(value));
        self.store.borrow_mut().buffers.insert(full, tensor.shallow_clone());
        tensor
    }

    /// A tensor that files of this framework may hold and that evaluation does not need.
    pub fn tolerate(&self, name: &str) {
        let full = self.name(name);
        self.store.borrow_mut().used.insert(full);
    }

    /// Tolerates a second set of everything taken under `name`, under the name `twin`.
    pub fn tolerate_twin(&self, name: &str, twin: &str) {
        let (name, twin) = (self.name(name) + ".", self.name(twin) + ".");
        let mut store = self.store.borrow_mut();
        let twins: Vec<String> =
            store.used.iter().filter_map(|used| Some(twin.clone() + used.strip_prefix(&name)?)).collect();
        store.used.extend(twins);
    }

    fn take(&self, full: &str, shape: &[i64], init: Init) -> Tensor {
        let mut store = self.store.borrow_mut();
        store.used.insert(full.to_owned());
        let tensor = match &store.source {
            Source::Fresh { seed } => draw(*seed, full, shape, init),
            Source::Outline => Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand(shape, false),
            Source::File(file) => match file.tensors.get(full) {
                Some(tensor) if tensor.size() == shape && tensor.kind() == Kind::Float => tensor.copy(),
                found => {
                    let problem = match found {
                        Some(tensor) if tensor.size() == shape => format!("`{full}` holds integers"),
                        Some(tensor) => format!("`{full}` has shape {:?}, expected {shape:?}", tensor.size()),
                        None => format!("`{full}` {shape:?} is missing"),
                    };
                    store.problems.push(problem);
                    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
                }
            },
        };
        tensor.to_device(self.compute.device)
    }

    /// Ends the construction: the named tensors, or every difference between the file and the architecture.
    pub fn finish(self, arch: &str) -> Result<Tensors, WeightsError> {
        let mut store = self.store.borrow_mut();
        if let Source::File(file) = store.source {
            let unexpected: Vec<String> = file
                .tensors
                .iter()
                .filter(|(name, _)| !store.used.contains(*name))
                .map(|(name, tensor)| format!("`{name}` {:?} is not part of the architecture", tensor.size()))
                .collect();
            store.problems.extend(unexpected);
            if !store.problems.is_empty() {
                let problems = std::mem::take(&mut store.problems);
                let found = Architecture::resembling(&file.shapes()).filter(|found| found.name != arch);
                let resembles = found.map(|found| found.name.to_owned());
                let (path, arch) = (file.path.clone(), arch.to_owned());
                return Err(WeightsError::Mismatch { path, arch, problems, resembles });
            }
        }
        let parameters = std::mem::take(&mut store.parameters);
        let buffers = std::mem::take(&mut store.buffers);
        Ok(Tensors { parameters, buffers, training: self.training.clone() })
    }
}

impl<'a> Div<&str> for &Scope<'a> {
    type Output = Scope<'a>;
    fn div(self, name: &str) -> Scope<'a> {
        Scope { prefix: self.name(name), ..self.clone() }
    }
}

impl<'a> Div<usize> for &Scope<'a> {
    type Output = Scope<'a>;
    fn div(self, index: usize) -> Scope<'a> {
        self / index.to_string().as_str()
    }
}

/// The tensors of a finished network, by name.
#[derive(Default)]
pub struct Tensors {
    /// What training changes by gradient.
    pub parameters: BTreeMap<String, Tensor>,
    /// What training changes otherwise (running statistics).
    pub buffers: BTreeMap<String, Tensor>,
    /// The switch of all normalization layers.
    pub training: Rc<Cell<bool>>,
}

/// The same values with the channels innermost in memory; shape `[N, C, H, W]` is kept.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Draws a parameter from a generator keyed by seed and name, so that no parameter's start depends on another's.
fn draw(seed: u64, name: &str, shape: &[i64], init: Init) -> Tensor {
    let deviation = match init {
        Init::Constant(value) => return Tensor::full(shape, value, (Kind::Float, Device::Cpu)),
        Init::Normal(deviation) => deviation,
    };
    let mut key = *blake3::hash(format!("{seed}/{name}").as_bytes()).as_bytes();
    key[31] ^= 1;
    let mut generator = ChaCha8Rng::from_seed(key);
    let mut uniform = move || (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| {
            let (u, v) = (1.0 - uniform(), uniform());
            ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * deviation) as f32
        })
        .collect();
    Tensor::from_slice(&values).reshape(shape)
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
