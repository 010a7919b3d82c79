//! Convolutions, matrix products, attention, pooling and resampling.

use std::rc::Rc;

use tch::{Kind, TchError, Tensor};

use crate::model::backend::graph::{Args, Cost, Lower, Lowered, Part, Product, Rule, Slot, one, ops, refuse};

pub const OPERATORS: &[(&str, Lower)] = &[
    ("Conv", |args| convolution(args, false)),
    ("ConvTranspose", |args| convolution(args, true)),
    ("MatMul", matmul),
    ("Gemm", gemm),
    ("Einsum", einsum),
    ("Attention", attention),
    ("MaxPool", max_pool),
    ("AveragePool", average_pool),
    ("GlobalAveragePool", |args| global(args, |x, dims| x.f_mean_dim(dims, true, None))),
    ("GlobalMaxPool", |args| global(args, |x, dims| x.f_amax(dims, true))),
    ("GlobalLpPool", global_lp_pool),
    ("LpPool", lp_pool),
    ("Col2Im", col2im),
    ("AffineGrid", affine_grid),
    ("GridSample", grid_sample),
];

/// How windows lie: on each side of each dimension, and how they are spread.
struct Windows {
    kernel: Vec<i64>,
    stride: Vec<i64>,
    dilation: Vec<i64>,
    /// Values before the first row, column, ..., and behind the last; none to choose them so that the stride alone tells the size.
    padding: Option<Vec<i64>>,
    upper: bool,
}

impl Windows {
    fn read(args: &mut Args, kernel: &[i64]) -> Result<Self, String> {
        let spatial = kernel.len();
        let stride = args.fixed_ints("strides", &vec![1; spatial])?;
        let dilation = args.fixed_ints("dilations", &vec![1; spatial])?;
        let pads = args.fixed_ints("pads", &vec![0; 2 * spatial])?;
        let (padding, upper) = match args.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => (Some(pads), false),
            "VALID" => (Some(vec![0; 2 * spatial]), false),
            "SAME_UPPER" => (None, true),
            "SAME_LOWER" => (None, false),
            other => return Err(format!("pads by the mode `{other}`, which is not known")),
        };
        if stride.len() != spatial
            || dilation.len() != spatial
            || padding.as_ref().is_some_and(|pads| pads.len() != 2 * spatial)
        {
            return Err("has windows of another number of dimensions than its kernel".to_owned());
        }
        Ok(Windows { kernel: kernel.to_vec(), stride, dilation, padding, upper })
    }

    /// The padding for `x`: the same on both sides of each dimension, or `x` padded and nothing more.
    fn padded(&self, x: &Tensor, value: f64) -> Result<(Tensor, Vec<i64>), TchError> {
        let spatial = self.kernel.len();
        let pads = match &self.padding {
            Some(pads) => pads.clone(),
            None => {
                let size = x.size();
                let mut pads = vec![0; 2 * spatial];
                for place in 0..spatial {
                    let (side, stride) = (size[size.len() - spatial + place], self.stride[place].max(1));
                    let reach = (self.kernel[place] - 1) * self.dilation[place] + 1;
                    let total = (((side + stride - 1) / stride - 1) * stride + reach - side).max(0);
                    let less = total / 2;
                    (pads[place], pads[spatial + place]) =
                        if self.upper { (less, total - less) } else { (total - less, less) };
                }
                pads
            }
        };
        let (before, after) = pads.split_at(spatial);
        if before == after {
            return Ok((x.shallow_clone(), before.to_vec()));
        }
        // libtorch lists padding from the last dimension on.
        let sides: Vec<i64> = (0..spatial).rev().flat_map(|place| [before[place], after[place]]).collect();
        Ok((x.f_pad(&sides, "constant", value)?, vec![0; spatial]))
    }
}

fn convolution(args: &mut Args, transposed: bool) -> Lowered {
    let (stored_weight, stored_bias) = (args.stored("1"), args.stored("2"));
    let (x, weight, bias) = (args.slot("0")?, args.weight("1")?, args.bias("2")?);
    args.rule = Rule::Second;
    let shape = args.constant_shape(weight).ok_or("has a weight that depends on the images")?;
    let kernel = shape.get(2..).unwrap_or_default().to_vec();
    args.cost = Cost::Values(shape.iter().skip(1).product::<i64>().max(0) as u64);
    args.ignore(&["kernel_shape"]);
    let (windows, groups) = (Windows::read(args, &kernel)?, args.fixed("group", 1)?);
    let output = args.fixed_ints("output_padding", &vec![0; kernel.len()])?;
    let kind = args.builder.compute.kind;
    let product: Product = Rc::new(move |x, weight, bias| {
        let (x, padding) = windows.padded(x, 0.0)?;
        let Windows { stride, dilation, .. } = &windows;
        match (transposed, kernel.len()) {
            (false, 1) => x.f_conv1d(weight, bias, stride, &padding, dilation, groups),
            (false, 2) => x.f_conv2d(weight, bias, stride, &padding, dilation, groups),
            (false, 3) => x.f_conv3d(weight, bias, stride, &padding, dilation, groups),
            (true, 1) => x.f_conv_transpose1d(weight, bias, stride, &padding, &output, groups, dilation),
            (true, 2) => x.f_conv_transpose2d(weight, bias, stride, &padding, &output, groups, dilation),
            (_, spatial) => Err(refuse(format!("convolutions over {spatial} dimensions are not supported"))),
        }
    });
    if let (Some(weight), false) = (stored_weight, transposed) {
        args.part = Part::Convolution { input: x, weight, bias: stored_bias, product: Rc::clone(&product) };
    }
    one(move |frame| product(&ops::in_kind(frame.tensor(x)?, kind)?, frame.tensor(weight)?, frame.optional(bias)?))
}

fn matmul(args: &mut Args) -> Lowered {
    let (x, y) = (args.slot("0")?, args.slot("1")?);
    let (x, y) = (args.cast(x, false), args.cast(y, false));
    args.cost = Cost::Inner(x);
    args.rule = if args.constant_shape(y).is_some() { Rule::Last } else { Rule::Nowhere };
    one(move |frame| ops::times(frame.tensor(x)?, frame.tensor(y)?))
}

fn gemm(args: &mut Args) -> Lowered {
    let (x, weight, bias) = (args.slot("0")?, args.weight("1")?, args.optional("2")?);
    let (alpha, beta) = (args.float("alpha", 1.0)?, args.float("beta", 1.0)?);
    let (across_x, across) = (args.truth("transA", false)?, args.truth("transB", false)?);
    (args.cost, args.rule) = (Cost::Inner(x), Rule::Last);
    let kind = args.builder.compute.kind;
    one(move |frame| {
        let x = frame.tensor(x)?.f_to_kind(kind)?;
        let x = if across_x { x.f_tr()? } else { x };
        let weight = frame.tensor(weight)?;
        let bias = frame.optional(bias)?.map(|bias| bias.f_to_kind(kind)).transpose()?;
        if across && alpha == 1.0 && beta == 1.0 && bias.as_ref().is_none_or(|bias| bias.dim() == 1) {
            return x.f_linear(weight, bias.as_ref());
        }
        let product = x.f_matmul(&if across { weight.f_tr()? } else { weight.shallow_clone() })?;
        let product = if alpha == 1.0 { product } else { product.f_mul_scalar(alpha)? };
        match bias {
            Some(bias) => product.f_add(&bias.f_mul_scalar(beta)?),
            None => Ok(product),
        }
    })
}

fn einsum(args: &mut Args) -> Lowered {
    let equation = args.text("equation", "")?;
    let mut slots = vec![args.slot("0")?];
    while let Some(slot) = args.optional(&slots.len().to_string())? {
        slots.push(slot);
    }
    (args.cost, args.rule) = (Cost::Inner(slots[0]), Rule::Nowhere);
    let kind = args.builder.compute.kind;
    one(move |frame| {
        let tensors: Result<Vec<Tensor>, TchError> =
            slots.iter().map(|&slot| frame.tensor(slot)?.f_to_kind(kind)).collect();
        Tensor::f_einsum(&equation, &tensors?, None::<i64>)
    })
}

/// Attention of operator set 23, over heads that are a dimension of their own or lie beside one another.
fn attention(args: &mut Args) -> Lowered {
    let [query, key, value] = [args.slot("0")?, args.slot("1")?, args.slot("2")?];
    let mask = args.optional("3")?;
    let (causal, scale) = (args.truth("is_causal", false)?, args.optional_float("scale")?);
    let (heads, key_heads) = (args.fixed("q_num_heads", 0)?, args.fixed("kv_num_heads", 0)?);
    args.ignore(&["softmax_precision", "qk_matmul_output_mode"]);
    args.cost = Cost::Keys(key);
    let kind = args.builder.compute.kind;
    one(move |frame| {
        let query_shape = frame.tensor(query)?.size();
        let apart = |slot: Slot, heads: i64| {
            let tensor = frame.tensor(slot)?.f_to_kind(kind)?;
            if tensor.dim() == 4 {
                return Ok::<_, TchError>(tensor);
            }
            tensor.f_unflatten(-1, [heads, -1])?.f_transpose(1, 2)
        };
        let (query, key, value) = (apart(query, heads)?, apart(key, key_heads)?, apart(value, key_heads)?);
        let mask = frame
            .optional(mask)?
            .map(|mask| if mask.kind() == Kind::Bool { Ok(mask.shallow_clone()) } else { mask.f_to_kind(kind) });
        let mask = mask.transpose()?;
        let grouped = query.size()[1] != key.size()[1];
        let answer =
            Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask.as_ref(), 0.0, causal, scale, grouped)?;
        if query_shape.len() == 4 { Ok(answer) } else { answer.f_transpose(1, 2)?.f_flatten(2, 3) }
    })
}

fn max_pool(args: &mut Args) -> Lowered {
    let (x, kernel) = (args.slot("0")?, args.fixed_ints("kernel_shape", &[])?);
    args.rule = Rule::Second;
    let (windows, ceil) = (Windows::read(args, &kernel)?, args.truth("ceil_mode", false)?);
    args.ignore(&["storage_order"]);
    if args.fixed("~outputs", 1)? > 1 {
        return Err("gives places besides values, which is not supported".to_owned());
    }
    one(move |frame| {
        let (x, padding) = windows.padded(frame.tensor(x)?, f64::NEG_INFINITY)?;
        let Windows { kernel, stride, dilation, .. } = &windows;
        match kernel.len() {
            1 => x.f_max_pool1d(kernel, stride, &padding, dilation, ceil),
            3 => x.f_max_pool3d(kernel, stride, &padding, dilation, ceil),
            2 => x.f_max_pool2d(kernel, stride, &padding, dilation, ceil),
            spatial => Err(refuse(format!("pooling over {spatial} dimensions is not supported"))),
        }
    })
}

fn average_pool(args: &mut Args) -> Lowered {
    let (x, kernel) = (args.slot("0")?, args.fixed_ints("kernel_shape", &[])?);
    args.rule = Rule::Second;
    let (windows, ceil) = (Windows::read(args, &kernel)?, args.truth("ceil_mode", false)?);
    let counts = args.truth("count_include_pad", false)?;
    if windows.dilation.iter().any(|&dilation| dilation != 1) {
        return Err("averages over spread windows, which is not supported".to_owned());
    }
    one(move |frame| {
        let x = frame.tensor(x)?;
        let (padded, padding) = windows.padded(x, 0.0)?;
        let average = |x: &Tensor| match windows.kernel.len() {
            1 => x.f_avg_pool1d(&windows.kernel, &windows.stride, &padding, ceil, counts),
            2 => x.f_avg_pool2d(&windows.kernel, &windows.stride, &padding, ceil, counts, None),
            3 => x.f_avg_pool3d(&windows.kernel, &windows.stride, &padding, ceil, counts, None),
            spatial => Err(refuse(format!("pooling over {spatial} dimensions is not supported"))),
        };
        if counts || padded.size() == x.size() {
            return average(&padded);
        }
        // With more on one side, the share of each window that lies inside is averaged in the same way.
        let inside = windows.padded(&Tensor::f_ones_like(x)?, 0.0)?.0;
        average(&padded)?.f_div(&average(&inside)?)
    })
}

fn global(args: &mut Args, compute: fn(&Tensor, &[i64]) -> Result<Tensor, TchError>) -> Lowered {
    let x = args.slot("0")?;
    args.rule = Rule::Second;
    one(move |frame| {
        let x = wide(frame.tensor(x)?)?;
        let dims: Vec<i64> = (2..x.dim() as i64).collect();
        compute(&x, &dims)
    })
}

pub fn wide(x: &Tensor) -> Result<Tensor, TchError> {
    if x.kind() == Kind::BFloat16 { x.f_to_kind(Kind::Float) } else { Ok(x.shallow_clone()) }
}

fn global_lp_pool(args: &mut Args) -> Lowered {
    let (x, p) = (args.slot("0")?, args.fixed("p", 2)?);
    one(move |frame| {
        let x = frame.tensor(x)?;
        let dims: Vec<i64> = (2..x.dim() as i64).collect();
        x.f_norm_scalaropt_dim(p as f64, dims, true)
    })
}

/// The norm of each window.
fn lp_pool(args: &mut Args) -> Lowered {
    let (x, kernel, p) = (args.slot("0")?, args.fixed_ints("kernel_shape", &[])?, args.fixed("p", 2)?);
    args.rule = Rule::Second;
    let (windows, ceil) = (Windows::read(args, &kernel)?, args.truth("ceil_mode", false)?);
    if kernel.len() != 2 || windows.dilation.iter().any(|&dilation| dilation != 1) {
        return Err(
            "pools by a norm over spread windows, or over other dimensions than two, which is not supported".to_owned()
        );
    }
    let values = kernel.iter().product::<i64>() as f64;
    one(move |frame| {
        let powers = frame.tensor(x)?.f_abs()?.f_pow_tensor_scalar(p)?;
        let (x, padding) = windows.padded(&powers, 0.0)?;
        let mean = x.f_avg_pool2d(&windows.kernel, &windows.stride, &padding, ceil, true, None)?;
        mean.f_mul_scalar(values)?.f_pow_tensor_scalar(1.0 / p as f64)
    })
}

fn col2im(args: &mut Args) -> Lowered {
    let (x, size, block) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    let (stride, dilation) = (args.fixed_ints("strides", &[1, 1])?, args.fixed_ints("dilations", &[1, 1])?);
    let pads = args.fixed_ints("pads", &[0; 4])?;
    if pads.len() != 4 || pads[..2] != pads[2..] {
        return Err("pads other than alike on both sides, which is not supported".to_owned());
    }
    args.rule = Rule::Second;
    one(move |frame| {
        let (size, block) = (super::integers(frame, size)?, super::integers(frame, block)?);
        frame.tensor(x)?.f_col2im(size, block, &dilation, &pads[..2], &stride)
    })
}

fn affine_grid(args: &mut Args) -> Lowered {
    let (theta, size, corners) = (args.slot("0")?, args.slot("1")?, args.truth("align_corners", false)?);
    one(move |frame| Tensor::f_affine_grid_generator(frame.tensor(theta)?, super::integers(frame, size)?, corners))
}

fn grid_sample(args: &mut Args) -> Lowered {
    let (x, grid) = (args.slot("0")?, args.slot("1")?);
    let corners = args.truth("align_corners", false)?;
    let mode = match args.text("mode", "linear")?.as_str() {
        "linear" | "bilinear" => 0,
        "nearest" => 1,
        "cubic" | "bicubic" => 2,
        other => return Err(format!("samples by the mode `{other}`, which is not known")),
    };
    let padding = match args.text("padding_mode", "zeros")?.as_str() {
        "zeros" => 0,
        "border" => 1,
        _ => 2,
    };
    args.rule = Rule::Second;
    one(move |frame| wide(frame.tensor(x)?)?.f_grid_sampler(frame.tensor(grid)?, mode, padding, corners))
}
