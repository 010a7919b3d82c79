//! Fourier transforms, and the complex numbers that they give.

use tch::{TchError, Tensor};

use super::super::{Args, Lower, Lowered, Rule, one};
use super::{unary, wide, wide_unary};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.fft_fft.default", |args| along(args, |x, n, dim, norm| x.f_fft_fft(n, dim, norm))),
    ("aten.fft_ifft.default", |args| along(args, |x, n, dim, norm| x.f_fft_ifft(n, dim, norm))),
    ("aten.fft_rfft.default", |args| along(args, |x, n, dim, norm| x.f_fft_rfft(n, dim, norm))),
    ("aten.fft_irfft.default", |args| along(args, |x, n, dim, norm| x.f_fft_irfft(n, dim, norm))),
    ("aten.fft_hfft.default", |args| along(args, |x, n, dim, norm| x.f_fft_hfft(n, dim, norm))),
    ("aten.fft_fft2.default", |args| over(args, PLANE, |x, s, dim, norm| x.f_fft_fftn(s, dim, norm))),
    ("aten.fft_ifft2.default", |args| over(args, PLANE, |x, s, dim, norm| x.f_fft_ifftn(s, dim, norm))),
    ("aten.fft_rfft2.default", |args| over(args, PLANE, |x, s, dim, norm| x.f_fft_rfftn(s, dim, norm))),
    ("aten.fft_irfft2.default", |args| over(args, PLANE, |x, s, dim, norm| x.f_fft_irfftn(s, dim, norm))),
    ("aten.fft_fftn.default", |args| over(args, &[], |x, s, dim, norm| x.f_fft_fftn(s, dim, norm))),
    ("aten.fft_ifftn.default", |args| over(args, &[], |x, s, dim, norm| x.f_fft_ifftn(s, dim, norm))),
    ("aten.fft_rfftn.default", |args| over(args, &[], |x, s, dim, norm| x.f_fft_rfftn(s, dim, norm))),
    ("aten.fft_irfftn.default", |args| over(args, &[], |x, s, dim, norm| x.f_fft_irfftn(s, dim, norm))),
    ("aten.fft_fftshift.default", |args| shift(args, |x, dims| x.f_fft_fftshift(dims))),
    ("aten.fft_ifftshift.default", |args| shift(args, |x, dims| x.f_fft_ifftshift(dims))),
    ("aten._fft_r2c.default", to_complex),
    ("aten._fft_c2r.default", to_real),
    ("aten._fft_c2c.default", complex_to_complex),
    ("aten.view_as_complex.default", wide_unary!(|x| x.f_contiguous()?.f_view_as_complex())),
    ("aten.view_as_real.default", unary!(|x| x.f_resolve_conj()?.f_view_as_real())),
    ("aten.real.default", unary!(|x| x.f_real())),
    ("aten.imag.default", unary!(|x| x.f_imag())),
    ("aten.conj_physical.default", unary!(|x| x.f_conj_physical())),
    ("aten._conj.default", unary!(|x| x.f_conj_physical())),
    ("aten._conj_physical.default", unary!(|x| x.f_conj_physical())),
    ("aten.conj.default", unary!(|x| x.f_conj_physical())),
    ("aten.resolve_conj.default", unary!(|x| x.f_resolve_conj())),
    ("aten.angle.default", unary!(|x| x.f_angle())),
    ("aten.complex.default", |args| pair(args, "imag", Tensor::f_complex)),
    ("aten.polar.default", |args| pair(args, "angle", Tensor::f_polar)),
];

/// The last two dimensions.
const PLANE: &[i64] = &[-2, -1];

/// How a transform is scaled, as PyTorch names it.
const SCALED: &str = "backward";

type Along = fn(&Tensor, Option<i64>, i64, &str) -> Result<Tensor, TchError>;

fn along(args: &mut Args, compute: Along) -> Lowered {
    let (x, n, dim) = (args.first()?, args.optional_int("n")?, args.fixed("dim", -1)?);
    let norm = args.text("norm", SCALED)?;
    args.rule = Rule::Inherit;
    one(move |frame| {
        let n = n.map(|n| n.get(frame)).transpose()?;
        compute(&wide(frame.tensor(x)?)?, n, dim, &norm)
    })
}

type Over = fn(&Tensor, Option<&[i64]>, Option<&[i64]>, &str) -> Result<Tensor, TchError>;

fn over(args: &mut Args, usual: &[i64], compute: Over) -> Lowered {
    let (x, sizes) = (args.first()?, args.optional_ints("s")?);
    let dims = args.optional_fixed_ints("dim")?.or_else(|| Some(usual.to_vec()).filter(|dims| !dims.is_empty()));
    let norm = args.text("norm", SCALED)?;
    one(move |frame| {
        let sizes = sizes.as_ref().map(|sizes| sizes.get(frame)).transpose()?;
        compute(&wide(frame.tensor(x)?)?, sizes.as_deref(), dims.as_deref(), &norm)
    })
}

fn shift(args: &mut Args, compute: fn(&Tensor, Option<&[i64]>) -> Result<Tensor, TchError>) -> Lowered {
    let (x, dims) = (args.first()?, args.optional_fixed_ints("dim")?);
    one(move |frame| compute(frame.tensor(x)?, dims.as_deref()))
}

fn to_complex(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.fixed_ints("dim", &[])?);
    let (scale, half) = (args.fixed("normalization", 0)?, args.truth("onesided", true)?);
    one(move |frame| wide(frame.tensor(x)?)?.f_internal_fft_r2c(&dims, scale, half))
}

fn to_real(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.fixed_ints("dim", &[])?);
    let (scale, last) = (args.fixed("normalization", 0)?, args.int("last_dim_size")?);
    one(move |frame| frame.tensor(x)?.f_internal_fft_c2r(&dims, scale, last.get(frame)?))
}

fn complex_to_complex(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.fixed_ints("dim", &[])?);
    let (scale, forward) = (args.fixed("normalization", 0)?, args.truth("forward", true)?);
    one(move |frame| frame.tensor(x)?.f_internal_fft_c2c(&dims, scale, forward))
}

fn pair(args: &mut Args, other: &str, compute: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Lowered {
    let (x, other) = (args.first()?, args.slot(other)?);
    one(move |frame| compute(&wide(frame.tensor(x)?)?, &wide(frame.tensor(other)?)?))
}
