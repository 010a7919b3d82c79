//! Units that are asleep where a picture begins: no gradient comes through their rectifiers, or one that only sends them farther down. For the
//! first steps rectifiers leak backward, and what the optimizer remembers of that is brought to the size of the gradients that follow.

use std::cell::Cell;

use tch::{Kind, Tensor};

use crate::model::{Flow, Probe, Site, Tap};
use crate::terms::LayerName;

/// Rectifiers before the layer that leak first: those of its own. Behind them lies what the unit would be without.
pub(super) const OWN: usize = 2;

/// Layers that fall before they rise: below their lowest point the way up leads away from it.
const SMOOTH: [&str; 4] = ["GELU", "QuickGELU", "SiLU", "Hardswish"];

/// A tap behind rectifiers, of which those from a place on let negative values pass backward, while the forward pass stays what it is. A
/// layer that is itself a smooth rectifier then has the gradient of what it is computed from.
pub(super) struct Leaky<'a> {
    tap: Tap<'a>,
    from: Option<usize>,
    passed: Cell<usize>,
    before: Option<Tensor>,
    smooth: bool,
}

/// What a pass has seen.
pub(super) struct Seen {
    /// The layer's activation.
    pub activation: Tensor,
    /// Rectifiers on the way to it.
    pub rectifiers: usize,
    /// Whether the layer is a smooth rectifier.
    pub smooth: bool,
}

impl<'a> Leaky<'a> {
    /// A tap of `layer` behind rectifiers that leak from the place `from` on; none of them without one.
    pub fn new(layer: &'a LayerName, from: Option<usize>) -> Self {
        Leaky { tap: Tap::leaving(layer), from, passed: Cell::new(0), before: None, smooth: false }
    }

    /// What was seen; none if the layer was not passed.
    pub fn into_pass(self) -> Option<Seen> {
        let (rectifiers, smooth) = (self.passed.get(), self.smooth);
        self.tap.into_activation().map(|activation| Seen { activation, rectifiers, smooth })
    }
}

impl Probe for Leaky<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        if !self.tap.wants(site) {
            self.before = self.from.map(|_| activation.shallow_clone());
            return self.tap.visit(site, activation);
        }
        self.smooth = SMOOTH.contains(&site.kind.as_ref());
        match self.before.take().filter(|before| self.smooth && before.size() == activation.size()) {
            Some(before) => self.tap.visit(site, activation.detach() + &before - before.detach()),
            None => self.tap.visit(site, activation),
        }
    }

    fn wants(&self, site: &Site) -> bool {
        self.from.is_some() || self.tap.wants(site)
    }

    fn rectify(&self, x: &Tensor) -> Tensor {
        let positive = x.relu();
        let passed = self.passed.replace(self.passed.get() + 1);
        if self.from.is_none_or(|from| passed < from) {
            return positive;
        }
        let negative = x - &positive;
        positive + &negative - negative.detach()
    }
}

/// Where a gradient comes from: the sizes of those from different sources do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The network.
    Network = 0,
    /// The network with leaking rectifiers of the layer's own.
    OwnLeak = 1,
    /// All of them leaking.
    Leak = 2,
}

/// Where the gradients of each row come from.
#[derive(Default)]
pub(super) struct Sources {
    /// The source of each row's last gradient and its length; none before any row was asleep. Both `[R]`.
    last: Option<[Tensor; 2]>,
    /// By how much each row's gradients are longer than before, where they now come from elsewhere, else 1; `[R]`.
    pub factors: Option<Tensor>,
}

impl Sources {
    /// Compares the gradients `driven` with the ones before where they come from elsewhere: those of rows that are `asleep` from `source`,
    /// others from the network. Returns and keeps the factors.
    pub fn follow(&mut self, driven: &Tensor, asleep: &Tensor, source: Source) -> Option<&Tensor> {
        if self.last.is_none() && source == Source::Network {
            return None;
        }
        let length = driven.square().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float).sqrt();
        let from = asleep.to_kind(Kind::Float) * (source as i64);
        let Some([last_from, last_length]) = self.last.take() else {
            self.last = Some([from, length]);
            return None;
        };
        let known = length.gt(0.0);
        let compare = from.not_equal_tensor(&last_from).logical_and(&known).logical_and(&last_length.gt(0.0));
        self.factors = Some((&length / &last_length).where_self(&compare, &length.ones_like()));
        self.last = Some([from.where_self(&known, &last_from), length.where_self(&known, &last_length)]);
        self.factors.as_ref()
    }
}
