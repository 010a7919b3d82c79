//! Other shapes of the same values: views, joins, splits, padding.

use tch::{TchError, Tensor};

use super::super::{Args, Int, Lower, Lowered, Part, Rule, many, one};
use super::unary;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.view.default", reshape),
    ("aten._unsafe_view.default", reshape),
    ("aten.reshape.default", reshape),
    ("aten.view_as.default", reshape_as),
    ("aten.reshape_as.default", reshape_as),
    ("aten.flatten.using_ints", flatten),
    ("aten.unflatten.int", unflatten),
    ("aten.permute.default", permute),
    ("aten.transpose.int", transpose),
    ("aten.swapaxes.default", transpose),
    ("aten.swapdims.default", transpose),
    ("aten.t.default", unary!(|x| x.f_tr())),
    ("aten.numpy_T.default", unary!(|x| x.f_numpy_t())),
    ("aten.movedim.int", movedim),
    ("aten.movedim.intlist", movedim),
    ("aten.moveaxis.int", movedim),
    ("aten.moveaxis.intlist", movedim),
    ("aten.unsqueeze.default", unsqueeze),
    ("aten.squeeze.default", unary!(|x| x.f_squeeze())),
    ("aten.squeeze.dim", squeeze),
    ("aten.squeeze.dims", squeeze),
    ("aten.expand.default", expand),
    ("aten.expand_as.default", expand_as),
    ("aten.broadcast_to.default", expand),
    ("aten.repeat.default", repeat),
    ("aten.tile.default", tile),
    ("aten.repeat_interleave.self_int", repeat_interleave),
    ("aten.cat.default", |args| join(args, Tensor::f_cat)),
    ("aten.concat.default", |args| join(args, Tensor::f_cat)),
    ("aten.stack.default", |args| join(args, Tensor::f_stack)),
    ("aten.split.Tensor", split),
    ("aten.split.sizes", split_with_sizes),
    ("aten.split_with_sizes.default", split_with_sizes),
    ("aten.unsafe_split.Tensor", split),
    ("aten.chunk.default", chunk),
    ("aten.tensor_split.sections", tensor_split),
    ("aten.unbind.int", unbind),
    ("aten.select.int", select),
    ("aten.slice.Tensor", slice),
    ("aten.narrow.default", narrow),
    ("aten.unfold.default", unfold),
    ("aten.diagonal.default", diagonal),
    ("aten.roll.default", roll),
    ("aten.flip.default", flip),
    ("aten.rot90.default", rot90),
    ("aten.pad.default", pad),
    ("aten.constant_pad_nd.default", pad),
    ("aten.reflection_pad2d.default", |args| pad_by(args, "reflect")),
    ("aten.replication_pad2d.default", |args| pad_by(args, "replicate")),
    ("aten.meshgrid.default", meshgrid),
    ("aten.meshgrid.indexing", meshgrid),
    ("aten.t_copy.default", unary!(|x| x.f_tr())),
    ("aten.mT.default", unary!(|x| x.f_mt())),
    ("aten.mH.default", unary!(|x| x.f_mh())),
    ("aten.adjoint.default", unary!(|x| x.f_adjoint())),
    ("aten.matrix_H.default", unary!(|x| x.f_matrix_h())),
    ("aten.ravel.default", unary!(|x| x.f_reshape([-1]))),
    ("aten.atleast_1d.default", unary!(|x| x.f_atleast_1d())),
    ("aten.atleast_2d.default", unary!(|x| x.f_atleast_2d())),
    ("aten.atleast_3d.default", unary!(|x| x.f_atleast_3d())),
    ("aten.fliplr.default", unary!(|x| x.f_fliplr())),
    ("aten.flipud.default", unary!(|x| x.f_flipud())),
    ("aten.transpose_copy.int", transpose),
    ("aten.squeeze_copy.default", unary!(|x| x.f_squeeze())),
    ("aten.squeeze_copy.dim", squeeze),
    ("aten.squeeze_copy.dims", squeeze),
    ("aten.select_copy.int", select),
    ("aten.slice_copy.Tensor", slice),
    ("aten.narrow_copy.default", narrow),
    ("aten.split_copy.Tensor", split),
    ("aten.split_with_sizes_copy.default", split_with_sizes),
    ("aten.unsafe_split_with_sizes.default", split_with_sizes),
    ("aten.unbind_copy.int", unbind),
    ("aten.unfold_copy.default", unfold),
    ("aten.diagonal_copy.default", diagonal),
    ("aten.linalg_diagonal.default", diagonal_last),
    ("aten.diag_embed.default", diag_embed),
    ("aten.diag.default", diag),
    ("aten.unsafe_chunk.default", chunk),
    ("aten.tensor_split.indices", tensor_split_at),
    ("aten.hsplit.int", |args| sections(args, |x, sections| x.f_hsplit(sections))),
    ("aten.vsplit.int", |args| sections(args, |x, sections| x.f_vsplit(sections))),
    ("aten.dsplit.int", |args| sections(args, |x, sections| x.f_dsplit(sections))),
    ("aten.concatenate.default", |args| join(args, Tensor::f_cat)),
    ("aten.hstack.default", |args| stacked(args, Tensor::f_hstack)),
    ("aten.vstack.default", |args| stacked(args, Tensor::f_vstack)),
    ("aten.dstack.default", |args| stacked(args, Tensor::f_dstack)),
    ("aten.column_stack.default", |args| stacked(args, Tensor::f_column_stack)),
    ("aten.row_stack.default", |args| stacked(args, Tensor::f_vstack)),
    ("aten.block_diag.default", |args| stacked(args, Tensor::f_block_diag)),
    ("aten.broadcast_tensors.default", broadcast_tensors),
    ("aten.repeat_interleave.self_Tensor", repeat_interleave_each),
    ("aten.reflection_pad1d.default", |args| pad_by(args, "reflect")),
    ("aten.reflection_pad3d.default", |args| pad_by(args, "reflect")),
    ("aten.replication_pad1d.default", |args| pad_by(args, "replicate")),
    ("aten.replication_pad3d.default", |args| pad_by(args, "replicate")),
    ("aten._pad_circular.default", |args| pad_by(args, "circular")),
    ("aten.as_strided.default", as_strided),
    ("aten.diagflat.default", diagflat),
    ("aten.cartesian_prod.default", |args| stacked(args, Tensor::f_cartesian_prod)),
    ("aten.view_copy.default", reshape),
    ("aten.permute_copy.default", permute),
    ("aten.expand_copy.default", expand),
    ("aten.unsqueeze_copy.default", unsqueeze),
];

/// As a copy where memory does not allow a view: layouts are chosen here, not in the file.
fn reshape(args: &mut Args) -> Lowered {
    let x = args.first()?;
    let size = match args.optional_ints("size")? {
        Some(size) => size,
        None => args.ints("shape")?,
    };
    one(move |frame| frame.tensor(x)?.f_reshape(size.get(frame)?))
}

fn reshape_as(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    one(move |frame| frame.tensor(x)?.f_reshape(frame.tensor(other)?.size()))
}

fn flatten(args: &mut Args) -> Lowered {
    let (x, start, end) = (args.first()?, args.fixed("start_dim", 0)?, args.fixed("end_dim", -1)?);
    one(move |frame| frame.tensor(x)?.f_flatten(start, end))
}

fn unflatten(args: &mut Args) -> Lowered {
    let (x, dim, sizes) = (args.first()?, args.fixed("dim", 0)?, args.ints("sizes")?);
    one(move |frame| frame.tensor(x)?.f_unflatten(dim, sizes.get(frame)?))
}

fn permute(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.fixed_ints("dims", &[])?);
    args.rule = Rule::Permuted(dims.clone());
    one(move |frame| frame.tensor(x)?.f_permute(&dims))
}

fn transpose(args: &mut Args) -> Lowered {
    let x = args.first()?;
    let named = |args: &mut Args, names: [&str; 2]| match args.optional_float(names[0])? {
        Some(dim) => Ok::<_, String>(dim as i64),
        None => args.fixed(names[1], 0),
    };
    let (a, b) = (named(args, ["dim0", "axis0"])?, named(args, ["dim1", "axis1"])?);
    // Which dimension that is depends on the rank; of images it is known.
    let mut order = [0i64, 1, 2, 3];
    order.swap(a.rem_euclid(4) as usize, b.rem_euclid(4) as usize);
    args.rule = Rule::Permuted(order.to_vec());
    one(move |frame| frame.tensor(x)?.f_transpose(a, b))
}

fn movedim(args: &mut Args) -> Lowered {
    let (x, from, to) = (args.first()?, args.fixed_ints("source", &[])?, args.fixed_ints("destination", &[])?);
    args.rule = Rule::Nowhere;
    one(move |frame| frame.tensor(x)?.f_movedim(&from, &to))
}

fn unsqueeze(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    one(move |frame| frame.tensor(x)?.f_unsqueeze(dim))
}

fn squeeze(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.fixed_ints("dim", &[])?);
    one(move |frame| frame.tensor(x)?.f_squeeze_dims(&dims))
}

fn expand(args: &mut Args) -> Lowered {
    let (x, size) = (args.first()?, args.ints("size")?);
    args.ignore(&["implicit"]);
    one(move |frame| frame.tensor(x)?.f_expand(size.get(frame)?, false))
}

fn expand_as(args: &mut Args) -> Lowered {
    let (x, other) = (args.first()?, args.slot("other")?);
    one(move |frame| frame.tensor(x)?.f_expand(frame.tensor(other)?.size(), false))
}

fn repeat(args: &mut Args) -> Lowered {
    let (x, repeats) = (args.first()?, args.ints("repeats")?);
    one(move |frame| frame.tensor(x)?.f_repeat(repeats.get(frame)?))
}

fn tile(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.ints("dims")?);
    one(move |frame| frame.tensor(x)?.f_tile(dims.get(frame)?))
}

fn repeat_interleave(args: &mut Args) -> Lowered {
    let (x, repeats) = (args.first()?, args.int("repeats")?);
    let dim = args.optional_float("dim")?.map(|dim| dim as i64);
    args.ignore(&["output_size"]);
    one(move |frame| frame.tensor(x)?.f_repeat_interleave_self_int(repeats.get(frame)?, dim, None))
}

fn join(args: &mut Args, compute: fn(&[Tensor], i64) -> Result<Tensor, TchError>) -> Lowered {
    let (tensors, dim) = (args.slots("tensors")?, args.fixed("dim", 0)?);
    one(move |frame| compute(&super::alike(&frame.tensors(&tensors)?)?, dim))
}

fn split(args: &mut Args) -> Lowered {
    let (x, size, dim) = (args.first()?, args.int("split_size")?, args.fixed("dim", 0)?);
    many(move |frame| frame.tensor(x)?.f_split(size.get(frame)?, dim))
}

fn split_with_sizes(args: &mut Args) -> Lowered {
    let x = args.first()?;
    let sizes = match args.optional_ints("split_sizes")? {
        Some(sizes) => sizes,
        None => args.ints("split_size")?,
    };
    let dim = args.fixed("dim", 0)?;
    many(move |frame| frame.tensor(x)?.f_split_with_sizes(sizes.get(frame)?, dim))
}

fn chunk(args: &mut Args) -> Lowered {
    let (x, chunks, dim) = (args.first()?, args.fixed("chunks", 1)?, args.fixed("dim", 0)?);
    many(move |frame| frame.tensor(x)?.f_chunk(chunks, dim))
}

fn tensor_split(args: &mut Args) -> Lowered {
    let (x, sections, dim) = (args.first()?, args.fixed("sections", 1)?, args.fixed("dim", 0)?);
    many(move |frame| frame.tensor(x)?.f_tensor_split(sections, dim))
}

/// Only of values that lie one after another, as they do in the file.
fn as_strided(args: &mut Args) -> Lowered {
    let (x, size, stride) = (args.first()?, args.ints("size")?, args.ints("stride")?);
    let offset = args.optional_int("storage_offset")?;
    args.rule = Rule::Nowhere;
    one(move |frame| {
        let offset = offset.map(|offset| offset.get(frame)).transpose()?.unwrap_or(0);
        let (size, stride) = (size.get(frame)?, stride.get(frame)?);
        frame.tensor(x)?.f_contiguous()?.f_as_strided(&size, &stride, offset)
    })
}

fn diagflat(args: &mut Args) -> Lowered {
    let (x, offset) = (args.first()?, args.fixed("offset", 0)?);
    one(move |frame| frame.tensor(x)?.f_diagflat(offset))
}

fn tensor_split_at(args: &mut Args) -> Lowered {
    let (x, places, dim) = (args.first()?, args.ints("indices")?, args.fixed("dim", 0)?);
    many(move |frame| frame.tensor(x)?.f_tensor_split_indices(places.get(frame)?, dim))
}

fn sections(args: &mut Args, compute: fn(&Tensor, i64) -> Result<Vec<Tensor>, TchError>) -> Lowered {
    let (x, count) = (args.first()?, args.fixed("sections", 1)?);
    many(move |frame| compute(frame.tensor(x)?, count))
}

fn stacked(args: &mut Args, compute: fn(&[Tensor]) -> Result<Tensor, TchError>) -> Lowered {
    let tensors = args.slots("tensors")?;
    one(move |frame| compute(&super::alike(&frame.tensors(&tensors)?)?))
}

fn broadcast_tensors(args: &mut Args) -> Lowered {
    let tensors = args.slots("tensors")?;
    many(move |frame| Tensor::f_broadcast_tensors(&frame.tensors(&tensors)?))
}

fn repeat_interleave_each(args: &mut Args) -> Lowered {
    let (x, repeats, dim) = (args.first()?, args.slot("repeats")?, args.optional_float("dim")?);
    let size = args.optional_int("output_size")?;
    one(move |frame| {
        let size = size.map(|size| size.get(frame)).transpose()?;
        frame.tensor(x)?.f_repeat_interleave_self_tensor(frame.tensor(repeats)?, dim.map(|dim| dim as i64), size)
    })
}

fn diagonal_last(args: &mut Args) -> Lowered {
    let (x, offset) = (args.first()?, args.fixed("offset", 0)?);
    let (a, b) = (args.fixed("dim1", -2)?, args.fixed("dim2", -1)?);
    one(move |frame| frame.tensor(x)?.f_diagonal(offset, a, b))
}

fn diag_embed(args: &mut Args) -> Lowered {
    let (x, offset) = (args.first()?, args.fixed("offset", 0)?);
    let (a, b) = (args.fixed("dim1", -2)?, args.fixed("dim2", -1)?);
    one(move |frame| frame.tensor(x)?.f_diag_embed(offset, a, b))
}

fn diag(args: &mut Args) -> Lowered {
    let (x, diagonal) = (args.first()?, args.fixed("diagonal", 0)?);
    one(move |frame| frame.tensor(x)?.f_diag(diagonal))
}

fn unbind(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    args.rule = Rule::Nowhere;
    many(move |frame| frame.tensor(x)?.f_unbind(dim))
}

fn select(args: &mut Args) -> Lowered {
    let (x, dim, index) = (args.first()?, args.fixed("dim", 0)?, args.int("index")?);
    if let Int::Fixed(index) = index {
        args.part = Part::Selection { input: x, dim, index };
    }
    one(move |frame| frame.tensor(x)?.f_select(dim, index.get(frame)?))
}

fn slice(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dim", 0)?);
    let (start, end, step) = (args.optional_int("start")?, args.optional_int("end")?, args.fixed("step", 1)?);
    one(move |frame| {
        let get = |int: Option<Int>| int.map(|int| int.get(frame)).transpose();
        frame.tensor(x)?.f_slice(dim, get(start)?, get(end)?, step)
    })
}

fn narrow(args: &mut Args) -> Lowered {
    let (x, dim, start, length) = (args.first()?, args.fixed("dim", 0)?, args.int("start")?, args.int("length")?);
    one(move |frame| frame.tensor(x)?.f_narrow(dim, start.get(frame)?, length.get(frame)?))
}

fn unfold(args: &mut Args) -> Lowered {
    let (x, dim) = (args.first()?, args.fixed("dimension", 0)?);
    let (size, step) = (args.fixed("size", 1)?, args.fixed("step", 1)?);
    one(move |frame| frame.tensor(x)?.f_unfold(dim, size, step))
}

fn diagonal(args: &mut Args) -> Lowered {
    let (x, offset) = (args.first()?, args.fixed("offset", 0)?);
    let (a, b) = (args.fixed("dim1", 0)?, args.fixed("dim2", 1)?);
    one(move |frame| frame.tensor(x)?.f_diagonal(offset, a, b))
}

fn roll(args: &mut Args) -> Lowered {
    let (x, shifts, dims) = (args.first()?, args.ints("shifts")?, args.fixed_ints("dims", &[])?);
    one(move |frame| frame.tensor(x)?.f_roll(shifts.get(frame)?, &dims))
}

fn flip(args: &mut Args) -> Lowered {
    let (x, dims) = (args.first()?, args.fixed_ints("dims", &[])?);
    one(move |frame| frame.tensor(x)?.f_flip(&dims))
}

fn rot90(args: &mut Args) -> Lowered {
    let (x, turns, dims) = (args.first()?, args.fixed("k", 1)?, args.fixed_ints("dims", &[0, 1])?);
    one(move |frame| frame.tensor(x)?.f_rot90(turns, &dims))
}

fn pad(args: &mut Args) -> Lowered {
    let mode = args.text("mode", "constant")?;
    padded(args, mode)
}

fn pad_by(args: &mut Args, mode: &str) -> Lowered {
    padded(args, mode.to_owned())
}

fn padded(args: &mut Args, mode: String) -> Lowered {
    let name = if args.name(1).as_deref() == Some("padding") { "padding" } else { "pad" };
    let (x, pad, value) = (args.first()?, args.ints(name)?, args.optional_float("value")?);
    one(move |frame| {
        let (x, pad) = (frame.tensor(x)?, pad.get(frame)?);
        match mode.as_str() {
            "constant" if pad.iter().all(|&side| side == 0) => Ok(x.shallow_clone()),
            "constant" => x.f_pad(&pad, "constant", value.unwrap_or(0.0)),
            mode => x.f_pad(&pad, mode, None),
        }
    })
}

fn meshgrid(args: &mut Args) -> Lowered {
    let (tensors, indexing) = (args.slots("tensors")?, args.text("indexing", "ij")?);
    many(move |frame| Tensor::f_meshgrid_indexing(&frame.tensors(&tensors)?, &indexing))
}
