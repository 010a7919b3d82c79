//! Convolutions and what stands between them: batch normalization and pooling. Each shows its output to the probe under its
//! own name.

use std::cell::Cell;
use std::rc::Rc;

use tch::Tensor;

use super::layers::wide;
use super::probe::{Flow, Probe, Site};
use super::weights::{Compute, Init, Scope, channels_last};

/// What a convolution is, apart from its values: square kernels, the same stride and padding in both directions.
#[derive(Debug, Clone, Copy)]
pub struct ConvForm {
    input: i64,
    output: i64,
    kernel: i64,
    stride: i64,
    padding: i64,
    groups: i64,
    bias: bool,
}

impl ConvForm {
    /// `input` to `output` channels by kernels of `kernel` rows and columns; stride 1, no padding, one group, no bias.
    pub const fn new(input: i64, output: i64, kernel: i64) -> Self {
        ConvForm { input, output, kernel, stride: 1, padding: 0, groups: 1, bias: false }
    }

    /// Like [`ConvForm::new`], padded so that stride 1 keeps rows and columns; `kernel` is odd.
    pub const fn same(input: i64, output: i64, kernel: i64) -> Self {
        ConvForm::new(input, output, kernel).padding(kernel / 2)
    }

    /// Takes every `stride`-th row and column.
    pub const fn stride(self, stride: i64) -> Self {
        ConvForm { stride, ..self }
    }

    /// Puts `padding` rows and columns of zeros around the input.
    pub const fn padding(self, padding: i64) -> Self {
        ConvForm { padding, ..self }
    }

    /// Cuts the channels into `groups` that do not see each other.
    pub const fn groups(self, groups: i64) -> Self {
        ConvForm { groups, ..self }
    }

    /// Adds a bias to each output channel.
    pub const fn biased(self) -> Self {
        ConvForm { bias: true, ..self }
    }

    /// Channels that it takes.
    pub const fn input(self) -> i64 {
        self.input
    }

    /// Channels that it gives.
    pub const fn output(self) -> i64 {
        self.output
    }
}

/// 2-d convolution of `[N, in, H, W]` with square kernels.
pub struct Conv2d {
    site: Site,
    weight: Tensor,
    bias: Option<Tensor>,
    /// Weight and bias of the convolution with the normalization behind it.
    folded: Option<(Tensor, Tensor)>,
    form: ConvForm,
    compute: Compute,
    /// The weight for blocks of pixels, if they are the faster way.
    blocks: Option<Tensor>,
}

impl Conv2d {
    /// Takes `weight` `[output, input / groups, kernel, kernel]`, and `bias` if there is one. Fresh weights: He et al. 2015,
    /// fan-out.
    pub fn new(scope: Scope, form: ConvForm) -> Self {
        let ConvForm { output, kernel, groups, .. } = form;
        let input = form.input / groups;
        let deviation = (2.0 / (output / groups * kernel * kernel) as f64).sqrt();
        let weight = scope.weight(&[output, input, kernel, kernel], Init::Normal(deviation));
        // Few channels and a stride: the gradient of such a convolution costs several times its forward pass.
        let slow = groups == 1 && input <= 4 && form.stride > 1 && kernel > form.stride;
        Conv2d {
            site: Site { macs_per_value: (input * kernel * kernel) as u64, ..Site::new(scope.name(""), "Conv2d") },
            blocks: (scope.compute.stem_blocks && slow).then(|| in_blocks(&weight, form)),
            weight,
            bias: form.bias.then(|| scope.bias(output)),
            folded: None,
            form,
            compute: scope.compute,
        }
    }

    /// Lets [`Conv2d::normalized`] compute this convolution, whose place is `scope`, and `norm` as one, if the network computes so.
    pub fn fold(&mut self, norm: &BatchNorm2d, scope: &Scope) {
        let stored = |name: &str| scope.stored_parameter(name);
        let Some(weight) = stored("weight").filter(|_| self.compute.folded) else { return };
        let factor = &norm.weight / (&norm.running_var + EPSILON).sqrt();
        let shift = match stored("bias") {
            Some(bias) => bias - &norm.running_mean,
            None => -&norm.running_mean,
        };
        let bias = (shift * &factor + &norm.bias).to_kind(self.compute.kind);
        self.folded = Some((scope.fitted(weight * factor.view([-1, 1, 1, 1])), bias));
    }

    /// The same, behind [`Conv2d::fold`].
    pub fn folded_with(mut self, norm: &BatchNorm2d, scope: &Scope) -> Self {
        self.fold(norm, scope);
        self
    }

    /// `[N, in, H, W]` to `[N, out, H', W']`.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = match &self.blocks {
            Some(blocks) if x.requires_grad() => {
                let kind = self.compute.kind;
                let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
                let pixels = self.blocks_of(&x.to_kind(kind));
                pixels.conv2d(&blocks.to_kind(kind), bias.as_ref(), [1, 1], [0, 0], [1, 1], 1)
            }
            _ => self.product(x, &self.weight, self.bias.as_ref()),
        };
        probe.visit(&self.site, y)
    }

    /// [`Conv2d::forward`], then `norm`.
    pub fn normalized(&self, x: &Tensor, norm: &BatchNorm2d, probe: &mut dyn Probe) -> Flow<Tensor> {
        match &self.folded {
            Some((weight, bias)) if !probe.wants(&self.site) => {
                probe.visit(&norm.site, self.product(x, weight, Some(bias)))
            }
            _ => norm.forward(&self.forward(x, probe)?, probe),
        }
    }

    fn product(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let kind = self.compute.kind;
        let bias = bias.map(|bias| bias.to_kind(kind));
        let (weight, ConvForm { stride, padding, groups, .. }) = (weight.to_kind(kind), self.form);
        x.to_kind(kind).conv2d(&weight, bias.as_ref(), [stride; 2], [padding; 2], [1, 1], groups)
    }

    /// Pixels `[N, C, H, W]` with their padding, in blocks whose side is the stride: `[N, C * stride^2, H', W']`.
    fn blocks_of(&self, x: &Tensor) -> Tensor {
        let ConvForm { kernel, stride, padding, .. } = self.form;
        let covered = (kernel + stride - 1) / stride;
        let after = |side: i64| {
            let outputs = (side + 2 * padding - kernel) / stride + 1;
            (outputs - 1 + covered) * stride - side - padding
        };
        let size = x.size();
        let padded = x.constant_pad_nd([padding, after(size[3]), padding, after(size[2])]);
        let blocks = padded.pixel_unshuffle(stride);
        if self.compute.channels_last { channels_last(&blocks) } else { blocks }
    }
}

/// The weight `[O, C, K, K]` of a convolution with a stride as that `[O, C * stride^2, K', K']` of one over blocks of pixels.
fn in_blocks(weight: &Tensor, form: ConvForm) -> Tensor {
    let ConvForm { input, output, kernel, stride, .. } = form;
    let covered = (kernel + stride - 1) / stride;
    let more = covered * stride - kernel;
    let parts = weight.contiguous().constant_pad_nd([0, more, 0, more]);
    let parts = parts.view([output, input, covered, stride, covered, stride]).permute([0, 1, 3, 5, 2, 4]);
    let blocks = parts.reshape([output, input * stride * stride, covered, covered]);
    if weight.is_contiguous() { blocks } else { channels_last(&blocks) }
}

/// What batch normalization adds to the variance.
const EPSILON: f64 = 1e-5;

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
        let y = x.batch_norm(Some(&self.weight), Some(&self.bias), mean, var, self.training.get(), 0.1, EPSILON, true);
        probe.visit(&self.site, y)
    }
}

/// The largest value of each square window.
pub struct MaxPool2d {
    site: Site,
    form: PoolForm,
}

/// The windows of a pooling layer.
#[derive(Debug, Clone, Copy)]
pub struct PoolForm {
    /// Rows and columns of a window.
    pub kernel: i64,
    /// From one window to the next.
    pub stride: i64,
    /// Rows and columns around the input that never win.
    pub padding: i64,
    /// Whether a window that hangs over the edge counts (`ceil_mode`).
    pub ceil: bool,
}

impl MaxPool2d {
    /// Pooling under the scope's own name.
    pub fn new(scope: Scope, form: PoolForm) -> Self {
        MaxPool2d { site: Site::new(scope.name(""), "MaxPool2d"), form }
    }

    /// `[N, C, H, W]` to `[N, C, H', W']`.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let PoolForm { kernel, stride, padding, ceil } = self.form;
        probe.visit(&self.site, x.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], ceil))
    }
}

/// The mean over rows and columns, in f32, as `[N, C, 1, 1]` and then as `[N, C]`.
pub struct GlobalPool {
    pool: Site,
    flatten: Site,
}

impl GlobalPool {
    /// Shows the means under the names `pool` and `flatten`.
    pub fn new(scope: &Scope, pool: &str, flatten: &str) -> Self {
        let (pool, flatten) = (scope.name(pool), scope.name(flatten));
        GlobalPool { pool: Site::new(pool, "GlobalAvgPool"), flatten: Site::new(flatten, "Flatten") }
    }

    /// `[N, C, H, W]` to `[N, C]`.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let x = probe.visit(&self.pool, wide(x).adaptive_avg_pool2d([1, 1]))?;
        probe.visit(&self.flatten, x.flatten(1, -1))
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::model::NoProbe;

    #[test]
    fn a_convolution_over_blocks_is_the_convolution() {
        let forms = [
            (ConvForm::new(3, 8, 7).stride(2).biased(), [30, 31]),
            (ConvForm::new(3, 8, 7).stride(2).padding(3), [32, 27]),
            (ConvForm::new(1, 4, 3).stride(2).padding(1), [9, 8]),
            (ConvForm::new(3, 4, 11).stride(4).padding(2), [39, 40]),
        ];
        for (form, [height, width]) in forms {
            for channels_last in [false, true] {
                let convolution = |stem_blocks: bool| {
                    let compute = Compute { stem_blocks, channels_last, ..Compute::f32(Device::Cpu) };
                    Conv2d::new(&Scope::fresh(7, compute) / "conv", form)
                };
                let blocks = convolution(true);
                assert!(blocks.blocks.is_some());
                let count = form.input() * 2 * height * width;
                let image = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin();
                let image = image.view([2, form.input(), height, width]);
                let run = |convolution: &Conv2d| {
                    let pixels = image.copy().set_requires_grad(true);
                    let Flow::Continue(y) = convolution.forward(&pixels, &mut NoProbe) else { unreachable!() };
                    let aim = (&y * (&y + 1.0)).sum(Kind::Float);
                    let gradient = Tensor::run_backward(&[aim], &[&pixels], false, false).remove(0);
                    (y.detach(), gradient)
                };
                let (expected, found) = (run(&convolution(false)), run(&blocks));
                for (expected, found) in [(expected.0, found.0), (expected.1, found.1)] {
                    assert_eq!(expected.size(), found.size(), "{form:?}");
                    let scale = expected.abs().max().double_value(&[]);
                    let error = (expected - found).abs().max().double_value(&[]);
                    assert!(error < 1e-5 * scale.max(1.0), "{form:?}: {error} of {scale}");
                }
            }
        }
    }
}
