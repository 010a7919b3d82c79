//! Parameters by name: read from safetensors with a strict two-way check, or drawn for training.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Div;
use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use crate::random::{Stream, normal_pair};

mod file;
mod names;

pub use file::{WeightsError, WeightsFile};

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
    /// Tensors that the file does not have, with the shapes that they should have.
    missing: Vec<(String, Vec<i64>)>,
    /// What is wrong with its tensors, one line for each, missing ones included.
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
    /// Whether f32 may be rounded to TF32 in convolutions and matrix products, on a GPU.
    pub tf32: bool,
    /// Whether a first convolution with a stride takes its pixels in blocks, for which a CPU finds gradients in half the time; results differ
    /// by rounding.
    pub stem_blocks: bool,
    /// Whether batch normalization is folded into the convolution before it, whose output then is not computed unless a probe wants it:
    /// the same function but for rounding, in fewer passes over the activations.
    pub folded: bool,
}

impl Compute {
    /// Plain f32 on a device: what verification uses.
    pub fn f32(device: Device) -> Self {
        Compute { device, kind: Kind::Float, channels_last: false, tf32: false, folded: false, stem_blocks: false }
    }
}

/// A place in the tree of parameter names, from which blocks take their tensors. `scope / "conv1"` goes down.
#[derive(Clone)]
pub struct Scope<'a> {
    store: Rc<RefCell<Store<'a>>>,
    prefix: String,
    /// What stands between the prefix and a tensor's own name.
    separator: &'static str,
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
            missing: Vec::new(),
            problems: Vec::new(),
            parameters: BTreeMap::new(),
            buffers: BTreeMap::new(),
        };
        Scope {
            store: Rc::new(RefCell::new(store)),
            prefix: String::new(),
            separator: ".",
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
            _ => format!("{}{}{name}", self.prefix, self.separator),
        }
    }

    /// The same place, whose tensors are named with another separator than a point: `in_proj_weight`.
    pub fn separated_by(self, separator: &'static str) -> Self {
        Scope { separator, ..self }
    }

    /// The shape of a tensor in the file; none where there is no file, or no such tensor in it.
    pub fn stored(&self, name: &str) -> Option<Vec<i64>> {
        match self.store.borrow().source {
            Source::File(file) => file.shape(&self.name(name)),
            Source::Fresh { .. } | Source::Outline => None,
        }
    }

    /// The epsilon of layer normalization: that of the framework which the file is from, or else `usual`.
    pub fn layer_norm_epsilon(&self, usual: f64) -> f64 {
        match self.store.borrow().source {
            Source::File(file) => file.layer_norm_epsilon.unwrap_or(usual),
            Source::Fresh { .. } | Source::Outline => usual,
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
        self.fitted(self.parameter("weight", shape, init))
    }

    /// A weight of f32 as [`Scope::weight`] gives it.
    pub fn fitted(&self, weight: Tensor) -> Tensor {
        if self.trainable {
            return weight;
        }
        let weight = weight.to_kind(self.compute.kind);
        if self.compute.channels_last && weight.dim() == 4 { channels_last(&weight) } else { weight }
    }

    /// The bias that goes with [`Scope::weight`].
    pub fn bias(&self, size: i64) -> Tensor {
        let bias = self.parameter("bias", &[size], Init::Constant(0.0));
        if self.trainable { bias } else { bias.to_kind(self.compute.kind) }
    }

    /// A parameter of f32 that was taken here before; none if there is none.
    pub fn stored_parameter(&self, name: &str) -> Option<Tensor> {
        self.store.borrow().parameters.get(&self.name(name)).map(Tensor::shallow_clone)
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
                Some(tensor) if tensor.size() == shape && tensor.kind() == Kind::Float => match file.outline {
                    true => tensor.shallow_clone(),
                    false => tensor.copy(),
                },
                found => {
                    let problem = match (found, file.others.get(full)) {
                        (Some(tensor), _) if tensor.size() == shape => format!("`{full}` holds integers"),
                        (Some(tensor), _) => format!("`{full}` has shape {:?}, expected {shape:?}", tensor.size()),
                        (None, Some((dtype, _))) => {
                            format!("`{full}` has dtype {dtype}; weights are f32, f16, bf16 or f64")
                        }
                        (None, None) => {
                            store.missing.push((full.to_owned(), shape.to_vec()));
                            format!("`{full}` {shape:?} is missing")
                        }
                    };
                    store.problems.push(problem);
                    Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand(shape, false)
                }
            },
        };
        tensor.to_device(self.compute.device)
    }

    /// Ends the construction of the architecture `arch`, whose classes are told by the tensor `classifier`: the named tensors, or
    /// every difference between the file and the architecture.
    pub(super) fn finish(self, arch: &str, classifier: &str) -> Result<Tensors, WeightsError> {
        let mut store = self.store.borrow_mut();
        if let Source::File(file) = store.source {
            names::compare(file, arch, classifier, &store)?;
        }
        let parameters = std::mem::take(&mut store.parameters);
        let buffers = std::mem::take(&mut store.buffers);
        Ok(Tensors { parameters, buffers, training: self.training.clone() })
    }
}

impl<'a> Div<&str> for &Scope<'a> {
    type Output = Scope<'a>;
    fn div(self, name: &str) -> Scope<'a> {
        Scope { prefix: self.name(name), separator: ".", ..self.clone() }
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
    // The second stream: the first is that of a noise whose scope has the parameter's name.
    let mut stream = Stream::second(&[format!("{seed}/{name}").as_bytes()]);
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| {
            let (u, v) = (1.0 - stream.fine_unit(), stream.fine_unit());
            (normal_pair(u, v)[0] * deviation) as f32
        })
        .collect();
    Tensor::from_slice(&values).reshape(shape)
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
