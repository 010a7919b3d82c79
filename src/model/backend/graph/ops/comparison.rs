//! Comparisons, logic and choices, element by element.

use tch::{Kind, Scalar, TchError, Tensor};

use super::super::{Args, Lower, Lowered, Resolved, one};
use super::unary;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.eq.Tensor", |args| compare(args, |x, y| x.f_eq_tensor(y), |x, y| x.f_eq(y))),
    ("aten.eq.Scalar", |args| compare(args, |x, y| x.f_eq_tensor(y), |x, y| x.f_eq(y))),
    ("aten.ne.Tensor", |args| compare(args, |x, y| x.f_ne_tensor(y), |x, y| x.f_ne(y))),
    ("aten.ne.Scalar", |args| compare(args, |x, y| x.f_ne_tensor(y), |x, y| x.f_ne(y))),
    ("aten.gt.Tensor", |args| compare(args, |x, y| x.f_gt_tensor(y), |x, y| x.f_gt(y))),
    ("aten.gt.Scalar", |args| compare(args, |x, y| x.f_gt_tensor(y), |x, y| x.f_gt(y))),
    ("aten.ge.Tensor", |args| compare(args, |x, y| x.f_ge_tensor(y), |x, y| x.f_ge(y))),
    ("aten.ge.Scalar", |args| compare(args, |x, y| x.f_ge_tensor(y), |x, y| x.f_ge(y))),
    ("aten.lt.Tensor", |args| compare(args, |x, y| x.f_lt_tensor(y), |x, y| x.f_lt(y))),
    ("aten.lt.Scalar", |args| compare(args, |x, y| x.f_lt_tensor(y), |x, y| x.f_lt(y))),
    ("aten.le.Tensor", |args| compare(args, |x, y| x.f_le_tensor(y), |x, y| x.f_le(y))),
    ("aten.le.Scalar", |args| compare(args, |x, y| x.f_le_tensor(y), |x, y| x.f_le(y))),
    ("aten.greater.Tensor", |args| compare(args, |x, y| x.f_gt_tensor(y), |x, y| x.f_gt(y))),
    ("aten.greater.Scalar", |args| compare(args, |x, y| x.f_gt_tensor(y), |x, y| x.f_gt(y))),
    ("aten.greater_equal.Tensor", |args| compare(args, |x, y| x.f_ge_tensor(y), |x, y| x.f_ge(y))),
    ("aten.greater_equal.Scalar", |args| compare(args, |x, y| x.f_ge_tensor(y), |x, y| x.f_ge(y))),
    ("aten.less.Tensor", |args| compare(args, |x, y| x.f_lt_tensor(y), |x, y| x.f_lt(y))),
    ("aten.less.Scalar", |args| compare(args, |x, y| x.f_lt_tensor(y), |x, y| x.f_lt(y))),
    ("aten.less_equal.Tensor", |args| compare(args, |x, y| x.f_le_tensor(y), |x, y| x.f_le(y))),
    ("aten.less_equal.Scalar", |args| compare(args, |x, y| x.f_le_tensor(y), |x, y| x.f_le(y))),
    ("aten.not_equal.Tensor", |args| compare(args, |x, y| x.f_ne_tensor(y), |x, y| x.f_ne(y))),
    ("aten.not_equal.Scalar", |args| compare(args, |x, y| x.f_ne_tensor(y), |x, y| x.f_ne(y))),
    ("aten.logical_and.default", |args| pair(args, |x, y| x.f_logical_and(y))),
    ("aten.logical_or.default", |args| pair(args, |x, y| x.f_logical_or(y))),
    ("aten.logical_xor.default", |args| pair(args, |x, y| x.f_logical_xor(y))),
    ("aten.bitwise_and.Tensor", |args| pair(args, |x, y| x.f_bitwise_and_tensor(y))),
    ("aten.bitwise_or.Tensor", |args| pair(args, |x, y| x.f_bitwise_or_tensor(y))),
    ("aten.bitwise_and.Scalar", |args| compare(args, |x, y| x.f_bitwise_and_tensor(y), |x, y| x.f_bitwise_and(y))),
    ("aten.bitwise_or.Scalar", |args| compare(args, |x, y| x.f_bitwise_or_tensor(y), |x, y| x.f_bitwise_or(y))),
    ("aten.bitwise_xor.Scalar", |args| compare(args, |x, y| x.f_bitwise_xor_tensor(y), |x, y| x.f_bitwise_xor(y))),
    ("aten.isin.Tensor_Tensor", is_in),
    ("aten.signbit.default", unary!(|x| x.f_signbit())),
    ("aten.bitwise_xor.Tensor", |args| pair(args, |x, y| x.f_bitwise_xor_tensor(y))),
    ("aten.__xor__.Tensor", |args| pair(args, |x, y| x.f_bitwise_xor_tensor(y))),
    ("aten.isclose.default", is_close),
    ("aten.isposinf.default", unary!(|x| x.f_isposinf())),
    ("aten.isneginf.default", unary!(|x| x.f_isneginf())),
    ("aten.__and__.Tensor", |args| pair(args, |x, y| x.f_bitwise_and_tensor(y))),
    ("aten.__or__.Tensor", |args| pair(args, |x, y| x.f_bitwise_or_tensor(y))),
    ("aten.logical_not.default", unary!(|x| x.f_logical_not())),
    ("aten.bitwise_not.default", unary!(|x| x.f_bitwise_not())),
    ("aten.isnan.default", unary!(|x| x.f_isnan())),
    ("aten.isinf.default", unary!(|x| x.f_isinf())),
    ("aten.isfinite.default", unary!(|x| x.f_isfinite())),
    ("aten.where.self", choose),
    ("aten.where.ScalarOther", choose),
    ("aten.where.ScalarSelf", choose),
    ("aten.where.Scalar", choose),
    ("aten.masked_fill.Scalar", masked_fill),
    ("aten.masked_fill.Tensor", masked_fill),
];

fn compare(
    args: &mut Args,
    tensor: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>,
    scalar: fn(&Tensor, Scalar) -> Result<Tensor, TchError>,
) -> Lowered {
    let (x, other) = (args.first()?, args.operand("other")?);
    one(move |frame| match other.get(frame)? {
        Resolved::Tensor(other) => tensor(frame.tensor(x)?, other),
        Resolved::Scalar(other) => scalar(frame.tensor(x)?, other),
    })
}

fn pair(args: &mut Args, compute: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    one(move |frame| compute(frame.tensor(x)?, frame.tensor(other)?))
}

fn is_in(args: &mut Args) -> Lowered {
    let (elements, among) = (args.slot("elements")?, args.slot("test_elements")?);
    let (unique, invert) = (args.truth("assume_unique", false)?, args.truth("invert", false)?);
    one(move |frame| Tensor::f_isin(frame.tensor(elements)?, frame.tensor(among)?, unique, invert))
}

fn is_close(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    let (relative, absolute) = (args.float("rtol", 1e-5)?, args.float("atol", 1e-8)?);
    let nan = args.truth("equal_nan", false)?;
    one(move |frame| frame.tensor(x)?.f_isclose(frame.tensor(other)?, relative, absolute, nan))
}

fn choose(args: &mut Args) -> Lowered {
    let (condition, yes, no) = (args.slot("condition")?, args.operand("self")?, args.operand("other")?);
    one(move |frame| {
        let condition = frame.tensor(condition)?.f_to_kind(Kind::Bool)?;
        match (yes.get(frame)?, no.get(frame)?) {
            (Resolved::Tensor(yes), Resolved::Tensor(no)) => yes.f_where_self(&condition, no),
            (Resolved::Tensor(yes), Resolved::Scalar(no)) => yes.f_where_scalarother(&condition, no),
            (Resolved::Scalar(yes), Resolved::Tensor(no)) => Tensor::f_where_scalarself(&condition, yes, no),
            (Resolved::Scalar(yes), Resolved::Scalar(no)) => Tensor::f_where_scalar(&condition, yes, no),
        }
    })
}

fn masked_fill(args: &mut Args) -> Lowered {
    let (x, mask, value) = (args.first()?, args.slot("mask")?, args.operand("value")?);
    one(move |frame| {
        let (x, mask) = (frame.tensor(x)?, frame.tensor(mask)?);
        match value.get(frame)? {
            Resolved::Tensor(value) => x.f_masked_fill_tensor(mask, value),
            Resolved::Scalar(value) => x.f_masked_fill(mask, value),
        }
    })
}
