//! Backward passes of Vision Transformers that are not the derivative, for images that are shown to other models. The forward pass stays
//! what it is.
//!
//! [`Backward::Pna`] ends the graph at the attention weights, so that gradients flow through the values alone (Wei et al. 2022,
//! <https://arxiv.org/abs/2109.04176>). [`Backward::Tgr`] shrinks the gradients of attention weights, of queries, keys and values, and of
//! MLPs, and drops those of the tokens where they are most extreme (Zhang et al. 2023, <https://arxiv.org/abs/2303.15754>). libtorch's
//! binding has no hooks on gradients, so that the graph is cut where gradients are edited, and goes backward piece by piece.

use tch::{Kind, Tensor};

use super::probe::{Flow, Piece, Probe, Site};
use crate::suite::Backward;

/// What is left of the gradient of attention weights, of queries, keys and values, and of an MLP's output (the authors' program).
const SHRUNK: [f64; 3] = [0.25, 0.75, 0.5];

/// Where the graph was cut.
struct CutPoint {
    piece: Piece,
    /// The end of the earlier graph.
    value: Tensor,
    /// What the later graph begins with.
    leaf: Tensor,
}

/// The cuts of one forward pass, and the way back over them.
pub struct Rewired {
    backward: Backward,
    cuts: Vec<CutPoint>,
}

impl Rewired {
    /// None yet.
    pub(super) fn new(backward: Backward) -> Self {
        Rewired { backward, cuts: Vec::new() }
    }

    fn cut(&mut self, piece: Piece, value: Tensor) -> Tensor {
        match self.backward {
            Backward::Pna if piece == Piece::Weights => value.detach(),
            Backward::Tgr if value.requires_grad() => {
                let leaf = value.detach().set_requires_grad(true);
                self.cuts.push(CutPoint { piece, value, leaf: leaf.shallow_clone() });
                leaf
            }
            Backward::Pna | Backward::Tgr => value,
        }
    }

    /// The edited gradient of the sum of `score` `[R]` with respect to `pixels`.
    pub fn gradient(self, score: &Tensor, pixels: &Tensor) -> Tensor {
        if !score.requires_grad() {
            return pixels.zeros_like();
        }
        // A sum whose derivative by what lies before the cuts passed so far is the edited one.
        let mut pending = vec![score.sum(Kind::Float)];
        for CutPoint { piece, value, leaf } in self.cuts.into_iter().rev() {
            // What lies behind the score's own layer has no part in it.
            let Some(gradient) = derivative(&pending, &leaf) else { continue };
            let edited = tch::no_grad(|| edited(piece, gradient));
            if piece == Piece::Stream {
                // All that is later hangs on the stream.
                pending.clear();
            }
            pending.push((value * edited).sum(Kind::Float));
        }
        derivative(&pending, pixels).unwrap_or_else(|| pixels.zeros_like())
    }
}

/// The derivative of a sum, if it depends on `leaf`. The graph is kept.
fn derivative(terms: &[Tensor], leaf: &Tensor) -> Option<Tensor> {
    let sum = terms.iter().map(Tensor::shallow_clone).reduce(|sum, term| sum + term)?;
    Tensor::run_backward(&[sum], &[leaf], true, false).pop().filter(Tensor::defined)
}

/// A gradient shrunk, without the tokens where it is largest and smallest.
fn edited(piece: Piece, gradient: Tensor) -> Tensor {
    let [weights, qkv, mlp] = SHRUNK;
    match piece {
        Piece::Stream => gradient,
        Piece::Weights => without_extreme_pairs(&(gradient * weights)),
        Piece::Qkv => without_extreme_tokens(&(gradient * qkv)),
        Piece::Mlp => without_extreme_tokens(&(gradient * mlp)),
    }
}

/// Each feature of `[N, T, D]` without its largest and its smallest token.
fn without_extreme_tokens(gradient: &Tensor) -> Tensor {
    let keep = gradient.ones_like();
    let at = |place: Tensor| keep.scatter_value(1, &place, 0.0);
    gradient * at(gradient.argmax(1, true)) * at(gradient.argmin(1, true))
}

/// Each head of `[N, heads, T, T]` without the rows and columns of its largest and of its smallest value.
fn without_extreme_pairs(gradient: &Tensor) -> Tensor {
    let tokens = gradient.size()[3];
    let flat = gradient.flatten(2, 3);
    let without = |gradient: Tensor, place: Tensor| {
        let ones = flat.narrow(2, 0, tokens).ones_like();
        let rows = ones.scatter_value(2, &place.divide_scalar_mode(tokens, "floor"), 0.0).unsqueeze(3);
        let columns = ones.scatter_value(2, &place.remainder(tokens), 0.0).unsqueeze(2);
        gradient * rows * columns
    };
    let largest = without(gradient.shallow_clone(), flat.argmax(2, true));
    without(largest, flat.argmin(2, true))
}

/// A probe that sees what it would see, while the graph is cut.
pub(super) struct Rewiring<'a> {
    pub(super) probe: &'a mut dyn Probe,
    pub(super) rewired: &'a mut Rewired,
}

impl Probe for Rewiring<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        self.probe.visit(site, activation)
    }

    fn wants(&self, site: &Site) -> bool {
        self.probe.wants(site)
    }

    fn rectify(&self, x: &Tensor) -> Tensor {
        self.probe.rectify(x)
    }

    fn wants_pieces(&self) -> bool {
        true
    }

    fn piece(&mut self, piece: Piece, value: Tensor) -> Tensor {
        self.rewired.cut(piece, value)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tch::Device;

    use super::*;
    use crate::model::{Compute, ModelSource};
    use crate::suite::{ModelConfig, Normalize};

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.flatten(0, -1).to_kind(Kind::Double).contiguous()).unwrap()
    }

    #[test]
    fn extreme_tokens_lose_their_gradient() {
        // Two features of three tokens, two rows that do not see each other.
        let gradient = Tensor::from_slice(&[3.0f32, 0.5, 1.0, -2.0, -4.0, 0.25]).view([1, 3, 2]);
        let gradient = Tensor::cat(&[&gradient, &(&gradient * -1.0)], 0);
        let found = values(&without_extreme_tokens(&gradient));
        assert_eq!(found, [0.0, 0.0, 1.0, 0.0, 0.0, 0.25, 0.0, 0.0, -1.0, 0.0, 0.0, -0.25]);
    }

    #[test]
    fn extreme_pairs_lose_their_rows_and_columns() {
        let values_in: Vec<f32> = (1..=16).map(|value| value as f32).collect();
        let mut gradient = Tensor::from_slice(&values_in).view([1, 1, 4, 4]);
        // The largest at row 1, column 2, the smallest at row 3, column 0.
        let _ = gradient.get(0).get(0).get(1).get(2).fill_(99.0);
        let _ = gradient.get(0).get(0).get(3).get(0).fill_(-99.0);
        gradient = gradient.shallow_clone();
        let remaining = values(&without_extreme_pairs(&gradient));
        let expected: Vec<f64> = (0..16)
            .map(|place| match (place / 4, place % 4) {
                (1 | 3, _) | (_, 0 | 2) => 0.0,
                _ => f64::from(place + 1),
            })
            .collect();
        assert_eq!(remaining, expected);
    }

    #[test]
    fn a_cut_without_an_edit_gives_the_derivative() {
        let pixels = Tensor::from_slice(&[0.5f32, -1.0, 2.0]).set_requires_grad(true);
        let mut rewired = Rewired::new(Backward::Tgr);
        let first = rewired.cut(Piece::Stream, pixels.square());
        let second = rewired.cut(Piece::Stream, &first * &first + &first);
        let score = (&second * Tensor::from_slice(&[1.0f32, 2.0, 3.0])).sum(Kind::Float).view([1]);
        let found = values(&rewired.gradient(&score, &pixels));
        // d/dx (x^4 + x^2) = 4 x^3 + 2 x.
        assert_eq!(found, [1.5, -12.0, 108.0]);
        let nothing = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        assert_eq!(values(&Rewired::new(Backward::Tgr).gradient(&nothing, &pixels)), [0.0; 3]);
    }

    /// Logits, then for each mode the lengths of both rows' gradients and four of their values, from PyTorch in f64 with hooks on tensors:
    /// the shipped ViT, the derivative of logit 3 less logit 5 at two images of waves.
    const LOGITS: [f64; 4] = [4.65343, 0.22171, 1.56644, -1.53773];
    const PLAIN: [f64; 6] = [1.5579877, 1.5327547, -0.0255941, 0.0021224, -0.0144255, 0.0161290];
    const PNA: [f64; 6] = [0.6763834, 1.2175628, 0.0110727, 0.0137943, -0.0028308, 0.0090327];
    const TGR: [f64; 6] = [0.3451523, 0.3871936, 0.0019713, 0.0015049, -0.0011317, 0.0054728];

    #[test]
    fn edited_gradients_are_those_of_hooks_in_pytorch() {
        let normalize = Normalize { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2470, 0.2435, 0.2616] };
        let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cifar10-vit.safetensors");
        let config = ModelConfig::of_file("cifar/vit-c", &weights, normalize);
        let model = ModelSource::open(&config, None).unwrap().build(Compute::f32(Device::Cpu)).unwrap();
        let places = Tensor::arange(2 * 3 * 32 * 32, (Kind::Double, Device::Cpu));
        let waves = (&places * 0.37).sin() * 0.3 + (&places * 0.011).cos() * 0.15 + 0.5;
        let images = waves.to_kind(Kind::Float).view([2, 3, 32, 32]);
        for (backward, expected) in [(None, PLAIN), (Some(Backward::Pna), PNA), (Some(Backward::Tgr), TGR)] {
            let pixels = images.copy().set_requires_grad(true);
            let pass = || model.logits(&pixels);
            let difference = |logits: &Tensor| logits.select(1, 3) - logits.select(1, 5);
            let (logits, gradient) = match backward {
                Some(backward) => {
                    let (logits, rewired) = model.rewired(backward, pass);
                    let gradient = rewired.gradient(&difference(&logits), &pixels);
                    (logits, gradient)
                }
                None => {
                    let logits = pass();
                    let sum = difference(&logits).sum(Kind::Float);
                    (logits, Tensor::run_backward(&[sum], &[&pixels], false, false).remove(0))
                }
            };
            for (class, expected) in LOGITS.iter().enumerate() {
                assert!((logits.double_value(&[0, class as i64]) - expected).abs() < 1e-3, "{logits}");
            }
            let length = |row: i64| gradient.get(row).norm().double_value(&[]);
            let at = |place: [i64; 4]| gradient.double_value(&place);
            let found =
                [length(0), length(1), at([0, 0, 3, 4]), at([0, 2, 17, 30]), at([1, 1, 9, 9]), at([1, 0, 31, 0])];
            let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 2e-4);
            assert!(close, "{backward:?}: {found:?}, expected {expected:?}");
        }
    }
}
