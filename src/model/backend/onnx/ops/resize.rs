//! Images of other sizes: libtorch's kernels where they compute the same, and otherwise products with the weights that ONNX describes.

use tch::{Kind, TchError, Tensor};

use crate::model::backend::graph::{Args, Frame, Lower, Lowered, Rule, Slot, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[("Resize", resize), ("Upsample", resize)];

/// How values between the original's places are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// Where a place of the resized image lies in the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Places {
    Centres,
    /// As centres, but zero for a single one.
    CentresOfMany,
    Corners,
    /// Without the shift of half a pixel.
    Asymmetric,
    /// Centres of the resized image at the corners of the original (TensorFlow 1).
    HalfOnly,
}

/// Which neighbour is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    HalfDown,
    HalfUp,
    Down,
    Up,
}

/// All that tells the weights.
#[derive(Debug, Clone, Copy)]
struct Form {
    mode: Mode,
    places: Places,
    rounding: Rounding,
    /// The coefficient of cubic convolution (Keys 1981).
    cubic: f64,
    antialias: bool,
    /// Whether weights outside of the image are left out.
    inside: bool,
}

fn resize(args: &mut Args) -> Lowered {
    let newer = args.fixed("~opset", 11)? >= 11;
    let x = args.slot("0")?;
    let (scales, sizes) = if newer { (args.optional("2")?, args.optional("3")?) } else { (args.optional("1")?, None) };
    args.ignore(&["1", "extrapolation_value"]);
    let form = form(args, newer)?;
    if args.optional_fixed_ints("axes")?.is_some_and(|axes| !axes.ends_with(&[2, 3]) && !axes.ends_with(&[-2, -1])) {
        return Err("resizes other dimensions than rows and columns, which is not supported".to_owned());
    }
    let policy = args.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(format!("resizes with the policy `{policy}`, which is not supported"));
    }
    args.rule = Rule::Second;
    one(move |frame| {
        let x = frame.tensor(x)?;
        let x = if matches!(x.kind(), Kind::BFloat16) { x.f_to_kind(Kind::Float)? } else { x.shallow_clone() };
        let (size, factors) = target(frame, &x, scales, sizes)?;
        match kernel(&x, form, size, factors) {
            Some(resized) => resized,
            None => weighted(&x, form, size, factors),
        }
    })
}

fn form(args: &mut Args, newer: bool) -> Result<Form, String> {
    let mode = match args.text("mode", "nearest")?.as_str() {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" => Mode::Cubic,
        other => return Err(format!("resizes by the mode `{other}`, which is not known")),
    };
    let usual = if newer { "half_pixel" } else { "asymmetric" };
    let places = match args.text("coordinate_transformation_mode", usual)?.as_str() {
        "half_pixel" | "half_pixel_symmetric" => Places::Centres,
        "pytorch_half_pixel" => Places::CentresOfMany,
        "align_corners" => Places::Corners,
        "asymmetric" => Places::Asymmetric,
        "tf_half_pixel_for_nn" => Places::HalfOnly,
        other => return Err(format!("resizes with the places `{other}`, which are not supported")),
    };
    let rounding = match args.text("nearest_mode", if newer { "round_prefer_floor" } else { "floor" })?.as_str() {
        "round_prefer_floor" => Rounding::HalfDown,
        "round_prefer_ceil" => Rounding::HalfUp,
        "floor" => Rounding::Down,
        "ceil" => Rounding::Up,
        other => return Err(format!("rounds by the mode `{other}`, which is not known")),
    };
    let antialias = args.truth("antialias", false)?;
    if antialias && mode == Mode::Nearest {
        return Err("smooths and takes the nearest value at once, which is not supported".to_owned());
    }
    let (cubic, inside) = (args.float("cubic_coeff_a", -0.75)?, args.truth("exclude_outside", false)?);
    Ok(Form { mode, places, rounding, cubic, antialias, inside })
}

type Factors = [Option<f64>; 2];

/// The same by libtorch, where it has it.
fn kernel(x: &Tensor, form: Form, size: [i64; 2], [rows, columns]: Factors) -> Option<Result<Tensor, TchError>> {
    let corners = form.places == Places::Corners;
    let usual = corners || matches!(form.places, Places::Centres | Places::CentresOfMany);
    if x.dim() != 4 || !usual && form.mode != Mode::Nearest || form.inside && !form.antialias {
        return None;
    }
    match (form.mode, form.antialias) {
        (Mode::Nearest, _) if form.places == Places::Asymmetric && form.rounding == Rounding::Down => {
            Some(x.f_upsample_nearest2d(size, rows, columns))
        }
        (Mode::Linear, true) => Some(x.f_internal_upsample_bilinear2d_aa(size, corners, rows, columns)),
        (Mode::Linear, false) => Some(x.f_upsample_bilinear2d(size, corners, rows, columns)),
        (Mode::Cubic, true) if form.cubic == -0.5 => {
            Some(x.f_internal_upsample_bicubic2d_aa(size, corners, rows, columns))
        }
        (Mode::Cubic, false) if form.cubic == -0.75 => Some(x.f_upsample_bicubic2d(size, corners, rows, columns)),
        _ => None,
    }
}

/// Rows and columns one after the other, each by a matrix of weights.
fn weighted(x: &Tensor, form: Form, size: [i64; 2], factors: Factors) -> Result<Tensor, TchError> {
    if form.antialias {
        return Err(refuse(format!("smoothing with the coefficient {} is not supported", form.cubic)));
    }
    let (_, _, height, width) = x.size4()?;
    let matrix = |to: i64, from: i64, factor: Option<f64>| {
        let weights = weights(form, from, to, factor.unwrap_or(to as f64 / from.max(1) as f64));
        Tensor::from_slice(&weights).f_reshape([to, from])?.f_to_kind(x.kind())?.f_to_device(x.device())
    };
    let (rows, columns) = (matrix(size[0], height, factors[0])?, matrix(size[1], width, factors[1])?);
    rows.f_matmul(x)?.f_matmul(&columns.f_tr()?)
}

/// The weights of the original's places in each place of the resized one, row by row.
fn weights(form: Form, from: i64, to: i64, factor: f64) -> Vec<f64> {
    let mut weights = vec![0.0; (from * to).max(0) as usize];
    for (place, row) in weights.chunks_exact_mut(from.max(1) as usize).enumerate() {
        let x = place as f64;
        let at = match form.places {
            Places::CentresOfMany if to == 1 => 0.0,
            Places::Centres | Places::CentresOfMany => (x + 0.5) / factor - 0.5,
            Places::Corners if to == 1 => 0.0,
            Places::Corners => x * (from - 1) as f64 / (to - 1) as f64,
            Places::Asymmetric => x / factor,
            Places::HalfOnly => (x + 0.5) / factor,
        };
        for (neighbour, weight) in neighbours(form, at) {
            if !form.inside || (0..from).contains(&neighbour) {
                row[neighbour.clamp(0, from - 1) as usize] += weight;
            }
        }
        let sum: f64 = row.iter().sum();
        if form.inside && sum != 0.0 {
            row.iter_mut().for_each(|weight| *weight /= sum);
        }
    }
    weights
}

/// Places of the original and their weights for one at `at`.
fn neighbours(form: Form, at: f64) -> Vec<(i64, f64)> {
    let (below, share) = (at.floor() as i64, at - at.floor());
    match form.mode {
        Mode::Nearest => {
            let nearest = match form.rounding {
                Rounding::HalfDown => (at - 0.5).ceil(),
                Rounding::HalfUp => (at + 0.5).floor(),
                Rounding::Down => at.floor(),
                Rounding::Up => at.ceil(),
            };
            vec![(nearest as i64, 1.0)]
        }
        Mode::Linear => vec![(below, 1.0 - share), (below + 1, share)],
        Mode::Cubic => {
            let a = form.cubic;
            let near = |x: f64| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
            let far = |x: f64| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
            let weights = [far(share + 1.0), near(share), near(1.0 - share), far(2.0 - share)];
            (-1..).zip(weights).map(|(step, weight)| (below + step, weight)).collect()
        }
    }
}

type Target = ([i64; 2], Factors);

/// The size that an image comes to, and the factors where those are given.
fn target(frame: &Frame, x: &Tensor, scales: Option<Slot>, sizes: Option<Slot>) -> Result<Target, TchError> {
    let (_, _, height, width) = x.size4()?;
    if let Some(sizes) = sizes {
        return match super::integers(frame, sizes)?[..] {
            [.., height, width] => Ok(([height, width], [None, None])),
            _ => Err(refuse("resizing needs two sizes")),
        };
    }
    let scales = frame.optional(scales)?.ok_or_else(|| refuse("resizing needs sizes or factors"))?;
    let scales = Vec::<f64>::try_from(&scales.f_to_kind(Kind::Double)?.f_reshape([-1])?)?;
    match scales[..] {
        [.., rows, columns] => {
            let size = [(height as f64 * rows).floor() as i64, (width as f64 * columns).floor() as i64];
            Ok((size, [Some(rows), Some(columns)]))
        }
        _ => Err(refuse("resizing needs two factors")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(mode: Mode, places: Places, rounding: Rounding) -> Form {
        Form { mode, places, rounding, cubic: -0.75, antialias: false, inside: false }
    }

    /// Of the examples in ONNX's description of `Resize`.
    #[test]
    fn weights_are_those_that_onnx_describes() {
        let nearest = |places, rounding, from, to: i64, factor| -> Vec<usize> {
            let weights = weights(form(Mode::Nearest, places, rounding), from, to, factor);
            let rows = weights.chunks_exact(from as usize);
            rows.map(|row| row.iter().position(|weight| *weight == 1.0).unwrap()).collect()
        };
        assert_eq!(nearest(Places::Centres, Rounding::HalfDown, 4, 2, 0.5), [0, 2], "half a pixel between two");
        assert_eq!(nearest(Places::Centres, Rounding::HalfUp, 4, 2, 0.5), [1, 3]);
        assert_eq!(nearest(Places::Asymmetric, Rounding::HalfDown, 2, 6, 3.0), [0, 0, 1, 1, 1, 1]);
        assert_eq!(nearest(Places::Corners, Rounding::Down, 4, 2, 0.5), [0, 3]);
        assert_eq!(nearest(Places::HalfOnly, Rounding::Down, 4, 2, 0.5), [1, 3]);
        let linear = weights(form(Mode::Linear, Places::Asymmetric, Rounding::Down), 2, 4, 2.0);
        assert_eq!(linear, [1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn weights_are_libtorchs_where_it_has_a_kernel() {
        let x = Tensor::arange(2 * 5 * 7, (Kind::Double, tch::Device::Cpu)).sin().reshape([1, 2, 5, 7]);
        for mode in [Mode::Linear, Mode::Cubic] {
            for places in [Places::CentresOfMany, Places::Corners] {
                let form = form(mode, places, Rounding::Down);
                let ours = weighted(&x, form, [9, 4], [None, None]).unwrap();
                let theirs = kernel(&x, form, [9, 4], [None, None]).unwrap().unwrap();
                assert!((ours - theirs).abs().max().double_value(&[]) < 1e-12, "{form:?}");
            }
        }
    }
}
