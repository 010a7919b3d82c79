//! Operators against libtorch's own, called directly, and against closed forms.

use tch::{Device, Kind, Tensor};

use super::super::{Arg, Builder, Value};
use super::find;
use crate::model::Compute;

/// An argument of a test.
enum Given {
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    Other(Arg),
}

fn t(tensor: &Tensor) -> Given {
    Given::Tensor(tensor.shallow_clone())
}

fn several(tensors: &[&Tensor]) -> Given {
    Given::Tensors(tensors.iter().map(|tensor| tensor.shallow_clone()).collect())
}

fn int(value: i64) -> Given {
    Given::Other(Arg::Int(value))
}

fn ints(values: &[i64]) -> Given {
    Given::Other(Arg::List(values.iter().map(|&value| Arg::Int(value)).collect()))
}

fn float(value: f64) -> Given {
    Given::Other(Arg::Float(value))
}

fn yes() -> Given {
    Given::Other(Arg::Bool(true))
}

fn word(text: &str) -> Given {
    Given::Other(Arg::Text(text.to_owned()))
}

/// What an operator makes of its arguments, named as in ATen's schema: its first output of `outputs`.
fn computed(operator: &str, arguments: Vec<(&str, Given)>, outputs: usize) -> Tensor {
    let mut builder = Builder::new(Compute::f32(Device::Cpu));
    let mut constant = |tensor: Tensor| Arg::Slot(builder.with(Value::Tensor(tensor)));
    let entries = arguments.into_iter().map(|(name, argument)| {
        let arg = match argument {
            Given::Tensor(tensor) => constant(tensor),
            Given::Tensors(tensors) => Arg::List(tensors.into_iter().map(&mut constant).collect()),
            Given::Other(arg) => arg,
        };
        (name.to_owned(), arg)
    });
    let entries: Vec<(String, Arg)> = entries.collect();
    let slots: Vec<_> = (0..outputs).map(|_| builder.slot()).collect();
    let lower = find(&format!("aten.{operator}")).unwrap_or_else(|| panic!("{operator} is not known"));
    builder.node(lower, entries, slots.clone(), outputs > 1).unwrap_or_else(|problem| panic!("{operator} {problem}"));
    match builder.constant(slots[0]) {
        Some(Value::Tensor(tensor)) => tensor.shallow_clone(),
        other => panic!("{operator} gives {other:?}"),
    }
}

/// Values between -1 and 1 that differ.
fn waves(shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1.7 + shape.len() as f64).sin().reshape(shape)
}

fn assert_same(operator: &str, ours: &Tensor, theirs: &Tensor) {
    assert_eq!(ours.size(), theirs.size(), "{operator}");
    let difference = |x: &Tensor, y: &Tensor| (x - y).abs().max().double_value(&[]);
    assert!(difference(ours, theirs) <= 1e-5, "{operator}: {}", difference(ours, theirs));
}

/// Standardized weights of NFNets in core ATen.
#[test]
fn weights_are_normalized_without_statistics() {
    let weight = waves(&[1, 4, 6]);
    let arguments = vec![("input", t(&weight)), ("training", yes()), ("momentum", float(0.0)), ("eps", float(1e-6))];
    let deviations = &weight - weight.mean_dim([2i64].as_slice(), true, Kind::Float);
    let variance = deviations.square().mean_dim([2i64].as_slice(), true, Kind::Float);
    let ours = computed("_native_batch_norm_legit.no_stats", arguments, 3);
    assert_same("no_stats", &ours, &(deviations / (variance + 1e-6).sqrt()));
}

/// `affine_grid` in core ATen begins so.
#[test]
fn numbers_may_stand_before_tensors() {
    let x = waves(&[2, 3]);
    assert_same("sub", &computed("sub.Tensor", vec![("self", int(15)), ("other", t(&x))], 1), &(15.0 - &x));
    assert_same("div", &computed("div.Tensor", vec![("self", float(0.9375)), ("other", t(&x))], 1), &(0.9375 / &x));
    let integers = Tensor::from_slice(&[1i64, 4]);
    let ours = computed("sub.Tensor", vec![("self", float(0.5)), ("other", t(&integers))], 1);
    assert_same("sub of whole numbers", &ours, &Tensor::from_slice(&[-0.5f32, -3.5]));
}

#[test]
fn recurrent_layers_are_libtorchs() {
    let (x, zero) = (waves(&[2, 5, 3]), Tensor::zeros([2, 2, 4], (Kind::Float, Device::Cpu)));
    for (operator, gates) in [("lstm.input", 4), ("gru.input", 3), ("rnn_tanh.input", 1), ("rnn_relu.input", 1)] {
        let one_way =
            || [waves(&[4 * gates, 3]), waves(&[4 * gates, 4]), waves(&[4 * gates]), waves(&[4 * gates]) * 0.5];
        let parameters: Vec<Tensor> = one_way().into_iter().chain(one_way().map(|tensor| tensor * -0.7)).collect();
        let states = match operator {
            "lstm.input" => several(&[&zero, &zero]),
            _ => t(&zero),
        };
        let arguments = vec![
            ("input", t(&x)),
            ("hx", states),
            ("params", several(&parameters.iter().collect::<Vec<_>>())),
            ("has_biases", yes()),
            ("num_layers", int(1)),
            ("dropout", float(0.3)),
            ("train", Given::Other(Arg::Bool(false))),
            ("bidirectional", yes()),
            ("batch_first", yes()),
        ];
        let ours = computed(operator, arguments, if gates == 4 { 3 } else { 2 });
        let theirs = match operator {
            "lstm.input" => {
                x.lstm(&[zero.shallow_clone(), zero.shallow_clone()], &parameters, true, 1, 0.0, false, true, true).0
            }
            "gru.input" => x.gru(&zero, &parameters, true, 1, 0.0, false, true, true).0,
            "rnn_tanh.input" => x.rnn_tanh(&zero, &parameters, true, 1, 0.0, false, true, true).0,
            _ => x.rnn_relu(&zero, &parameters, true, 1, 0.0, false, true, true).0,
        };
        assert_same(operator, &ours, &theirs);
    }
}

/// Of what PyTorch computes where no gradients are asked for.
#[test]
fn encoder_layers_are_libtorchs() {
    let x = waves(&[2, 5, 8]);
    let [qkv, qkv_bias, out, out_bias] = [waves(&[24, 8]), waves(&[24]), waves(&[8, 8]), waves(&[8])];
    let [wide, wide_bias, narrow, narrow_bias] = [waves(&[12, 8]), waves(&[12]), waves(&[8, 12]), waves(&[8])];
    let (scale, shift) = (waves(&[8]) + 1.0, waves(&[8]));
    let none = None::<&Tensor>;
    let heads = |count: &'static str| vec![("embed_dim", int(8)), (count, int(2))];
    let attention = vec![
        ("query", t(&x)),
        ("key", t(&x)),
        ("value", t(&x)),
        ("qkv_weight", t(&qkv)),
        ("qkv_bias", t(&qkv_bias)),
        ("proj_weight", t(&out)),
        ("proj_bias", t(&out_bias)),
        ("need_weights", Given::Other(Arg::Bool(false))),
    ];
    let operator = "_native_multi_head_attention.default";
    let ours = computed(operator, attention.into_iter().chain(heads("num_head")).collect(), 2);
    let theirs = Tensor::internal_native_multi_head_attention(
        &x, &x, &x, 8, 2, &qkv, &qkv_bias, &out, &out_bias, none, false, false, None,
    );
    assert_same(operator, &ours, &theirs.0);
    for first in [true, false] {
        let mut layer = vec![
            ("src", t(&x)),
            ("qkv_weight", t(&qkv)),
            ("qkv_bias", t(&qkv_bias)),
            ("proj_weight", t(&out)),
            ("proj_bias", t(&out_bias)),
            ("use_gelu", Given::Other(Arg::Bool(first))),
            ("norm_first", Given::Other(Arg::Bool(first))),
            ("eps", float(1e-5)),
        ];
        layer.extend([("norm_weight_1", t(&scale)), ("norm_bias_1", t(&shift))]);
        layer.extend([("norm_weight_2", t(&shift)), ("norm_bias_2", t(&scale))]);
        layer.extend([("ffn_weight_1", t(&wide)), ("ffn_bias_1", t(&wide_bias))]);
        layer.extend([("ffn_weight_2", t(&narrow)), ("ffn_bias_2", t(&narrow_bias))]);
        layer.extend(heads("num_heads"));
        let operator = "_transformer_encoder_layer_fwd.default";
        let ours = computed(operator, layer, 1);
        let theirs = Tensor::internal_transformer_encoder_layer_fwd(
            &x,
            8,
            2,
            &qkv,
            &qkv_bias,
            &out,
            &out_bias,
            first,
            first,
            1e-5,
            &scale,
            &shift,
            &shift,
            &scale,
            &wide,
            &wide_bias,
            &narrow,
            &narrow_bias,
            none,
            None,
        );
        assert_same(operator, &ours, &theirs);
    }
}

#[test]
fn transforms_are_libtorchs() {
    let (x, pairs) = (waves(&[2, 4, 6, 3]), waves(&[4, 4, 3, 2]));
    let filter = computed("view_as_complex.default", vec![("self", t(&pairs))], 1);
    let arguments = |s: Option<Given>| {
        let sizes = s.map(|sizes| ("s", sizes));
        sizes.into_iter().chain([("dim", ints(&[1, 2])), ("norm", word("ortho"))]).collect::<Vec<_>>()
    };
    let there: Vec<_> = std::iter::once(("self", t(&x))).chain(arguments(None)).collect();
    let waves = computed("fft_rfft2.default", there, 1) * &filter;
    let theirs = x.fft_rfft2(None::<&[i64]>, [1, 2], "ortho") * pairs.view_as_complex();
    assert_same("fft_rfft2", &waves.view_as_real(), &theirs.view_as_real());
    let back = std::iter::once(("self", t(&waves))).chain(arguments(Some(ints(&[4, 6])))).collect();
    let back = computed("fft_irfft2.default", back, 1);
    assert_same("fft_irfft2", &back, &theirs.fft_irfft2([4i64, 6].as_slice(), [1, 2], "ortho"));
    let half = vec![("self", t(&x)), ("dim", ints(&[1])), ("normalization", int(1)), ("onesided", yes())];
    let half = computed("_fft_r2c.default", half, 1);
    assert_same("_fft_r2c", &half.view_as_real(), &x.fft_rfft(None, 1, "ortho").view_as_real());
}

/// An operator with its arguments, how many outputs it has, and the first of them.
type Case = (&'static str, Vec<(&'static str, Given)>, usize, Tensor);

#[test]
fn rarer_operators_are_libtorchs() {
    let (x, y) = (waves(&[3, 4]), waves(&[4, 3]).tr() * 0.5);
    let (cube, volume) = (waves(&[2, 3, 4]), waves(&[2, 2, 4, 4, 6]));
    let places = Tensor::from_slice(&[2i64, 0, 2, 1]);
    let wide = places.expand([3, 4], false);
    let cases: Vec<Case> = vec![
        ("hardshrink.default", vec![("self", t(&x)), ("lambd", float(0.5))], 1, x.hardshrink()),
        ("softshrink.default", vec![("self", t(&x)), ("lambd", float(0.5))], 1, x.softshrink()),
        ("logit.default", vec![("self", t(&x.abs())), ("eps", float(1e-3))], 1, x.abs().logit(1e-3)),
        ("rsub.Scalar", vec![("self", t(&x)), ("other", float(2.0)), ("alpha", float(3.0))], 1, &x * -3.0 + 2.0),
        ("fmax.default", vec![("self", t(&x)), ("other", t(&y))], 1, x.fmax(&y)),
        ("clamp_min.Tensor", vec![("self", t(&x)), ("min", t(&y))], 1, x.maximum(&y)),
        ("logaddexp.default", vec![("self", t(&x)), ("other", t(&y))], 1, (x.exp() + y.exp()).log()),
        ("arctan.default", vec![("self", t(&x))], 1, x.atan()),
        (
            "index_add.default",
            vec![("self", t(&x)), ("dim", int(1)), ("index", t(&places)), ("source", t(&y)), ("alpha", float(0.5))],
            1,
            x.index_add(1, &places, &(&y * 0.5)),
        ),
        (
            "scatter_reduce.two",
            vec![("self", t(&x)), ("dim", int(1)), ("index", t(&wide)), ("src", t(&y)), ("reduce", word("sum"))],
            1,
            x.scatter_add(1, &wide, &y),
        ),
        (
            "index_fill.int_Scalar",
            vec![("self", t(&x)), ("dim", int(1)), ("index", t(&places)), ("value", float(7.0))],
            1,
            x.index_fill(1, &places, 7.0),
        ),
        ("cumprod.default", vec![("self", t(&x)), ("dim", int(1))], 1, x.cumprod(1, None)),
        ("logcumsumexp.default", vec![("self", t(&x)), ("dim", int(1))], 1, x.exp().cumsum(1, None).log()),
        ("median.dim", vec![("self", t(&x)), ("dim", int(1)), ("keepdim", yes())], 2, x.median_dim(1, true).0),
        ("kthvalue.default", vec![("self", t(&x)), ("k", int(2)), ("dim", int(1))], 2, x.sort(1, false).0.select(1, 1)),
        (
            "linalg_norm.default",
            vec![("self", t(&x)), ("dim", ints(&[1]))],
            1,
            x.square().sum_dim_intlist(1, false, None).sqrt(),
        ),
        ("diag_embed.default", vec![("self", t(&x)), ("offset", int(1))], 1, x.diag_embed(1, -2, -1)),
        (
            "tensor_split.indices",
            vec![("self", t(&x)), ("indices", ints(&[1, 3])), ("dim", int(1))],
            3,
            x.narrow(1, 0, 1),
        ),
        ("hstack.default", vec![("tensors", several(&[&x, &y]))], 1, Tensor::cat(&[&x, &y], 1)),
        (
            "column_stack.default",
            vec![("tensors", several(&[&places, &places]))],
            1,
            Tensor::stack(&[&places, &places], 1),
        ),
        (
            "addr.default",
            vec![("self", t(&x)), ("vec1", t(&x.select(1, 0))), ("vec2", t(&y.select(0, 0))), ("alpha", float(2.0))],
            1,
            &x + x.select(1, 0).outer(&y.select(0, 0)) * 2.0,
        ),
        (
            "addbmm.default",
            vec![("self", t(&x)), ("batch1", t(&cube)), ("batch2", t(&waves(&[2, 4, 4])))],
            1,
            x.addbmm(&cube, &waves(&[2, 4, 4])),
        ),
        (
            "tensordot.default",
            vec![("self", t(&cube)), ("other", t(&y)), ("dims_self", ints(&[1, 2])), ("dims_other", ints(&[0, 1]))],
            1,
            cube.tensordot(&y, [1, 2], [0, 1]),
        ),
        ("dist.default", vec![("self", t(&x)), ("other", t(&y))], 1, (&x - &y).square().sum(None).sqrt()),
        (
            "upsample_linear1d.vec",
            vec![("input", t(&cube)), ("output_size", ints(&[7]))],
            1,
            cube.upsample_linear1d([7], false, None),
        ),
        (
            "upsample_nearest3d.vec",
            vec![("input", t(&volume)), ("scale_factors", Given::Other(Arg::List(vec![Arg::Float(2.0); 3])))],
            1,
            volume
                .repeat_interleave_self_int(2, 2, None)
                .repeat_interleave_self_int(2, 3, None)
                .repeat_interleave_self_int(2, 4, None),
        ),
        (
            "max_pool3d.default",
            vec![("self", t(&volume)), ("kernel_size", ints(&[2]))],
            1,
            volume.max_pool3d([2, 2, 2], [2, 2, 2], [0, 0, 0], [1, 1, 1], false),
        ),
        (
            "max_pool3d_with_indices.default",
            vec![("self", t(&volume)), ("kernel_size", ints(&[2]))],
            2,
            volume.max_pool3d([2, 2, 2], [2, 2, 2], [0, 0, 0], [1, 1, 1], false),
        ),
        (
            "adaptive_avg_pool3d.default",
            vec![("self", t(&volume)), ("output_size", ints(&[1, 1, 1]))],
            1,
            volume.mean_dim([2i64, 3, 4].as_slice(), true, None),
        ),
        (
            "_pad_circular.default",
            vec![("self", t(&cube)), ("pad", ints(&[1, 2]))],
            1,
            Tensor::cat(&[&cube.narrow(2, 3, 1), &cube, &cube.narrow(2, 0, 2)], 2),
        ),
        (
            "convolution.default",
            vec![
                ("input", t(&volume.select(1, 0))),
                ("weight", t(&waves(&[4, 2, 3, 3]))),
                ("stride", ints(&[1, 1])),
                ("padding", ints(&[1, 1])),
                ("transposed", Given::Other(Arg::Bool(false))),
                ("groups", int(2)),
            ],
            1,
            volume.select(1, 0).conv2d(&waves(&[4, 2, 3, 3]), None::<&Tensor>, [1, 1], [1, 1], [1, 1], 2),
        ),
        ("greater_equal.Scalar", vec![("self", t(&x)), ("other", float(0.25))], 1, x.ge(0.25)),
        (
            "isin.Tensor_Tensor",
            vec![("elements", t(&places)), ("test_elements", t(&places.narrow(0, 0, 1)))],
            1,
            places.eq(2),
        ),
        (
            "as_strided.default",
            vec![("self", t(&x)), ("size", ints(&[2, 2])), ("stride", ints(&[4, 1])), ("storage_offset", int(1))],
            1,
            x.narrow(0, 0, 2).narrow(1, 1, 2),
        ),
    ];
    for (operator, arguments, outputs, theirs) in cases {
        let ours = computed(operator, arguments, outputs);
        assert_eq!(ours.kind(), theirs.kind(), "{operator}");
        assert_same(operator, &ours.to_kind(Kind::Double), &theirs.to_kind(Kind::Double));
    }
}
