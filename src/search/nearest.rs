//! The nearest flip that a row passes on its way, where another image counts: what the attack was after lies farther out, but the boundary
//! is no farther away than this.

use tch::{Kind, Tensor};

use crate::region::Region;
use crate::rows::{integers, rows, where_rows};

rows! {
    /// For each row the nearest image so far that reached something.
    pub(super) struct Nearest {
        each {
            /// The image, once `length` is finite.
            pub(super) image: Tensor,
            /// Its distance from the centre in the region's norm `[R]`, f32; infinite while there is none.
            pub(super) length: Tensor,
        }
    }
}

impl Nearest {
    /// Rows that begin at `image` `[R, C, H, W]`.
    pub(super) fn new(image: &Tensor) -> Self {
        let length = Tensor::full([image.size()[0]], f64::INFINITY, (Kind::Float, image.device()));
        Nearest { image: image.copy(), length }
    }

    /// Takes note of images `[R, C, H, W]` that reached `level` `[R]`, i64, in a region whose norm measures them.
    pub(super) fn look(&mut self, image: &Tensor, level: &Tensor, region: &dyn Region) {
        let Some(length) = lengths(image, region) else { return };
        let nearer = level.gt(0).logical_and(&length.lt_tensor(&self.length));
        self.image = where_rows(&nearer, image, &self.image);
        self.length = length.where_self(&nearer, &self.length);
    }

    /// Which rows passed something that is nearer than `image` `[R, C, H, W]`.
    pub(super) fn undercuts(&self, image: &Tensor, region: &dyn Region) -> Vec<bool> {
        let shorter = lengths(image, region).map(|length| self.length.lt_tensor(&length));
        shorter.map_or(vec![false; image.size()[0] as usize], |shorter| {
            integers(&shorter).into_iter().map(|value| value != 0).collect()
        })
    }

    /// Forgets what was passed: an exact pass has not confirmed it.
    pub(super) fn forget(&mut self) {
        self.length = self.length.full_like(f64::INFINITY);
    }
}

/// Distances of images from their centres in the region's norm `[R]`, f32; none where no norm measures them.
pub(super) fn lengths(image: &Tensor, region: &dyn Region) -> Option<Tensor> {
    let length = region.shape()?.length(&(image - region.center())).flatten(0, -1);
    Some(length.to_kind(Kind::Float))
}
