//! Dispersion reduction: Lu, Jia, Wang, Li, Chai, Carin and Velipasalar 2020, <https://arxiv.org/abs/1911.11616>.

use tch::{Kind, Tensor};

use super::{Anchor, Drive, Setup, flat};

/// `-std g'` over all values of the layer.
pub(super) struct Dr;

impl Drive for Dr {
    fn anchor(&self, _: &Setup) -> Anchor {
        Anchor::none()
    }

    fn score(&self, features: &Tensor, _: &Anchor) -> Tensor {
        let values = flat(features);
        let centred = &values - values.mean_dim([1i64].as_slice(), true, Kind::Float);
        // The root of zero has no derivative.
        -(centred.square().mean_dim([1i64].as_slice(), false, Kind::Float) + 1e-20).sqrt()
    }
}
