//! Images of other sizes.

use tch::{TchError, Tensor};

use super::super::{Args, Frame, Ints, Lower, Lowered, Rule, one, refuse};
use super::wide;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.upsample_nearest2d.vec", |args| resample(args, nearest)),
    ("aten.upsample_nearest2d.default", |args| resample(args, nearest)),
    ("aten._upsample_nearest_exact2d.vec", |args| resample(args, nearest_exact)),
    ("aten._upsample_nearest_exact2d.default", |args| resample(args, nearest_exact)),
    ("aten.upsample_bilinear2d.vec", |args| resample(args, bilinear)),
    ("aten.upsample_bilinear2d.default", |args| resample(args, bilinear)),
    ("aten.upsample_bicubic2d.vec", |args| resample(args, bicubic)),
    ("aten.upsample_bicubic2d.default", |args| resample(args, bicubic)),
    ("aten._upsample_bilinear2d_aa.vec", |args| resample(args, bilinear_antialiased)),
    ("aten._upsample_bilinear2d_aa.default", |args| resample(args, bilinear_antialiased)),
    ("aten._upsample_bicubic2d_aa.vec", |args| resample(args, bicubic_antialiased)),
    ("aten._upsample_bicubic2d_aa.default", |args| resample(args, bicubic_antialiased)),
    ("aten.upsample_nearest1d.vec", |args| {
        resample_line(args, |x, size, _, scale| x.f_upsample_nearest1d(size, scale))
    }),
    ("aten.upsample_nearest1d.default", |args| {
        resample_line(args, |x, size, _, scale| x.f_upsample_nearest1d(size, scale))
    }),
    ("aten.upsample_linear1d.vec", |args| {
        resample_line(args, |x, size, corners, scale| x.f_upsample_linear1d(size, corners, scale))
    }),
    ("aten.upsample_linear1d.default", |args| {
        resample_line(args, |x, size, corners, scale| x.f_upsample_linear1d(size, corners, scale))
    }),
    ("aten.affine_grid_generator.default", affine_grid),
    ("aten.grid_sampler.default", grid_sampler),
    ("aten.grid_sampler_2d.default", grid_sampler),
    ("aten.pixel_shuffle.default", pixel_shuffle),
    ("aten.pixel_unshuffle.default", pixel_unshuffle),
    ("aten.channel_shuffle.default", channel_shuffle),
    ("aten.native_channel_shuffle.default", channel_shuffle),
    ("aten.upsample_nearest3d.vec", |args| resample_volume(args, true)),
    ("aten.upsample_nearest3d.default", |args| resample_volume(args, true)),
    ("aten.upsample_trilinear3d.vec", |args| resample_volume(args, false)),
    ("aten.upsample_trilinear3d.default", |args| resample_volume(args, false)),
    ("aten.grid_sampler_3d.default", grid_sampler),
    ("aten.im2col.default", im2col),
    ("aten.col2im.default", col2im),
];

/// The size that comes out, whether corners stay on corners, and the scales where they are given.
struct Form {
    size: [i64; 2],
    corners: bool,
    scales: [Option<f64>; 2],
}

type Resample = fn(&Tensor, Form) -> Result<Tensor, TchError>;

fn nearest(x: &Tensor, form: Form) -> Result<Tensor, TchError> {
    x.f_upsample_nearest2d(form.size, form.scales[0], form.scales[1])
}

fn nearest_exact(x: &Tensor, form: Form) -> Result<Tensor, TchError> {
    x.f_internal_upsample_nearest_exact2d(form.size, form.scales[0], form.scales[1])
}

fn bilinear(x: &Tensor, form: Form) -> Result<Tensor, TchError> {
    x.f_upsample_bilinear2d(form.size, form.corners, form.scales[0], form.scales[1])
}

fn bicubic(x: &Tensor, form: Form) -> Result<Tensor, TchError> {
    x.f_upsample_bicubic2d(form.size, form.corners, form.scales[0], form.scales[1])
}

fn bilinear_antialiased(x: &Tensor, form: Form) -> Result<Tensor, TchError> {
    x.f_internal_upsample_bilinear2d_aa(form.size, form.corners, form.scales[0], form.scales[1])
}

fn bicubic_antialiased(x: &Tensor, form: Form) -> Result<Tensor, TchError> {
    x.f_internal_upsample_bicubic2d_aa(form.size, form.corners, form.scales[0], form.scales[1])
}

fn resample(args: &mut Args, compute: Resample) -> Lowered {
    let (x, size) = (args.first()?, args.optional_ints("output_size")?);
    let corners = args.truth("align_corners", false)?;
    let factors = args.optional_floats("scale_factors")?;
    let scales = [args.optional_float("scales_h")?, args.optional_float("scales_w")?];
    args.rule = Rule::Second;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let form = form(frame, &x, size.as_ref(), corners, factors.as_deref(), scales)?;
        compute(&x, form)
    })
}

fn form(
    frame: &Frame,
    x: &Tensor,
    size: Option<&Ints>,
    corners: bool,
    factors: Option<&[f64]>,
    scales: [Option<f64>; 2],
) -> Result<Form, TchError> {
    match (size.map(|size| size.get(frame)).transpose()?.as_deref(), factors) {
        (Some(&[height, width]), None) => Ok(Form { size: [height, width], corners, scales }),
        (None, Some(&[rows, columns])) => {
            let (_, _, height, width) = x.size4()?;
            let scaled = |side: i64, factor: f64| (side as f64 * factor).floor() as i64;
            let size = [scaled(height, rows), scaled(width, columns)];
            Ok(Form { size, corners, scales: [Some(rows), Some(columns)] })
        }
        _ => Err(refuse("resampling needs two sizes or two factors")),
    }
}

type ResampleLine = fn(&Tensor, i64, bool, Option<f64>) -> Result<Tensor, TchError>;

/// Of sequences `[N, C, L]`.
fn resample_line(args: &mut Args, compute: ResampleLine) -> Lowered {
    let (x, size) = (args.first()?, args.optional_ints("output_size")?);
    let corners = args.truth("align_corners", false)?;
    let factor = args.optional_floats("scale_factors")?.and_then(|factors| factors.first().copied());
    let scale = args.optional_float("scales")?;
    args.rule = Rule::Second;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let sizes = size.as_ref().map(|size| size.get(frame)).transpose()?.unwrap_or_default();
        match (sizes.first(), factor) {
            (Some(&size), _) => compute(&x, size, corners, scale),
            (None, Some(factor)) => {
                let length = (x.size3()?.2 as f64 * factor).floor() as i64;
                compute(&x, length, corners, Some(factor))
            }
            _ => Err(refuse("resampling needs a size or a factor")),
        }
    })
}

/// Of volumes `[N, C, D, H, W]`.
fn resample_volume(args: &mut Args, nearest: bool) -> Lowered {
    let (x, size) = (args.first()?, args.optional_ints("output_size")?);
    let corners = args.truth("align_corners", false)?;
    let factors = args.optional_floats("scale_factors")?;
    let scales = [args.optional_float("scales_d")?, args.optional_float("scales_h")?, args.optional_float("scales_w")?];
    args.rule = Rule::Second;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let size = size.as_ref().map(|size| size.get(frame)).transpose()?;
        let (size, [d, h, w]) = match (size, factors.as_deref()) {
            (Some(size), _) => (size, scales),
            (None, Some(&[d, h, w])) => {
                let sides = x.size5()?;
                let scaled = |side: i64, factor: f64| (side as f64 * factor).floor() as i64;
                (vec![scaled(sides.2, d), scaled(sides.3, h), scaled(sides.4, w)], [Some(d), Some(h), Some(w)])
            }
            _ => return Err(refuse("resampling needs three sizes or three factors")),
        };
        if nearest { x.f_upsample_nearest3d(size, d, h, w) } else { x.f_upsample_trilinear3d(size, corners, d, h, w) }
    })
}

fn affine_grid(args: &mut Args) -> Lowered {
    let (theta, size, corners) = (args.slot("theta")?, args.ints("size")?, args.truth("align_corners", false)?);
    one(move |frame| Tensor::f_affine_grid_generator(frame.tensor(theta)?, size.get(frame)?, corners))
}

fn grid_sampler(args: &mut Args) -> Lowered {
    let (x, grid) = (args.first()?, args.slot("grid")?);
    let (mode, padding) = (args.fixed("interpolation_mode", 0)?, args.fixed("padding_mode", 0)?);
    let corners = args.truth("align_corners", false)?;
    args.rule = Rule::Second;
    one(move |frame| {
        let pair = super::alike(&[&wide(frame.tensor(x)?)?, frame.tensor(grid)?])?;
        pair[0].f_grid_sampler(&pair[1], mode, padding, corners)
    })
}

fn pixel_shuffle(args: &mut Args) -> Lowered {
    let (x, factor) = (args.first()?, args.fixed("upscale_factor", 1)?);
    args.rule = Rule::Second;
    one(move |frame| frame.tensor(x)?.f_pixel_shuffle(factor))
}

fn pixel_unshuffle(args: &mut Args) -> Lowered {
    let (x, factor) = (args.first()?, args.fixed("downscale_factor", 1)?);
    args.rule = Rule::Second;
    one(move |frame| frame.tensor(x)?.f_pixel_unshuffle(factor))
}

fn channel_shuffle(args: &mut Args) -> Lowered {
    let (x, groups) = (args.first()?, args.fixed("groups", 1)?);
    args.rule = Rule::Second;
    one(move |frame| frame.tensor(x)?.f_channel_shuffle(groups))
}

fn im2col(args: &mut Args) -> Lowered {
    let (x, kernel, dilation) =
        (args.first()?, args.fixed_ints("kernel_size", &[])?, args.fixed_ints("dilation", &[1, 1])?);
    let (padding, stride) = (args.fixed_ints("padding", &[0, 0])?, args.fixed_ints("stride", &[1, 1])?);
    one(move |frame| frame.tensor(x)?.f_im2col(&kernel, &dilation, &padding, &stride))
}

fn col2im(args: &mut Args) -> Lowered {
    let (x, size, kernel) = (args.first()?, args.ints("output_size")?, args.fixed_ints("kernel_size", &[])?);
    let (dilation, padding) = (args.fixed_ints("dilation", &[1, 1])?, args.fixed_ints("padding", &[0, 0])?);
    let stride = args.fixed_ints("stride", &[1, 1])?;
    one(move |frame| frame.tensor(x)?.f_col2im(size.get(frame)?, &kernel, &dilation, &padding, &stride))
}
