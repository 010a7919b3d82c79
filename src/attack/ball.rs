//! Norm balls: random starts, steepest ascent steps and projections, for rows with radii of their own.
//!
//! The state of a row is the adversarial image itself, not the perturbation: only so is the image that is verified and saved inside
//! its ball to the last bit. All tensors have the row as their first dimension; images are `[R, C, H, W]` of f32 in [0, 1].

use tch::{Kind, Tensor};

use crate::random::Noise;
use crate::terms::Norm;

/// Balls around clean images, one for each row, intersected with the box [0, 1].
#[derive(Debug)]
pub struct Balls {
    norm: Norm,
    center: Tensor,
    radius: Tensor,
    lower: Tensor,
    upper: Tensor,
}

/// Rounding moves each value of an image in [0, 1] by at most half the spacing of f32 below 1.
const ROUNDING: f64 = 3e-8;

impl Balls {
    /// Balls of `radius` `[R]` (f64, pixel units of [0, 1]) around `center` `[R, C, H, W]`.
    ///
    /// For l-inf the largest f32 values inside the ball are computed in f64 and rounded inward.
    pub fn new(norm: Norm, center: Tensor, radius: &[f64]) -> Self {
        let wide = Tensor::from_slice(radius).view([-1, 1, 1, 1]).to_device(center.device());
        let (lower, upper) = match norm {
            Norm::Linf => {
                let exact = center.to_kind(Kind::Double);
                (inward(&(&exact - &wide), 1.0).clamp_min(0.0), inward(&(&exact + &wide), -1.0).clamp_max(1.0))
            }
            Norm::L2 | Norm::L1 => (center.zeros_like(), center.ones_like()),
        };
        Balls { norm, radius: wide.to_kind(Kind::Float), center, lower, upper }
    }

    /// The clean images.
    pub fn center(&self) -> &Tensor {
        &self.center
    }

    /// Radii `[R, 1, 1, 1]` in f32.
    pub fn radius(&self) -> &Tensor {
        &self.radius
    }

    /// The nearest image inside ball and box along the straight way: clamped for l-inf, scaled towards the centre for l2.
    pub fn project(&self, image: &Tensor) -> Tensor {
        match self.norm {
            Norm::Linf => image.maximum(&self.lower).minimum(&self.upper),
            Norm::L2 | Norm::L1 => {
                let delta = image - &self.center;
                let length = flat_norm(&delta, self.norm).clamp_min(1e-12);
                // Aims below the radius by what rounding to f32 can add to the norm.
                let slack = ROUNDING * (delta.size()[1..].iter().product::<i64>() as f64).sqrt();
                let aim = (&self.radius * (1.0 - 1e-6) - slack).clamp_min(0.0);
                let factor = (aim / length).clamp_max(1.0);
                // Clipping to the box comes last: it never makes a perturbation longer.
                (&self.center + delta * factor).clamp(0.0, 1.0)
            }
        }
    }

    /// One step of steepest ascent along `gradient`, `share` times the radius long, then projected. A zero gradient moves
    /// nothing.
    pub fn ascend(&self, image: &Tensor, gradient: &Tensor, share: f64) -> Tensor {
        let direction = match self.norm {
            Norm::Linf => gradient.sign(),
            Norm::L2 | Norm::L1 => gradient / flat_norm(gradient, Norm::L2).clamp_min(1e-30),
        };
        self.project(&(image + direction * (&self.radius * share)))
    }

    /// A random start: uniform in the l-inf ball, or uniform in the l2 ball, then projected.
    pub fn random_start(&self, noise: &Noise, keys: &[String]) -> Tensor {
        self.displaced(keys, |key, count| match self.norm {
            Norm::Linf => noise.uniform(key, count),
            Norm::L2 | Norm::L1 => noise.in_l2_ball(key, count),
        })
    }

    /// Random noise as long as the ball allows: random signs for l-inf, a random direction for l2; then projected.
    pub fn full_noise(&self, noise: &Noise, keys: &[String]) -> Tensor {
        self.displaced(keys, |key, count| match self.norm {
            Norm::Linf => noise.signs(key, count),
            Norm::L2 | Norm::L1 => noise.on_l2_sphere(key, count),
        })
    }

    /// The centres moved by what `draw` gives for each row's key in the unit ball, times the radius; then projected.
    fn displaced(&self, keys: &[String], draw: impl Fn(&str, usize) -> Vec<f32>) -> Tensor {
        let shape = &self.center.size()[1..];
        let count = shape.iter().product::<i64>() as usize;
        let rows: Vec<Tensor> = keys.iter().map(|key| Tensor::from_slice(&draw(key, count)).view(shape)).collect();
        let unit = Tensor::stack(&rows, 0).to_device(self.center.device());
        self.project(&(&self.center + unit * &self.radius))
    }

    /// The balls of the rows `keep` (i64 indices), followed by those of `more`.
    pub fn regroup(&self, keep: &Tensor, more: Option<&Balls>) -> Balls {
        let pick = |mine: &Tensor, other: Option<&Tensor>| {
            let kept = mine.index_select(0, keep);
            match other {
                Some(other) => Tensor::cat(&[kept, other.shallow_clone()], 0),
                None => kept,
            }
        };
        Balls {
            norm: self.norm,
            center: pick(&self.center, more.map(|balls| &balls.center)),
            radius: pick(&self.radius, more.map(|balls| &balls.radius)),
            lower: pick(&self.lower, more.map(|balls| &balls.lower)),
            upper: pick(&self.upper, more.map(|balls| &balls.upper)),
        }
    }
}

/// The nearest f32 of `exact` (f64) that does not lie beyond it in the direction `-towards`.
fn inward(exact: &Tensor, towards: f64) -> Tensor {
    let rounded = exact.to_kind(Kind::Float);
    let beyond = if towards > 0.0 {
        rounded.to_kind(Kind::Double).lt_tensor(exact)
    } else {
        rounded.to_kind(Kind::Double).gt_tensor(exact)
    };
    let next = rounded.nextafter(&rounded.full_like(towards * f64::INFINITY));
    next.where_self(&beyond, &rounded)
}

/// Norm of each row, `[R, 1, 1, 1]`.
pub fn flat_norm(rows: &Tensor, norm: Norm) -> Tensor {
    let flat = rows.flatten(1, -1);
    let lengths = match norm {
        Norm::Linf => flat.abs().amax([1i64].as_slice(), false),
        Norm::L2 => flat.square().sum_dim_intlist([1i64].as_slice(), false, rows.kind()).sqrt(),
        Norm::L1 => flat.abs().sum_dim_intlist([1i64].as_slice(), false, rows.kind()),
    };
    lengths.view([-1, 1, 1, 1])
}

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
    pub fn of(image: &Tensor, clean: &Tensor) -> Vec<Lengths> {
        let delta = image.to_kind(Kind::Double) - clean.to_kind(Kind::Double);
        let column = |tensor: Tensor| Vec::<f64>::try_from(tensor.flatten(0, -1)).unwrap_or_default();
        let linf = column(flat_norm(&delta, Norm::Linf));
        let l2 = column(flat_norm(&delta, Norm::L2));
        let l1 = column(flat_norm(&delta, Norm::L1));
        let changed = delta.flatten(1, -1).ne(0.0).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        let l0 = column(changed);
        (0..linf.len()).map(|row| Lengths { linf: linf[row], l2: l2[row], l1: l1[row], l0: l0[row] as u32 }).collect()
    }

    /// The length in `norm`.
    pub fn get(&self, norm: Norm) -> f64 {
        match norm {
            Norm::Linf => self.linf,
            Norm::L2 => self.l2,
            Norm::L1 => self.l1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;

    use super::*;

    fn images(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([1, 1, 1, -1])
    }

    proptest! {
        #[test]
        fn projection_stays_inside_and_is_idempotent(
            clean in prop::collection::vec(0.0f32..=1.0, 12),
            far in prop::collection::vec(-3.0f32..4.0, 12),
            radius in 1e-4f64..2.0,
            l2 in any::<bool>(),
        ) {
            let norm = if l2 { Norm::L2 } else { Norm::Linf };
            let balls = Balls::new(norm, images(&clean), &[radius]);
            let once = balls.project(&images(&far));
            let lengths = Lengths::of(&once, balls.center())[0];
            prop_assert!(lengths.get(norm) <= radius * (1.0 + 1e-6), "{} > {radius}", lengths.get(norm));
            prop_assert!(once.min().double_value(&[]) >= 0.0 && once.max().double_value(&[]) <= 1.0);
            let twice = balls.project(&once);
            prop_assert!((twice - once).abs().max().double_value(&[]) <= 1e-6);
        }
    }

    #[test]
    fn l_inf_bounds_are_exact_at_the_largest_f32_inside() {
        let clean = images(&[0.1, 0.7, 0.3333333, 0.999]);
        let radius = 1.0 / 255.0;
        let balls = Balls::new(Norm::Linf, clean, &[radius]);
        let far = Tensor::full([1, 1, 1, 4], 9.0, (Kind::Float, Device::Cpu));
        assert!(Lengths::of(&balls.project(&far), balls.center())[0].linf <= radius);
    }

    #[test]
    fn zero_gradient_moves_nothing() {
        for norm in [Norm::Linf, Norm::L2] {
            let balls = Balls::new(norm, images(&[0.2, 0.9]), &[0.5]);
            let moved = balls.ascend(balls.center(), &balls.center().zeros_like(), 0.3);
            assert_eq!(moved, *balls.center());
        }
    }
}
