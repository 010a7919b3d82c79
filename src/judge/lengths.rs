//! What a perturbation measures, exactly.

use tch::{Kind, Tensor};

use crate::region::shape;
use crate::rows::doubles;
use crate::terms::Norm;

/// What a perturbation measures, computed exactly: the difference of two f32 images in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lengths {
    /// Largest absolute change.
    pub linf: f64,
    /// Euclidean norm.
    pub l2: f64,
    /// Sum of absolute changes.
    pub l1: f64,
    /// Changed values.
    pub l0: u32,
}

impl Lengths {
    /// The norms of `image - clean`, for each row of `[R, C, H, W]`.
    pub fn measure(image: &Tensor, clean: &Tensor) -> Vec<Lengths> {
        let delta = image.to_kind(Kind::Double) - clean.to_kind(Kind::Double);
        let flat = delta.flatten(1, -1);
        let linf = doubles(&shape(Norm::Linf).length(&delta));
        let l2 = doubles(&shape(Norm::L2).length(&delta));
        let l1 = doubles(&shape(Norm::L1).length(&delta));
        let l0 = doubles(&flat.ne(0.0).sum_dim_intlist([1i64].as_slice(), false, Kind::Double));
        (0..linf.len()).map(|row| Lengths { linf: linf[row], l2: l2[row], l1: l1[row], l0: l0[row] as u32 }).collect()
    }

    /// The length in `norm`.
    pub fn get(&self, norm: Norm) -> f64 {
        match norm {
            Norm::Linf => self.linf,
            Norm::L2 => self.l2,
            Norm::L1 => self.l1,
            Norm::L0 => f64::from(self.l0),
        }
    }
}
