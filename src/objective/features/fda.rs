//! Feature disruptive attack: Ganeshan, Vivek and Radhakrishnan 2019, <https://arxiv.org/abs/1909.04385>.

use tch::{Kind, Tensor};

use super::{Anchor, Drive, Setup, mean};

/// `log |g' where g < m| - log |g' where g >= m|` in mean squares, with m the mean of the clean features over channels at each position, and
/// over features at each token.
pub(super) struct Fda;

/// Keeps the logarithm finite where a layer is silent.
const FLOOR: f64 = 1e-12;

impl Drive for Fda {
    fn anchor(&self, setup: &Setup) -> Anchor {
        let clean = setup.features(setup.clean);
        let channels = if clean.dim() == 4 { 1i64 } else { -1 };
        let low = clean.lt_tensor(&clean.mean_dim([channels].as_slice(), true, Kind::Float));
        Anchor::one(low.to_kind(Kind::Float))
    }

    fn score(&self, features: &Tensor, anchor: &Anchor) -> Tensor {
        let (square, low) = (features.square(), anchor.first());
        (mean(&(&square * low)) + FLOOR).log() - (mean(&(&square * (low * -1.0 + 1.0))) + FLOOR).log()
    }
}
