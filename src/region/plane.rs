//! The nearest point of a hyperplane inside the box, for the methods that follow the network's linear likeness (DeepFool, FAB).

use tch::{Kind, Tensor};

use crate::terms::Norm;

/// Newton steps on a concave, piecewise linear function: each one finds the values that saturate, and they only grow in number.
const STEPS: usize = 24;

/// The smallest perturbation of each `point` `[R, C, H, W]`, in [0, 1], after which the linear function with gradient `normal`
/// `[R, C, H, W]` has changed by `gap` `[R]` and the point is still in [0, 1]; smallest in `norm`. Where the box does not let the
/// function change so much, the corner where it changes most.
///
/// The perturbation of a value grows with a common multiplier until the value reaches the box (l2: in proportion to the gradient,
/// l-inf: evenly), which Newton's method finds without sorting; in l1 the values of the largest gradient are used up first (Croce and
/// Hein 2020, <https://arxiv.org/abs/1907.02044>).
///
/// # Panics
/// For l0, where a hyperplane's nearest point is no smooth matter.
pub fn displacement(norm: Norm, point: &Tensor, normal: &Tensor, gap: &Tensor) -> Tensor {
    let sign = gap.sign().view([-1, 1]);
    let weight = normal.flatten(1, -1) * &sign;
    let flat = point.flatten(1, -1);
    let room = flat.neg().g_add_scalar(1.0).where_self(&weight.gt(0.0), &flat).clamp_min(0.0);
    let direction = weight.sign();
    // Scaled to a largest weight of 1: nothing in here depends on the scale of the logits.
    let weight = weight.abs();
    let largest = weight.amax([1i64].as_slice(), true).clamp_min(f64::from(f32::MIN_POSITIVE));
    let (weight, gap) = (&weight / &largest, (gap.abs().view([-1, 1]) / &largest).clamp_max(f64::from(f32::MAX)));
    let length = match norm {
        Norm::Linf => saturating(&weight.sign(), &weight, &room, &gap),
        Norm::L2 => saturating(&weight, &weight, &room, &gap),
        Norm::L1 => filling(&weight, &room, &gap),
        #[allow(unreachable_patterns)]
        _ => panic!("no nearest point of a hyperplane in the norm {norm}"),
    };
    // Without a gradient there is nowhere to go.
    (direction * length).nan_to_num(0.0, 0.0, 0.0).view_as(point)
}

/// `min(t rate, room)` with the `t` of each row at which the sum of `weight` times it is `gap` `[R, 1]`.
fn saturating(rate: &Tensor, weight: &Tensor, room: &Tensor, gap: &Tensor) -> Tensor {
    let row = |values: Tensor| values.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    let gain = rate * weight;
    let tiny = f64::from(f32::MIN_POSITIVE);
    let mut t = (gap / row(gain.shallow_clone()).clamp_min(tiny)).clamp_max(f64::from(f32::MAX));
    for _ in 0..STEPS {
        let full = (rate * &t).ge_tensor(room).to_kind(Kind::Float);
        let filled = row(weight * room * &full);
        let free = row(&gain * (1.0 - &full));
        let next = (gap - filled) / free.clamp_min(tiny);
        // Rounding must not take back what is known to saturate.
        t = next.clamp_max(f64::from(f32::MAX)).maximum(&t);
    }
    (rate * t).minimum(room)
}

/// The values of the largest weights are used up, one after the other, until the sum of weight times length is `gap` `[R, 1]`.
fn filling(weight: &Tensor, room: &Tensor, gap: &Tensor) -> Tensor {
    let (sorted, order) = weight.sort(1, true);
    let gain = &sorted * room.gather(1, &order, false);
    let before = gain.cumsum(1, Kind::Float) - &gain;
    let used = (gap - before).clamp_min(0.0).minimum(&gain);
    let length = used / sorted.clamp_min(f64::from(f32::MIN_POSITIVE));
    weight.zeros_like().scatter(1, &order, &length).minimum(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
    }

    fn draw(seed: i64, shape: [i64; 4]) -> Tensor {
        let count: i64 = shape.iter().product();
        let wave = Tensor::arange(count, (Kind::Double, tch::Device::Cpu)) * 12.9898 + seed as f64 * 78.233;
        (wave.sin() * 43_758.545_3).frac().abs().to_kind(Kind::Float).view(shape)
    }

    fn length(norm: Norm, d: &Tensor) -> Vec<f64> {
        let flat = d.flatten(1, -1).abs();
        values(&match norm {
            Norm::Linf => flat.amax([1i64].as_slice(), false),
            Norm::L2 => flat.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).sqrt(),
            _ => flat.sum_dim_intlist([1i64].as_slice(), false, Kind::Float),
        })
    }

    #[test]
    fn planes_are_reached_inside_the_box_and_no_drawn_point_of_them_is_nearer() {
        let (point, normal) = (draw(1, [4, 1, 3, 3]), draw(2, [4, 1, 3, 3]) - 0.5);
        let gap = Tensor::from_slice(&[0.05f32, -0.4, 0.9, 0.0]);
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let d = displacement(norm, &point, &normal, &gap);
            let moved = &point + &d;
            assert!(f64::try_from(moved.min()).unwrap() >= -1e-6 && f64::try_from(moved.max()).unwrap() <= 1.0 + 1e-6);
            let change = values(&(&normal * &d).flatten(1, -1).sum_dim_intlist([1i64].as_slice(), false, Kind::Float));
            for (change, gap) in change.iter().zip(values(&gap)) {
                assert!((change - gap).abs() < 1e-5, "{norm}: {change} for {gap}");
            }
            let shortest = length(norm, &d);
            for seed in 3..200 {
                // Another point of the plane in the box: a drawn one, moved onto the plane by the same function's l2 form.
                let other = draw(seed, [4, 1, 3, 3]);
                let left = &gap
                    - (&normal * (&other - &point)).flatten(1, -1).sum_dim_intlist(
                        [1i64].as_slice(),
                        false,
                        Kind::Float,
                    );
                let on = &other + displacement(Norm::L2, &other, &normal, &left);
                let miss = values(
                    &(left
                        - (&normal * (&on - &other)).flatten(1, -1).sum_dim_intlist(
                            [1i64].as_slice(),
                            false,
                            Kind::Float,
                        )),
                );
                for ((longer, shortest), miss) in length(norm, &(on - &point)).iter().zip(&shortest).zip(miss) {
                    assert!(
                        miss.abs() > 1e-4 || *longer > shortest - 1e-4,
                        "{norm}: {longer} is shorter than {shortest}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_the_box_forbids_ends_in_a_corner_and_scale_does_not_matter() {
        let (point, normal) = (draw(5, [1, 1, 2, 2]), draw(6, [1, 1, 2, 2]) - 0.5);
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let moved = &point + displacement(norm, &point, &normal, &Tensor::from_slice(&[100.0f32]));
            assert_eq!(values(&moved.round()), values(&normal.gt(0.0)), "{norm}");
            assert!(f64::try_from((&moved - moved.round()).abs().max()).unwrap() < 1e-6);
            let plain = displacement(norm, &point, &normal, &Tensor::from_slice(&[0.1f32]));
            let small = displacement(norm, &point, &(&normal * 1e-9), &Tensor::from_slice(&[1e-10f32]));
            assert!(f64::try_from((plain - small).abs().max()).unwrap() < 1e-5, "{norm}");
            let none = displacement(norm, &point, &normal.zeros_like(), &Tensor::from_slice(&[0.1f32]));
            assert_eq!(values(&none), [0.0; 4], "{norm}");
        }
    }
}
