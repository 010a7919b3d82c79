//! How activations leave a network: a forward pass shows each one, by name, to a [`Probe`], which may stop it there.

use std::borrow::Cow;
use std::ops::ControlFlow;

use tch::{NoGradGuard, Tensor};

use crate::terms::LayerName;

/// The outcome of a pass or a part of one: `Break` once a probe has all it wants.
pub type Flow<T> = ControlFlow<(), T>;

/// A place in a network that probes can see.
#[derive(Debug, Clone)]
pub struct Site {
    /// The place's name in its own framework.
    pub name: LayerName,
    /// What computes the activation (`Conv2d`, `GELU`, `BasicBlock`).
    pub kind: Cow<'static, str>,
    /// Multiplications and additions for each value of the output.
    pub macs_per_value: u64,
    /// Whether the framework holds the activation as `[N, H, W, C]`. Probes see it as `[N, C, H, W]`, like all others.
    pub channels_inner: bool,
    /// Whether this is another name of the activation that was shown last.
    pub again: bool,
    /// Whether a person would name it: a module or a block, no value in between. Depths look for these first.
    pub landmark: bool,
}

impl Site {
    /// A place whose own arithmetic is negligible beside that of convolutions and matrix products.
    pub fn new(name: impl Into<LayerName>, kind: impl Into<Cow<'static, str>>) -> Self {
        Site {
            name: name.into(),
            kind: kind.into(),
            macs_per_value: 0,
            channels_inner: false,
            again: false,
            landmark: true,
        }
    }

    /// The same place, whose activation the framework holds as `[N, H, W, C]`.
    pub fn inner(self) -> Self {
        Site { channels_inner: true, ..self }
    }

    /// Shows an activation of four dimensions, in the framework's order of them, and hands it back in that order.
    pub fn show(&self, activation: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        if !self.channels_inner {
            return probe.visit(self, activation);
        }
        let probed = probe.visit(self, activation.permute([0, 3, 1, 2]))?;
        ControlFlow::Continue(probed.permute([0, 2, 3, 1]))
    }
}

/// Sees the activations of a forward pass in order and may end it.
pub trait Probe {
    /// Takes the activation of `site` and hands back what the network goes on with, or `Break` to leave the network.
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor>;

    /// Whether this probe needs the activation of `site` to exist and to stay as it was shown: fused kernels skip those that nobody wants, and
    /// later layers may overwrite them.
    fn wants(&self, _site: &Site) -> bool {
        false
    }

    /// The rectified linear unit; a probe may change its backward pass, never its value.
    fn rectify(&self, x: &Tensor) -> Tensor {
        x.relu()
    }

    /// Whether it changes the backward pass of a transformer's pieces; fused kernels have none.
    fn wants_pieces(&self) -> bool {
        false
    }

    /// A piece of a transformer's block; a probe may change its backward pass, never its value.
    fn piece(&mut self, _piece: Piece, value: Tensor) -> Tensor {
        value
    }
}

/// A piece of a transformer's block whose gradient may be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The residual stream `[N, T, D]`, behind attention and behind the MLP.
    Stream,
    /// Attention weights `[N, heads, T, T]`, behind the softmax.
    Weights,
    /// Queries, keys and values `[N, T, 3 * D]`.
    Qkv,
    /// What an MLP gives `[N, T, D]`.
    Mlp,
}

/// Lets everything pass.
pub struct NoProbe;

impl Probe for NoProbe {
    fn visit(&mut self, _site: &Site, activation: Tensor) -> Flow<Tensor> {
        ControlFlow::Continue(activation)
    }
}

/// Keeps the activation of one layer, and on demand leaves the network there.
pub struct Tap<'a> {
    layer: &'a LayerName,
    behind: Behind,
    activation: Option<Tensor>,
    /// From the layer on, where nothing behind it is differentiated.
    without_gradients: Option<NoGradGuard>,
}

/// What becomes of a pass behind a tapped layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// It ends.
    Ends,
    /// It goes on to the logits.
    GoesOn,
    /// It goes on, and keeps nothing for a backward pass.
    GoesOnWithoutGradients,
}

impl<'a> Tap<'a> {
    /// Takes the activation and leaves: nothing behind the layer is computed.
    pub fn leaving(layer: &'a LayerName) -> Self {
        Tap::new(layer, Behind::Ends)
    }

    /// Takes the activation and lets the pass go on to the logits.
    pub fn passing(layer: &'a LayerName) -> Self {
        Tap::new(layer, Behind::GoesOn)
    }

    /// The same, but the logits have no gradient: that of the activation is all that is asked for. The tap is taken apart before anything
    /// else is computed that needs gradients.
    pub fn passing_without_gradients(layer: &'a LayerName) -> Self {
        Tap::new(layer, Behind::GoesOnWithoutGradients)
    }

    fn new(layer: &'a LayerName, behind: Behind) -> Self {
        Tap { layer, behind, activation: None, without_gradients: None }
    }

    /// What was seen; none if no layer of that name was passed.
    pub fn into_activation(self) -> Option<Tensor> {
        self.activation
    }
}

impl Probe for Tap<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        if &site.name == self.layer && self.activation.is_none() {
            self.activation = Some(activation.shallow_clone());
            match self.behind {
                Behind::Ends => return ControlFlow::Break(()),
                Behind::GoesOn => {}
                Behind::GoesOnWithoutGradients => self.without_gradients = Some(tch::no_grad_guard()),
            }
        }
        ControlFlow::Continue(activation)
    }

    fn wants(&self, site: &Site) -> bool {
        &site.name == self.layer
    }
}

/// Keeps the activations of several layers, and on demand leaves the network after the last of them.
pub struct Taps<'a> {
    layers: &'a [LayerName],
    leave: bool,
    activations: Vec<Option<Tensor>>,
}

impl<'a> Taps<'a> {
    /// Keeps the activations of `layers`; the pass goes on to the logits.
    pub fn new(layers: &'a [LayerName]) -> Self {
        Taps { layers, leave: false, activations: layers.iter().map(|_| None).collect() }
    }

    /// The same, but nothing behind the last of the layers is computed.
    pub fn leaving(layers: &'a [LayerName]) -> Self {
        Taps { leave: true, ..Taps::new(layers) }
    }

    /// What was seen, in the order of the layers asked for.
    pub fn into_activations(self) -> Vec<Option<Tensor>> {
        self.activations
    }
}

impl Probe for Taps<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        for (layer, slot) in self.layers.iter().zip(&mut self.activations) {
            if &site.name == layer && slot.is_none() {
                *slot = Some(activation.shallow_clone());
            }
        }
        if self.leave && self.activations.iter().all(Option::is_some) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(activation)
    }

    fn wants(&self, site: &Site) -> bool {
        self.layers.contains(&site.name)
    }
}

/// Cuts the graph at a layer: what lies behind sees a leaf, with respect to which gradients can be taken.
pub struct Cut<'a> {
    layer: &'a LayerName,
    leaf: Option<Tensor>,
}

impl<'a> Cut<'a> {
    /// Cuts at `layer`; the pass goes on to the logits.
    pub fn at(layer: &'a LayerName) -> Self {
        Cut { layer, leaf: None }
    }

    /// The layer's activation, a leaf of the graph; none if no layer of that name was passed.
    pub fn into_leaf(self) -> Option<Tensor> {
        self.leaf
    }
}

impl Probe for Cut<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        if &site.name != self.layer || self.leaf.is_some() {
            return ControlFlow::Continue(activation);
        }
        let leaf = activation.detach().set_requires_grad(true);
        self.leaf = Some(leaf.shallow_clone());
        ControlFlow::Continue(leaf)
    }

    fn wants(&self, site: &Site) -> bool {
        &site.name == self.layer
    }
}

/// One line of a layer listing.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LayerInfo {
    /// The layer's name.
    pub name: LayerName,
    /// What computes it.
    pub kind: Cow<'static, str>,
    /// Other names of the same activation: those of the node and of its value, where a file's graph has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<LayerName>,
    /// Shape of its activation for one image, without the batch dimension: `[C, H, W]`, `[T, D]` or `[D]`.
    pub shape: Vec<i64>,
    /// Whether the framework holds the activation as `[N, H, W, C]`.
    #[serde(skip)]
    pub channels_inner: bool,
    /// Whether it is a module or a block, no value in between.
    #[serde(skip)]
    pub landmark: bool,
    /// Number of units: channels, features or heads.
    pub units: usize,
    /// Multiply-adds of this layer alone, as a share of the whole forward pass.
    #[serde(rename = "own")]
    pub own_share: f64,
    /// Multiply-adds of the network up to and with this layer, as a share of the whole forward pass.
    pub share: f64,
}

impl LayerInfo {
    /// A layer that costs nothing of its own and lies behind the whole pass.
    pub fn bare(name: &str, kind: &'static str, shape: &[i64]) -> Self {
        let units = if shape.len() == 3 { shape[0] } else { shape.last().copied().unwrap_or(1) };
        LayerInfo {
            name: name.into(),
            kind: kind.into(),
            also: Vec::new(),
            shape: shape.to_vec(),
            channels_inner: false,
            landmark: true,
            units: units as usize,
            own_share: 0.0,
            share: 1.0,
        }
    }

    /// The same layer by another of its names.
    pub fn called(mut self, name: LayerName) -> Self {
        if let Some(place) = self.also.iter().position(|other| *other == name) {
            self.also[place] = std::mem::replace(&mut self.name, name);
        }
        self
    }

    /// All of its names, its own first.
    pub fn names(&self) -> impl Iterator<Item = &LayerName> {
        std::iter::once(&self.name).chain(&self.also)
    }
}

/// Writes down every layer with shape and cost.
#[derive(Default)]
pub struct Recorder {
    layers: Vec<(LayerInfo, u64)>,
}

impl Recorder {
    /// The layers in the order of the pass.
    pub fn into_layers(self) -> Vec<LayerInfo> {
        let total: u64 = self.layers.iter().map(|(_, macs)| macs).sum();
        // Where no layer tells its cost (a script), each is taken to need the whole pass.
        let share = |macs: u64| if total == 0 { 1.0 } else { macs as f64 / total as f64 };
        let mut so_far = 0;
        self.layers
            .into_iter()
            .map(|(mut info, macs)| {
                so_far += macs;
                (info.own_share, info.share) = (share(macs), share(so_far));
                info
            })
            .collect()
    }
}

impl Probe for Recorder {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        if let Some((known, _)) = self.layers.last_mut().filter(|_| site.again) {
            known.also.push(site.name.clone());
            known.landmark |= site.landmark;
            return ControlFlow::Continue(activation);
        }
        let size = activation.size();
        let shape = size[1..].to_vec();
        let units = if size.len() == 4 { size[1] } else { *size.last().unwrap_or(&1) };
        let values: i64 = shape.iter().product();
        let macs = values as u64 * site.macs_per_value;
        let info = LayerInfo {
            name: site.name.clone(),
            kind: site.kind.clone(),
            also: Vec::new(),
            shape,
            channels_inner: site.channels_inner,
            landmark: site.landmark,
            units: units as usize,
            own_share: 0.0,
            share: 0.0,
        };
        self.layers.push((info, macs));
        ControlFlow::Continue(activation)
    }

    fn wants(&self, site: &Site) -> bool {
        site.name.as_str() != crate::suite::LOGITS || site.kind != "Logits"
    }
}
