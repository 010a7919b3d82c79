//! What Vision Transformers and Swin Transformers share: the arithmetic of attention, and the block behind it.

use tch::{Kind, Tensor};

use super::layers::{Linear, wide};
use super::probe::{Flow, Probe, Site};
use super::weights::Scope;

/// Splits `[N, T, 3 * width]` into queries, keys and values, each `[N, heads, T, width / heads]`.
pub fn split(qkv: &Tensor, heads: i64) -> (Tensor, Tensor, Tensor) {
    let (rows, tokens, width) = (qkv.size()[0], qkv.size()[1], qkv.size()[2] / 3);
    // One operation for all three: the gradients of selections are each as large as the whole, and are added.
    let parts = qkv.view([rows, tokens, 3, heads, width / heads]).unbind(2);
    let part = |place: usize| parts[place].transpose(1, 2);
    (part(0), part(1), part(2))
}

/// The products of queries and keys `[N, heads, T, d]`, divided by the square root of d: `[N, heads, T, T]`.
pub fn products(queries: &Tensor, keys: &Tensor) -> Tensor {
    let each = queries.size()[3] as f64;
    (queries * each.powf(-0.5)).matmul(&keys.transpose(-2, -1))
}

/// Attention weights `[N, heads, T, T]` of `kind`: the softmax of `logits`, which computes in f32 whatever it takes and gives.
pub fn weights(logits: &Tensor, kind: Kind) -> Tensor {
    let converted: Option<Kind> = None;
    let logits = if logits.kind() == kind { logits.shallow_clone() } else { wide(logits) };
    logits.softmax(-1, converted).to_kind(kind)
}

/// The values `[N, heads, T, d]` weighed by `weights` `[N, heads, T, T]`, the heads side by side: `[N, T, width]`.
pub fn weigh(weights: &Tensor, values: &Tensor) -> Tensor {
    side_by_side(&weights.matmul(values))
}

/// [`weigh`] by the [`weights`] of [`products`] by libtorch's fused kernel, which keeps no logits. On a CPU it takes three quarters of the time
/// of the two, forward and backward together; results differ from theirs by rounding.
pub fn fused(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Tensor {
    let mask: Option<Tensor> = None;
    side_by_side(&Tensor::scaled_dot_product_attention(queries, keys, values, mask, 0.0, false, None, false))
}

fn side_by_side(heads: &Tensor) -> Tensor {
    let (rows, tokens) = (heads.size()[0], heads.size()[2]);
    heads.transpose(1, 2).reshape([rows, tokens, -1])
}

/// The function between the two matrix products of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Hendrycks and Gimpel 2016 (<https://arxiv.org/abs/1606.08415>), exact.
    Gelu,
    /// Its approximation x * sigmoid(1.702 x), of the first CLIP models.
    QuickGelu,
}

impl Activation {
    fn name(self) -> &'static str {
        match self {
            Activation::Gelu => "GELU",
            Activation::QuickGelu => "QuickGELU",
        }
    }

    fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Activation::Gelu => x.gelu("none"),
            Activation::QuickGelu => x * (x * 1.702).sigmoid(),
        }
    }
}

/// Two matrix products with an activation between them, over the last dimension, four times as wide inside.
pub struct Mlp {
    fc1: Linear,
    act: Site,
    activation: Activation,
    fc2: Linear,
    out: Site,
}

impl Mlp {
    /// Takes the matrices; `names` are those of the first, of the activation and of the second.
    pub fn new(scope: Scope, names: [&str; 3], width: i64, activation: Activation) -> Self {
        let [fc1, act, fc2] = names;
        Mlp {
            fc1: Linear::new(&scope / fc1, width, 4 * width),
            act: Site::new(scope.name(act), activation.name()),
            activation,
            fc2: Linear::new(&scope / fc2, 4 * width, width),
            out: Site::new(scope.name(""), "Mlp"),
        }
    }

    /// The same for `[N, H, W, C]`.
    pub fn inner(self) -> Self {
        let Mlp { fc1, act, activation, fc2, out } = self;
        Mlp { fc1: fc1.inner(), act: act.inner(), activation, fc2: fc2.inner(), out: out.inner() }
    }

    /// Shape is kept.
    pub fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = self.fc1.forward(x, probe)?;
        let y = self.act.show(self.activation.apply(&y), probe)?;
        let y = self.fc2.forward(&y, probe)?;
        self.out.show(y, probe)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// `[2, 5, 3 * 8]`, values between -2 and 2.
    fn qkv() -> Tensor {
        let places = Tensor::arange(2 * 5 * 24, (Kind::Float, Device::Cpu)).view([2, 5, 24]);
        (places * 1.7).sin() * 2.0
    }

    #[test]
    fn the_fused_kernel_gives_what_the_formula_gives() {
        let written = qkv().set_requires_grad(true);
        let (q, k, v) = split(&written, 2);
        let expected = weigh(&weights(&products(&q, &k), Kind::Float), &v);
        let kernel = qkv().set_requires_grad(true);
        let (q, k, v) = split(&kernel, 2);
        let found = fused(&q, &k, &v);
        let gradient = |output: &Tensor, input: &Tensor| {
            Tensor::run_backward(&[(output * output).sum(Kind::Float)], &[input], false, false).remove(0)
        };
        let (g, h) = (gradient(&expected, &written), gradient(&found, &kernel));
        for (expected, found) in [(expected, found), (g, h)] {
            let scale = expected.abs().max().double_value(&[]);
            let error = (expected - found).abs().max().double_value(&[]);
            assert!(error <= 1e-5 * scale, "{error} of {scale}");
        }
    }

    #[test]
    fn one_head_of_one_feature_is_a_weighted_mean() {
        // Queries 0 and ln 3, keys 0 and 1, values 1 and 5: the second query weighs the keys 1 to 3.
        let qkv = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 3f32.ln(), 1.0, 5.0]).view([1, 2, 3]);
        let (q, k, v) = split(&qkv, 1);
        for mixed in [weigh(&weights(&products(&q, &k), Kind::Float), &v), fused(&q, &k, &v)] {
            let values = Vec::<f32>::try_from(mixed.flatten(0, -1)).unwrap();
            assert!((values[0] - 3.0).abs() < 1e-6 && (values[1] - 4.0).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn quick_gelu_is_close_to_gelu_but_not_equal() {
        let x = Tensor::linspace(-4.0, 4.0, 81, (Kind::Float, Device::Cpu));
        let difference = (Activation::Gelu.apply(&x) - Activation::QuickGelu.apply(&x)).abs().max().double_value(&[]);
        assert!(difference > 0.01 && difference < 0.025, "{difference}");
    }
}
