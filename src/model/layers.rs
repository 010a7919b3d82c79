//! The layers that networks are made of. Each shows its output to the probe under its own name.

use tch::{Kind, Tensor};

use super::probe::{Flow, Probe, Site};
use super::weights::{Compute, Init, Scope};

/// Layer normalization over the last dimension, in f32.
pub struct LayerNorm {
    site: Site,
    weight: Tensor,
    bias: Tensor,
    width: i64,
    epsilon: f64,
}

impl LayerNorm {
    /// Takes `weight` and `bias`, each `[width]`.
    pub fn new(scope: Scope, width: i64, epsilon: f64) -> Self {
        LayerNorm {
            site: Site::new(scope.name(""), "LayerNorm"),
            weight: scope.parameter("weight", &[width], Init::Constant(1.0)),
            bias: scope.parameter("bias", &[width], Init::Constant(0.0)),
            width,
            epsilon,
        }
    }

    /// The same layer for activations that the framework holds as `[N, H, W, C]`.
    pub fn inner(self) -> Self {
        LayerNorm { site: self.site.inner(), ..self }
    }

    /// Shape is kept.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = x.layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.epsilon, true);
        self.site.show(y, probe)
    }
}

/// A matrix product with bias over the last dimension.
pub struct Linear {
    site: Site,
    weight: Tensor,
    bias: Tensor,
    compute: Compute,
}

impl Linear {
    /// Takes `weight` `[output, input]` and `bias` `[output]`. Fresh weights: normal with standard deviation 0.02 or, if
    /// smaller layers need more, 1/sqrt(input) of Xavier's rule.
    pub fn new(scope: Scope, input: i64, output: i64) -> Self {
        let deviation = (2.0 / (input + output) as f64).sqrt();
        Linear {
            site: Site { macs_per_value: input as u64, ..Site::new(scope.name(""), "Linear") },
            weight: scope.weight(&[output, input], Init::Normal(deviation)),
            bias: scope.bias(output),
            compute: scope.compute,
        }
    }

    /// The same layer for activations that the framework holds as `[N, H, W, C]`.
    pub fn inner(self) -> Self {
        Linear { site: self.site.inner(), ..self }
    }

    /// `[.., in]` to `[.., out]`, in the precision that the network computes in.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let kind = self.compute.kind;
        let y = x.to_kind(kind).linear(&self.weight.to_kind(kind), Some(self.bias.to_kind(kind)));
        self.site.show(y, probe)
    }
}

/// Widens to f32, where normalization, softmax and residual sums happen.
pub fn wide(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float)
}
