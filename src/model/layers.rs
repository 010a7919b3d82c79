//! The layers that networks are made of. Each shows its output to the probe under its own name.

use tch::{Kind, Tensor};

use super::probe::{Flow, Probe, Site};
use super::weights::{Compute, Init, Scope};

/// Layer normalization over the last dimension, in f32.
pub struct LayerNorm {
    site: Site,
    weight: Tensor,
    bias: Tensor,
    /// Both in the precision that the network computes in, unless they are trained.
    narrowed: Option<[Tensor; 2]>,
    width: i64,
    epsilon: f64,
    compute: Compute,
}

impl LayerNorm {
    /// Takes `weight` and `bias`, each `[width]`.
    pub fn new(scope: Scope, width: i64, epsilon: f64) -> Self {
        let (kind, fixed) = (scope.compute.kind, !scope.training.get());
        let weight = scope.parameter("weight", &[width], Init::Constant(1.0));
        let bias = scope.parameter("bias", &[width], Init::Constant(0.0));
        LayerNorm {
            site: Site::new(scope.name(""), "LayerNorm"),
            narrowed: fixed.then(|| [weight.to_kind(kind), bias.to_kind(kind)]),
            weight,
            bias,
            width,
            epsilon,
            compute: scope.compute,
        }
    }

    /// The same layer for activations that the framework holds as `[N, H, W, C]`.
    pub fn inner(self) -> Self {
        LayerNorm { site: self.site.inner(), ..self }
    }

    /// The same in front of a matrix product. On a GPU in bf16, `x` is narrowed before its normalization, which computes in f32 all the
    /// same, and not behind it: fewer bytes are moved.
    pub fn before_product(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        if !x.device().is_cuda() {
            return self.forward(x, probe);
        }
        // The GPU's kernel wants its parameters in the precision of the values.
        let narrow = |tensor: &Tensor| tensor.to_kind(self.compute.kind);
        let x = narrow(x);
        let y = match &self.narrowed {
            Some([weight, bias]) => self.normalized(&x, weight, bias),
            None => self.normalized(&x, &narrow(&self.weight), &narrow(&self.bias)),
        };
        self.site.show(y, probe)
    }

    /// Shape is kept.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        self.site.show(self.normalized(x, &self.weight, &self.bias), probe)
    }

    fn normalized(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
        x.layer_norm([self.width], Some(weight), Some(bias), self.epsilon, true)
    }
}

/// A matrix product over the last dimension.
pub struct Linear {
    /// Where probes see the output.
    pub site: Site,
    weight: Tensor,
    bias: Option<Tensor>,
    compute: Compute,
}

impl Linear {
    /// Takes `weight` `[output, input]` and `bias` `[output]`. Fresh weights: normal with the variance 2 / (input + output) of
    /// Glorot and Bengio 2010.
    pub fn new(scope: Scope, input: i64, output: i64) -> Self {
        let bias = scope.bias(output);
        Linear { bias: Some(bias), ..Linear::without_bias(scope, input, output) }
    }

    /// The same without `bias`.
    pub fn without_bias(scope: Scope, input: i64, output: i64) -> Self {
        let deviation = (2.0 / (input + output) as f64).sqrt();
        Linear {
            site: Site { macs_per_value: input as u64, ..Site::new(scope.name(""), "Linear") },
            weight: scope.weight(&[output, input], Init::Normal(deviation)),
            bias: None,
            compute: scope.compute,
        }
    }

    /// The same layer for activations that the framework holds as `[N, H, W, C]`.
    pub fn inner(self) -> Self {
        Linear { site: self.site.inner(), ..self }
    }

    /// `[.., in]` to `[.., out]`, in the precision that the network computes in.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        self.site.show(self.product(x), probe)
    }

    /// What [`Linear::forward`] shows.
    pub fn product(&self, x: &Tensor) -> Tensor {
        let kind = self.compute.kind;
        let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
        x.to_kind(kind).linear(&self.weight.to_kind(kind), bias)
    }
}

/// A factor for each feature (Touvron et al. 2021, <https://arxiv.org/abs/2103.17239>), in f32.
pub struct LayerScale {
    site: Site,
    gamma: Tensor,
}

impl LayerScale {
    /// Takes `gamma` `[width]`.
    pub fn new(scope: Scope, width: i64) -> Self {
        let gamma = scope.parameter("gamma", &[width], Init::Constant(1e-5));
        LayerScale { site: Site::new(scope.name(""), "LayerScale"), gamma }
    }

    /// `[.., width]` to the same; without a layer scale as it is.
    pub fn forward(scale: Option<&LayerScale>, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        match scale {
            Some(scale) => probe.visit(&scale.site, x * &scale.gamma),
            None => Flow::Continue(x),
        }
    }
}

/// Widens to f32, where normalization, softmax and residual sums happen.
pub fn wide(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float)
}
