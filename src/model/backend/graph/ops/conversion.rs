//! The same values as they are, or as another kind of numbers.

use tch::Kind;

use super::super::{Args, Frame, Lower, Lowered, Value, one};
use super::unary;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.to.dtype", to),
    ("aten.to.device", to),
    ("aten.to.dtype_layout", to),
    ("aten.to.other", type_as),
    ("aten.type_as.default", type_as),
    ("aten._to_copy.default", to),
    ("aten.contiguous.default", same),
    ("aten.clone.default", same),
    ("aten.alias.default", same),
    ("aten.detach_copy.default", detach),
    ("aten.detach.default", detach),
    ("aten.lift_fresh_copy.default", same),
    ("aten.lift_fresh.default", same),
    ("aten.resolve_neg.default", same),
    ("aten.view.dtype", view_kind),
    ("aten.alias_copy.default", same),
    ("aten.item.default", item),
    ("aten._local_scalar_dense.default", item),
    ("aten.float.default", unary!(|x| x.f_to_kind(Kind::Float))),
    ("aten.view_as_complex_copy.default", unary!(|x| x.f_contiguous()?.f_view_as_complex())),
    ("aten.view_as_real_copy.default", unary!(|x| x.f_view_as_real())),
];

/// The same tensor: no step writes into one.
fn same(args: &mut Args) -> Lowered {
    let x = args.first()?;
    args.ignore(&["memory_format"]);
    one(move |frame| Ok(frame.tensor(x)?.shallow_clone()))
}

fn detach(args: &mut Args) -> Lowered {
    let x = args.first()?;
    one(move |frame| frame.tensor(x)?.f_detach())
}

/// The same bits as another kind of number, which has no gradient: only of constants and places.
fn view_kind(args: &mut Args) -> Lowered {
    let (x, kind) = (args.first()?, args.kind("dtype")?);
    let kind = kind.ok_or("lacks the kind of number")?;
    one(move |frame| frame.tensor(x)?.f_view_dtype(kind))
}

/// Another kind of number; devices are chosen here, not in the file.
fn to(args: &mut Args) -> Lowered {
    let (x, kind) = (args.first()?, args.kind("dtype")?);
    args.ignore(&["device", "layout", "pin_memory", "non_blocking", "copy", "memory_format"]);
    one(move |frame| {
        let x = frame.tensor(x)?;
        match kind {
            // What is in bf16 here is so to be fast, not because the file says so.
            Some(Kind::Float) if x.kind() == Kind::BFloat16 => Ok(x.shallow_clone()),
            Some(kind) => x.f_to_kind(kind),
            None => Ok(x.shallow_clone()),
        }
    })
}

fn type_as(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    args.ignore(&["non_blocking", "copy", "memory_format"]);
    one(move |frame: &Frame| frame.tensor(x)?.f_to_kind(frame.tensor(other)?.kind()))
}

/// A tensor of one value as a number.
fn item(args: &mut Args) -> Lowered {
    let x = args.first()?;
    Ok(Box::new(move |frame| {
        let x = frame.tensor(x)?;
        let place = vec![0; x.dim()];
        match x.kind() {
            Kind::Bool => Ok(Value::Bool(x.f_int64_value(&place)? != 0)),
            _ if x.is_floating_point() => Ok(Value::Float(x.f_double_value(&place)?)),
            _ => Ok(Value::Int(x.f_int64_value(&place)?)),
        }
    }))
}
