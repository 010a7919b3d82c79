//! Pooling over windows.

use super::super::{Args, Lower, Lowered, Rule, many, one};
use super::wide;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.max_pool1d.default", |args| max_pool(args, 1)),
    ("aten.max_pool2d.default", |args| max_pool(args, 2)),
    ("aten.max_pool2d_with_indices.default", max_pool_with_indices),
    ("aten._low_memory_max_pool_with_offsets.default", max_pool_with_indices),
    ("aten.avg_pool1d.default", avg_pool1d),
    ("aten.avg_pool2d.default", avg_pool2d),
    ("aten.avg_pool3d.default", avg_pool3d),
    ("aten.adaptive_avg_pool1d.default", adaptive_avg_pool1d),
    ("aten.adaptive_avg_pool2d.default", adaptive_avg_pool2d),
    ("aten._adaptive_avg_pool2d.default", adaptive_avg_pool2d),
    ("aten.adaptive_max_pool2d.default", adaptive_max_pool2d),
    ("aten.adaptive_max_pool1d.default", adaptive_max_pool1d),
    ("aten.max_pool3d.default", |args| max_pool(args, 3)),
    ("aten.max_pool3d_with_indices.default", |args| max_pool_and_places(args, 3)),
    ("aten.max_pool1d_with_indices.default", |args| max_pool_and_places(args, 1)),
    ("aten.adaptive_avg_pool3d.default", adaptive_avg_pool3d),
    ("aten._adaptive_avg_pool3d.default", adaptive_avg_pool3d),
    ("aten.adaptive_max_pool3d.default", adaptive_max_pool3d),
];

/// Windows of a pooling over `spatial` dimensions.
struct Windows {
    kernel: Vec<i64>,
    stride: Vec<i64>,
    padding: Vec<i64>,
    ceil: bool,
}

fn windows(args: &mut Args, spatial: usize) -> Result<Windows, String> {
    let full = |values: Vec<i64>| if values.len() == 1 { vec![values[0]; spatial] } else { values };
    let kernel = full(args.fixed_ints("kernel_size", &[])?);
    let stride = full(args.fixed_ints("stride", &[])?);
    let stride = if stride.is_empty() { kernel.clone() } else { stride };
    let padding = full(args.fixed_ints("padding", &[0])?);
    args.rule = Rule::Second;
    Ok(Windows { kernel, stride, padding, ceil: args.truth("ceil_mode", false)? })
}

fn max_pool(args: &mut Args, spatial: usize) -> Lowered {
    let (x, windows) = (args.first()?, windows(args, spatial)?);
    let dilation = args.fixed_ints("dilation", &[1])?;
    let dilation = if dilation.len() == 1 { vec![dilation[0]; spatial] } else { dilation };
    let Windows { kernel, stride, padding, ceil } = windows;
    one(move |frame| match spatial {
        1 => frame.tensor(x)?.f_max_pool1d(&kernel, &stride, &padding, &dilation, ceil),
        3 => frame.tensor(x)?.f_max_pool3d(&kernel, &stride, &padding, &dilation, ceil),
        _ => frame.tensor(x)?.f_max_pool2d(&kernel, &stride, &padding, &dilation, ceil),
    })
}

fn max_pool_with_indices(args: &mut Args) -> Lowered {
    max_pool_and_places(args, 2)
}

fn max_pool_and_places(args: &mut Args, spatial: usize) -> Lowered {
    let (x, windows) = (args.first()?, windows(args, spatial)?);
    let dilation = args.fixed_ints("dilation", &[1])?;
    let dilation = if dilation.len() == 1 { vec![dilation[0]; spatial] } else { dilation };
    let Windows { kernel, stride, padding, ceil } = windows;
    many(move |frame| {
        let x = frame.tensor(x)?;
        let (values, places) = match spatial {
            1 => x.f_max_pool1d_with_indices(&kernel, &stride, &padding, &dilation, ceil),
            2 => x.f_max_pool2d_with_indices(&kernel, &stride, &padding, &dilation, ceil),
            _ => x.f_max_pool3d_with_indices(&kernel, &stride, &padding, &dilation, ceil),
        }?;
        Ok(vec![values, places])
    })
}

fn avg_pool1d(args: &mut Args) -> Lowered {
    let (x, Windows { kernel, stride, padding, ceil }) = (args.first()?, windows(args, 1)?);
    let counts = args.truth("count_include_pad", true)?;
    one(move |frame| wide(frame.tensor(x)?)?.f_avg_pool1d(&kernel, &stride, &padding, ceil, counts))
}

fn avg_pool2d(args: &mut Args) -> Lowered {
    let (x, Windows { kernel, stride, padding, ceil }) = (args.first()?, windows(args, 2)?);
    let (counts, divisor) = (args.truth("count_include_pad", true)?, args.optional_float("divisor_override")?);
    let divisor = divisor.map(|divisor| divisor as i64);
    one(move |frame| frame.tensor(x)?.f_avg_pool2d(&kernel, &stride, &padding, ceil, counts, divisor))
}

fn avg_pool3d(args: &mut Args) -> Lowered {
    let (x, Windows { kernel, stride, padding, ceil }) = (args.first()?, windows(args, 3)?);
    let (counts, divisor) = (args.truth("count_include_pad", true)?, args.optional_float("divisor_override")?);
    let divisor = divisor.map(|divisor| divisor as i64);
    one(move |frame| wide(frame.tensor(x)?)?.f_avg_pool3d(&kernel, &stride, &padding, ceil, counts, divisor))
}

fn adaptive_avg_pool1d(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("output_size")?);
    one(move |frame| wide(frame.tensor(x)?)?.f_adaptive_avg_pool1d(size.get(frame)?))
}

fn adaptive_avg_pool2d(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("output_size")?);
    args.rule = Rule::Second;
    one(move |frame| wide(frame.tensor(x)?)?.f_adaptive_avg_pool2d(size.get(frame)?))
}

fn adaptive_max_pool2d(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("output_size")?);
    args.rule = Rule::Second;
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_adaptive_max_pool2d(size.get(frame)?)?;
        Ok(vec![values, places])
    })
}

fn adaptive_avg_pool3d(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("output_size")?);
    one(move |frame| wide(frame.tensor(x)?)?.f_adaptive_avg_pool3d(size.get(frame)?))
}

fn adaptive_max_pool3d(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("output_size")?);
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_adaptive_max_pool3d(size.get(frame)?)?;
        Ok(vec![values, places])
    })
}

fn adaptive_max_pool1d(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("output_size")?);
    many(move |frame| {
        let (values, places) = frame.tensor(x)?.f_adaptive_max_pool1d(size.get(frame)?)?;
        Ok(vec![values, places])
    })
}
