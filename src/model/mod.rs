//! Networks whose every layer a [`Probe`] can see, with their weights and their normalization.

mod architecture;
pub mod backend;
mod backward;
mod choice;
mod convnext;
mod convolution;
mod densenet;
mod directions;
mod layers;
mod mobilenet;
mod probe;
mod reason;
mod registry;
mod residual;
mod source;
mod squeezenet;
pub mod swin;
mod tokens;
mod transformer;
mod vgg;
pub mod vit;
mod weights;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;

use tch::{Device, Kind, Tensor};

pub use architecture::{Architecture, Family, Geometry};
pub use backend::{TORCHSCRIPT, no_gradient, survey};
pub use backward::Rewired;
pub use choice::depths;
pub use directions::Directions;
pub use probe::{Cut, Flow, LayerInfo, NoProbe, Piece, Probe, Recorder, Site, Tap, Taps};
pub use reason::reason;
pub use source::ModelSource;
pub use tokens::Tokens;
pub use weights::{Compute, Init, Scope, Tensors, WeightsError, WeightsFile, channels_last};

use backend::Built;

use crate::cuda::allow_tf32;
use crate::suite::{Backward, LOGITS, NO_LAYERS, Normalize};
use crate::terms::LayerName;

/// A network from normalized pixels `[N, C, H, W]` to logits `[N, classes]`.
pub trait Network {
    /// The forward pass, shown layer by layer to `probe`.
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor>;

    /// What the tokens of activations `[N, T, D]` are.
    fn tokens(&self) -> Tokens {
        Tokens::default()
    }

    /// Heads of its attention layers, if all have the same number.
    fn heads(&self) -> Option<i64> {
        None
    }

    /// The residual stream `[N, T, D]` behind the last normalization, if the network has one.
    fn final_norm(&self, _: &Tensor) -> Option<Tensor> {
        None
    }

    /// Features of the stream that this normalizes.
    fn normed_width(&self) -> Option<i64> {
        None
    }

    /// Whether its backward pass can be changed so: whether it shows a probe the pieces that it takes.
    fn rewires(&self, _: Backward) -> bool {
        false
    }
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No such architecture.
    #[error("unknown architecture `{name}`; {near}")]
    UnknownArchitecture {
        /// What was asked for.
        name: String,
        /// Near names, or all.
        near: String,
    },
    /// No such layer.
    #[error("model `{model}` has no layer `{layer}`; {near}")]
    UnknownLayer {
        /// The model.
        model: String,
        /// What was asked for.
        layer: LayerName,
        /// Near names, or all.
        near: String,
    },
    /// No such unit.
    #[error("layer `{layer}` of model `{model}` has no unit {unit}: {problem}")]
    UnknownUnit {
        /// The model.
        model: String,
        /// The layer.
        layer: LayerName,
        /// What was asked for.
        unit: String,
        /// What units there are.
        problem: String,
    },
    /// The weights are unusable.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file's network is unusable.
    #[error(transparent)]
    Graph(#[from] backend::GraphError),
    /// Something about the model as a whole.
    #[error("model `{model}`: {problem}")]
    Unusable {
        /// The model.
        model: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

pub(crate) use crate::wording::did_you_mean as nearest;

impl ModelError {
    /// The error, about the model that the suite calls `name`.
    fn named(self, name: &str) -> Self {
        match self {
            ModelError::Unusable { problem, .. } => ModelError::Unusable { model: name.to_owned(), problem },
            other => other,
        }
    }
}

/// Its kind.
const LOGITS_KIND: &str = "Logits";

/// A classifier of images with pixels in [0, 1]; normalization happens inside.
pub struct Model {
    /// The model's name in the suite.
    pub name: String,
    /// Number of classes.
    pub classes: i64,
    /// Channels, rows and columns of its images.
    pub input: [i64; 3],
    /// How it computes.
    pub compute: Compute,
    /// Number of parameters.
    pub parameters: u64,
    /// Whether the network returns probabilities: then their logarithms stand for logits, which gives the same predictions, and
    /// gradients where those of a softmax vanish.
    pub probabilities: bool,
    /// Passes of the network whose logits are averaged into one answer: expectation over its randomness (Athalye et al. 2018,
    /// <https://arxiv.org/abs/1802.00420>). 1 for a network that answers the same each time.
    pub repeats: usize,
    /// Directions in its layers' activations, which units name.
    pub directions: Directions,
    network: Box<dyn Network>,
    /// The cuts of a pass whose backward pass is edited.
    rewired: RefCell<Option<Rewired>>,
    mean: Tensor,
    deviation: Tensor,
    tensors: Tensors,
}

#[cfg(test)]
thread_local! {
    /// Images that networks were shown on this thread, each as often as answers are averaged.
    static SEEN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Images that networks were shown on this thread, each as often as answers are averaged.
#[cfg(test)]
pub(crate) fn passes_seen() -> u64 {
    SEEN.with(std::cell::Cell::get)
}

impl Model {
    /// A model around any network. Computes in f32 on the CPU.
    pub fn custom(name: &str, network: Box<dyn Network>, geometry: Geometry, normalize: &Normalize) -> Model {
        let (compute, tensors) = (Compute::f32(Device::Cpu), Tensors::default());
        Model::around(name, Built { network, compute, tensors }, geometry, normalize)
    }

    /// A model of the same images and device around another network, such as a readout of this one's layers, with so many classes.
    /// The network takes pixels in [0, 1].
    pub fn with_head(&self, network: Box<dyn Network>, classes: i64) -> Model {
        let [channels, height, width] = self.input;
        let count = channels as usize;
        let plain = Normalize { mean: vec![0.0; count], std: vec![1.0; count] };
        let geometry = Geometry { channels, height, width, classes };
        let (compute, tensors) = (Compute::f32(self.device()), Tensors::default());
        Model::around(&self.name, Built { network, compute, tensors }, geometry, &plain)
    }

    /// A model with fresh parameters, to be trained.
    pub fn fresh(
        arch: &'static Architecture,
        seed: u64,
        compute: Compute,
        normalize: &Normalize,
        geometry: Geometry,
    ) -> Result<Model, ModelError> {
        let built = arch.built(Scope::fresh(seed, compute), geometry)?;
        Ok(Model::around(arch.name, built, geometry, normalize))
    }

    fn around(name: &str, built: Built, geometry: Geometry, normalize: &Normalize) -> Model {
        let Built { network, compute, tensors } = built;
        let channel = |values: &[f32]| Tensor::from_slice(values).view([1, -1, 1, 1]).to_device(compute.device);
        Model {
            name: name.to_owned(),
            classes: geometry.classes,
            input: geometry.image(),
            compute,
            parameters: tensors.parameters.values().map(|tensor| tensor.numel() as u64).sum(),
            probabilities: false,
            repeats: 1,
            directions: Directions::default(),
            network,
            rewired: RefCell::new(None),
            mean: channel(&normalize.mean),
            deviation: channel(&normalize.std),
            tensors,
        }
    }

    /// Logits `[N, classes]` in f32 of pixels `[N, C, H, W]` in [0, 1], or `Break` if the probe left the network.
    pub fn forward(&self, pixels: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        #[cfg(test)]
        SEEN.with(|count| count.set(count.get() + (pixels.size()[0] as u64) * self.repeats.max(1) as u64));
        if self.compute.device.is_cuda() {
            // One switch for the process: the backward pass comes before any other network's forward pass.
            allow_tf32(self.compute.tf32);
        }
        let normalized = (pixels - &self.mean) / &self.deviation;
        let normalized = if self.compute.channels_last { channels_last(&normalized) } else { normalized };
        let mut rewired = self.rewired.borrow_mut();
        if let Some(rewired) = rewired.as_mut() {
            // Networks of known pieces answer the same each time.
            let mut rewiring = backward::Rewiring { probe, rewired };
            let logits = self.as_logits(self.network.forward(normalized, &mut rewiring)?);
            return self.show_logits(logits, probe);
        }
        drop(rewired);
        let mut logits = self.as_logits(self.network.forward(normalized.shallow_clone(), probe)?);
        for _ in 1..self.repeats {
            // What is probed is the first pass's.
            logits += self.as_logits(self.network.forward(normalized.shallow_clone(), &mut NoProbe)?);
        }
        let logits = if self.repeats > 1 { logits / self.repeats as f64 } else { logits };
        self.show_logits(logits, probe)
    }

    /// Shows the layer that every network has, whatever it shows by itself.
    fn show_logits(&self, logits: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let site = Site::new(LOGITS, LOGITS_KIND);
        if probe.wants(&site) { probe.visit(&site, logits) } else { ControlFlow::Continue(logits) }
    }

    fn as_logits(&self, answer: Tensor) -> Tensor {
        let answer = answer.to_kind(Kind::Float);
        if self.probabilities { answer.clamp_min(f64::from(f32::MIN_POSITIVE)).log() } else { answer }
    }

    /// Logits `[N, classes]` in f32 of pixels `[N, C, H, W]` in [0, 1].
    pub fn logits(&self, pixels: &Tensor) -> Tensor {
        match self.forward(pixels, &mut NoProbe) {
            ControlFlow::Continue(logits) => logits,
            ControlFlow::Break(()) => unreachable!("NoProbe never leaves the network"),
        }
    }

    /// The activation of `layer`; nothing behind the layer is computed.
    ///
    /// # Errors
    /// If there is no such layer.
    pub fn tap(&self, pixels: &Tensor, layer: &LayerName) -> Result<Tensor, ModelError> {
        let mut tap = Tap::leaving(layer);
        let _ = self.forward(pixels, &mut tap);
        tap.into_activation().ok_or_else(|| self.unknown_layer(layer))
    }

    /// Every layer, in the order of the pass.
    pub fn layers(&self) -> Vec<LayerInfo> {
        let [channels, height, width] = self.input;
        let gray = Tensor::full([1, channels, height, width], 0.5, (Kind::Float, self.compute.device));
        let mut recorder = Recorder::default();
        let _ = tch::no_grad(|| self.forward(&gray, &mut recorder));
        recorder.into_layers()
    }

    /// What is known about `layer`.
    ///
    /// # Errors
    /// If there is no such layer: near names.
    pub fn layer(&self, layer: &LayerName) -> Result<LayerInfo, ModelError> {
        if let Some(info) = self.layers().into_iter().find(|info| info.names().any(|name| name == layer)) {
            return Ok(info.called(layer.clone()));
        }
        if layer.as_str() == LOGITS {
            return Ok(LayerInfo::bare(LOGITS, LOGITS_KIND, &[self.classes]));
        }
        Err(self.unknown_layer(layer))
    }

    /// That there is no such layer: near names.
    pub fn unknown_layer(&self, layer: &LayerName) -> ModelError {
        let layers = self.layers();
        let near = match layers.is_empty() {
            true => NO_LAYERS.to_owned(),
            false => nearest(layer.as_str(), layers.iter().flat_map(|info| info.names()).map(|name| name.as_str())),
        };
        ModelError::UnknownLayer { model: self.name.clone(), layer: layer.clone(), near }
    }

    /// What `pass` gives, and the backward pass, changed so, of the one forward pass that it makes.
    pub fn rewired<T>(&self, backward: Backward, pass: impl FnOnce() -> T) -> (T, Rewired) {
        self.rewired.replace(Some(Rewired::new(backward)));
        let passed = pass();
        let rewired = self.rewired.take().unwrap_or_else(|| Rewired::new(backward));
        (passed, rewired)
    }

    /// Whether the network's backward pass can be changed so.
    pub fn rewires(&self, backward: Backward) -> bool {
        self.network.rewires(backward)
    }

    /// What the tokens of activations `[N, T, D]` are.
    pub fn tokens(&self) -> Tokens {
        self.network.tokens()
    }

    /// Heads of its attention layers, if all have the same number.
    pub fn heads(&self) -> Option<i64> {
        self.network.heads()
    }

    /// The residual stream `[N, T, D]` behind the network's last normalization, if there is one.
    pub fn normed(&self, stream: &Tensor) -> Option<Tensor> {
        self.network.final_norm(stream)
    }

    /// Features of the residual stream that the network's last normalization takes, if there is one.
    pub fn normed_width(&self) -> Option<i64> {
        self.network.normed_width()
    }

    /// The named tensors.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// Where the model computes.
    pub fn device(&self) -> Device {
        self.compute.device
    }
}

/// A weights file that ships with the program, relative to the repository's root.
pub fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("models")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    files
}
