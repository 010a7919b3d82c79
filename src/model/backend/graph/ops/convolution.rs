//! Convolutions, in the precision that the network computes in.

use std::rc::Rc;

use tch::{Kind, TchError, Tensor};

use super::super::{Args, Cost, Int, Lower, Lowered, Part, Product, Rule, one, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.conv1d.default", |args| convolution(args, Some(1), false)),
    ("aten.conv2d.default", |args| convolution(args, Some(2), false)),
    ("aten.conv3d.default", |args| convolution(args, Some(3), false)),
    ("aten.conv1d.padding", padded),
    ("aten.conv2d.padding", padded),
    ("aten.conv3d.padding", padded),
    ("aten.conv_transpose1d.default", |args| convolution(args, Some(1), true)),
    ("aten.conv_transpose2d.input", |args| convolution(args, Some(2), true)),
    ("aten.conv_transpose3d.input", |args| convolution(args, Some(3), true)),
    ("aten.convolution.default", |args| convolution(args, None, false)),
    ("aten._convolution.default", |args| convolution(args, None, false)),
];

/// The weight, with what it tells of the arithmetic.
fn weight(args: &mut Args) -> Result<super::super::Slot, String> {
    let weight = args.weight("weight")?;
    args.rule = Rule::Second;
    if let Some(shape) = args.constant_shape(weight) {
        args.cost = Cost::Values(shape.iter().skip(1).product::<i64>().max(0) as u64);
    }
    Ok(weight)
}

/// A convolution over `spatial` dimensions, or as many as the stride has.
fn convolution(args: &mut Args, spatial: Option<usize>, transposed: bool) -> Lowered {
    let (stored_weight, stored_bias) = (args.stored("weight"), args.stored("bias"));
    let (x, weight, bias) = (args.first()?, weight(args)?, args.bias("bias")?);
    let transposed = args.truth("transposed", transposed)?;
    let stride = args.fixed_ints("stride", &[1])?;
    let spatial = spatial.unwrap_or(stride.len());
    let full = |values: Vec<i64>| if values.len() == 1 { vec![values[0]; spatial] } else { values };
    let (stride, padding) = (full(stride), full(args.fixed_ints("padding", &[0])?));
    let (dilation, output) = (full(args.fixed_ints("dilation", &[1])?), full(args.fixed_ints("output_padding", &[0])?));
    // As many as images, where each image has weights of its own (Yang et al. 2019).
    let groups = args.optional_int("groups")?.unwrap_or(Int::Fixed(1));
    args.ignore(&["benchmark", "deterministic", "cudnn_enabled", "allow_tf32"]);
    let kind = args.builder.compute.kind;
    let product = move |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, groups: i64| match (transposed, spatial) {
        (false, 1) => x.f_conv1d(weight, bias, &stride, &padding, &dilation, groups),
        (false, 2) => x.f_conv2d(weight, bias, &stride, &padding, &dilation, groups),
        (false, 3) => x.f_conv3d(weight, bias, &stride, &padding, &dilation, groups),
        (true, 1) => x.f_conv_transpose1d(weight, bias, &stride, &padding, &output, groups, &dilation),
        (true, 2) => x.f_conv_transpose2d(weight, bias, &stride, &padding, &output, groups, &dilation),
        (true, 3) => x.f_conv_transpose3d(weight, bias, &stride, &padding, &output, groups, &dilation),
        _ => Err(refuse(format!("convolutions over {spatial} dimensions are not supported"))),
    };
    let product = Rc::new(product);
    if let (Int::Fixed(groups), Some(weight), false) = (groups, stored_weight, transposed) {
        let fixed = Rc::clone(&product);
        let product: Product = Rc::new(move |x, weight, bias| fixed(x, weight, bias, groups));
        args.part = Part::Convolution { input: x, weight, bias: stored_bias, product };
    }
    one(move |frame| {
        let (x, weight, bias) = (in_kind(frame.tensor(x)?, kind)?, frame.tensor(weight)?, frame.optional(bias)?);
        product(&x, weight, bias, groups.get(frame)?)
    })
}

/// A convolution whose padding is a word.
fn padded(args: &mut Args) -> Lowered {
    let (stored_weight, stored_bias) = (args.stored("weight"), args.stored("bias"));
    let (x, weight, bias) = (args.first()?, weight(args)?, args.bias("bias")?);
    let spatial = args.constant_shape(weight).map_or(2, |shape| shape.len().saturating_sub(2));
    let full = |values: Vec<i64>| if values.len() == 1 { vec![values[0]; spatial] } else { values };
    let (stride, padding) = (full(args.fixed_ints("stride", &[1])?), args.text("padding", "valid")?);
    let (dilation, groups) = (full(args.fixed_ints("dilation", &[1])?), args.fixed("groups", 1)?);
    let kind = args.builder.compute.kind;
    let product: Product = Rc::new(move |x, weight, bias| match spatial {
        1 => x.f_conv1d_padding(weight, bias, &stride, &padding, &dilation, groups),
        3 => x.f_conv3d_padding(weight, bias, &stride, &padding, &dilation, groups),
        _ => x.f_conv2d_padding(weight, bias, &stride, &padding, &dilation, groups),
    });
    if let Some(weight) = stored_weight {
        args.part = Part::Convolution { input: x, weight, bias: stored_bias, product: Rc::clone(&product) };
    }
    one(move |frame| {
        let (x, weight, bias) = (in_kind(frame.tensor(x)?, kind)?, frame.tensor(weight)?, frame.optional(bias)?);
        product(&x, weight, bias)
    })
}

/// A floating tensor in the precision of products.
pub fn in_kind(x: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    if x.kind() == kind { Ok(x.shallow_clone()) } else { x.f_to_kind(kind) }
}
