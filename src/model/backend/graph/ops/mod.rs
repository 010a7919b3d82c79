//! ATen's operators, one file for each group. An operator is one line of its group's registry: the name of its overload, and the
//! function that lowers its arguments.

mod activation;
mod arithmetic;
mod attention;
mod comparison;
mod conversion;
mod convolution;
mod creation;
mod indexing;
mod normalization;
mod pooling;
mod product;
mod quantization;
mod recurrent;
mod reduction;
mod refused;
mod resampling;
mod shape;
mod spectral;
mod symbolic;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use tch::{Kind, TchError, Tensor};

use super::value::Lower;

/// The groups.
const GROUPS: &[&[(&str, Lower)]] = &[
    activation::OPERATORS,
    arithmetic::OPERATORS,
    attention::OPERATORS,
    comparison::OPERATORS,
    conversion::OPERATORS,
    convolution::OPERATORS,
    creation::OPERATORS,
    indexing::OPERATORS,
    normalization::OPERATORS,
    pooling::OPERATORS,
    product::OPERATORS,
    quantization::OPERATORS,
    recurrent::OPERATORS,
    reduction::OPERATORS,
    resampling::OPERATORS,
    shape::OPERATORS,
    spectral::OPERATORS,
    symbolic::OPERATORS,
];

pub use convolution::in_kind;
pub use normalization::response_norm;
pub use product::times;
pub use quantization::{Range, along, dequantized, note_rounding, quantized};
pub use refused::why_not;
pub use symbolic::is_check;

static OPERATORS: LazyLock<HashMap<&str, Lower>> =
    LazyLock::new(|| GROUPS.iter().copied().flatten().copied().collect());

/// Lowers the operator of this name, such as `aten.conv2d.default`; none if it is not known.
pub fn find(name: &str) -> Option<Lower> {
    OPERATORS.get(name).copied()
}

/// Operators whose output shares memory with their first argument.
pub fn is_view(name: &str) -> bool {
    const VIEWS: &[&str] = &[
        "adjoint",
        "alias",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "broadcast_to",
        "chunk",
        "contiguous",
        "detach",
        "diagonal",
        "dropout",
        "dsplit",
        "expand",
        "expand_as",
        "feature_dropout",
        "flatten",
        "hsplit",
        "imag",
        "lift_fresh",
        "lift_fresh_copy",
        "linalg_diagonal",
        "mH",
        "mT",
        "matrix_H",
        "moveaxis",
        "movedim",
        "narrow",
        "numpy_T",
        "permute",
        "positive",
        "ravel",
        "real",
        "reshape",
        "resolve_conj",
        "resolve_neg",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "swapaxes",
        "swapdims",
        "t",
        "tensor_split",
        "to",
        "transpose",
        "type_as",
        "unbind",
        "unflatten",
        "unfold",
        "unsqueeze",
        "view",
        "view_as",
        "view_as_complex",
        "view_as_real",
        "vsplit",
    ];
    name.strip_prefix("aten.").and_then(|name| name.split('.').next()).is_some_and(|name| VIEWS.contains(&name))
}

/// A tensor of bf16 as f32, where normalization, softmax and reductions happen.
fn wide(tensor: &Tensor) -> Result<Tensor, TchError> {
    match tensor.kind() {
        Kind::BFloat16 | Kind::Half => tensor.f_to_kind(Kind::Float),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// An output that evaluation does not read: an empty tensor, as PyTorch gives there, which is no layer.
fn nothing(like: &Tensor) -> Result<Tensor, TchError> {
    Tensor::f_empty([0], (like.kind(), like.device()))
}

/// Tensors in the widest floating kind among them, where libtorch wants one kind.
fn alike(tensors: &[&Tensor]) -> Result<Vec<Tensor>, TchError> {
    let widest =
        tensors.iter().map(|tensor| tensor.kind()).filter(|kind| rank(*kind) > 0).max_by_key(|kind| rank(*kind));
    let same = |tensor: &&Tensor| match widest {
        Some(kind) if tensor.kind() != kind && rank(tensor.kind()) > 0 => tensor.f_to_kind(kind),
        _ => Ok(tensor.shallow_clone()),
    };
    tensors.iter().map(same).collect()
}

/// The order of the floating kinds; nothing for others.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Half | Kind::BFloat16 => 1,
        Kind::Float => 2,
        Kind::Double => 3,
        _ => 0,
    }
}

/// Lowers an operator on one tensor.
macro_rules! unary {
    ($compute:expr) => {
        |args| {
            let x = args.first()?;
            one(move |frame| {
                let compute: fn(&tch::Tensor) -> Result<tch::Tensor, tch::TchError> = $compute;
                compute(frame.tensor(x)?)
            })
        }
    };
}
use unary;

/// The same in f32.
macro_rules! wide_unary {
    ($compute:expr) => {
        |args| {
            let x = args.first()?;
            one(move |frame| {
                let compute: fn(&tch::Tensor) -> Result<tch::Tensor, tch::TchError> = $compute;
                compute(&super::wide(frame.tensor(x)?)?)
            })
        }
    };
}
use wide_unary;
