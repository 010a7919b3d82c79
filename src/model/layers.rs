//! The layers that networks are made of. Each shows its output to the probe under its own name.

use std::cell::Cell;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::probe::{Flow, Probe, Site};
use super::weights::{Compute, Init, Scope};

/// 2-d convolution of `[N, in, H, W]` with square kernels.
pub struct Conv2d {
    site: Site,
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
    compute: Compute,
}

impl Conv2d {
    /// Takes `weight` `[output, input, kernel, kernel]`, and `bias` if there is one. Fresh weights: He et al. 2015, fan-out.
    pub fn new(scope: Scope, input: i64, output: i64, kernel: i64, stride: i64, padding: i64, bias: bool) -> Self {
        let deviation = (2.0 / (output * kernel * kernel) as f64).sqrt();
        Conv2d {
            site: Site { macs_per_value: (input * kernel * kernel) as u64, ..Site::new(scope.name(""), "Conv2d") },
            weight: scope.weight(&[output, input, kernel, kernel], Init::Normal(deviation)),
            bias: bias.then(|| scope.bias(output)),
            stride,
            padding,
            compute: scope.compute,
        }
    }

    /// `[N, in, H, W]` to `[N, out, H', W']`.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let kind = self.compute.kind;
        let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let y = x.to_kind(kind).conv2d(&self.weight.to_kind(kind), bias.as_ref(), stride, padding, [1, 1], 1);
        probe.visit(&self.site, y)
    }
}

/// Batch normalization over `[N, C, H, W]`.
pub struct BatchNorm2d {
    site: Site,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    training: Rc<Cell<bool>>,
}

impl BatchNorm2d {
    /// Takes `weight`, `bias`, `running_mean` and `running_var`, each `[channels]`.
    pub fn new(scope: Scope, channels: i64) -> Self {
        scope.tolerate("num_batches_tracked");
        BatchNorm2d {
            site: Site::new(scope.name(""), "BatchNorm2d"),
            weight: scope.parameter("weight", &[channels], Init::Constant(1.0)),
            bias: scope.parameter("bias", &[channels], Init::Constant(0.0)),
            running_mean: scope.buffer("running_mean", &[channels], 0.0),
            running_var: scope.buffer("running_var", &[channels], 1.0),
            training: scope.training.clone(),
        }
    }

    /// Shape is kept.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
        let y = x.batch_norm(Some(&self.weight), Some(&self.bias), mean, var, self.training.get(), 0.1, 1e-5, true);
        probe.visit(&self.site, y)
    }
}

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

    /// Shape is kept.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = x.layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.epsilon, true);
        probe.visit(&self.site, y)
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

    /// `[.., in]` to `[.., out]`, in the precision that the network computes in.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let kind = self.compute.kind;
        let y = x.to_kind(kind).linear(&self.weight.to_kind(kind), Some(self.bias.to_kind(kind)));
        probe.visit(&self.site, y)
    }
}

/// Widens to f32, where normalization, softmax and residual sums happen.
pub fn wide(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float)
}
