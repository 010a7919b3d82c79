//! Files that are not the weights of the architecture, or not whole, are refused by name.

use std::path::Path;

use half::{bf16, f16};
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

use super::*;
use crate::model::{Architecture, Model, ModelError, ModelSource};
use crate::suite::{ModelConfig, Normalize};

type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The tensors of a fresh ResNet-8.
fn complete() -> Stored {
    whole_of("cifar/resnet8")
}

/// The tensors of a fresh network.
fn whole_of(arch: &str) -> Stored {
    let (arch, normalize) = (Architecture::find(arch).unwrap(), Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] });
    let model = Model::fresh(arch, 0, Compute::f32(Device::Cpu), &normalize, arch.geometry).unwrap();
    let tensors = model.tensors();
    let each = tensors.parameters.iter().chain(&tensors.buffers).map(|(name, tensor)| {
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap();
        (name.clone(), (Dtype::F32, shape, f32s(&values)))
    });
    each.collect()
}

/// A file's beginning: the length of the header, and the header.
fn header(json: &str) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
}

fn bytes(stored: &Stored) -> Vec<u8> {
    let views = stored
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    serialize(views, None).unwrap()
}

/// The model built from a file with these bytes, or what is message, without the folder's name.
fn opened(bytes: &[u8]) -> Result<Model, String> {
    opened_as("cifar/resnet8", "resnet8.safetensors", bytes)
}

fn opened_as(arch: &str, file: &str, bytes: &[u8]) -> Result<Model, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let source = ModelSource::open(&ModelConfig::of_file(arch, &path, normalize), None);
    let built = source.and_then(|source| source.build(Compute::f32(Device::Cpu)));
    built.map_err(|error: ModelError| error.to_string().replace(&folder.path().display().to_string(), "FOLDER"))
}

fn message(bytes: &[u8]) -> String {
    opened(bytes).err().unwrap_or_else(|| "accepted".to_owned())
}

#[test]
fn differences_from_the_architecture_are_named() {
    let mut messages = Vec::new();
    let mut with = |label: &str, change: &dyn Fn(&mut Stored)| {
        let mut stored = complete();
        change(&mut stored);
        messages.push(format!("{label}: {}", message(&bytes(&stored))));
    };
    with("unchanged", &|_| {});
    with("missing", &|stored| drop(stored.remove("layer2.0.conv1.weight")));
    with("extra", &|stored| drop(stored.insert("head.weight".into(), (Dtype::F32, vec![1], f32s(&[1.0])))));
    with("mis-shaped", &|stored| stored.get_mut("conv1.weight").unwrap().1 = vec![16, 27]);
    with("another network", &|stored| {
        *stored = [("fc.weight".to_owned(), (Dtype::F32, vec![2, 3], f32s(&[0.0; 6])))].into();
    });
    with("without classifier", &|stored| stored.retain(|name, _| !name.starts_with("fc.")));
    with("integers", &|stored| {
        drop(stored.insert("bn1.bias".into(), (Dtype::I64, vec![16], vec![0; 16 * 8])));
    });
    with("counter", &|stored| {
        drop(stored.insert("bn1.num_batches_tracked".into(), (Dtype::I64, vec![], vec![0; 8])));
    });
    with("no classes", &|stored| drop(stored.insert("fc.weight".into(), (Dtype::F32, vec![0, 64], vec![]))));
    with("too many classes", &|stored| {
        drop(stored.insert("fc.weight".into(), (Dtype::F32, vec![1 << 40, 0], vec![])));
    });
    for (name, value) in [("NaN", f32::NAN), ("infinity", f32::NEG_INFINITY)] {
        with(name, &|stored| stored.get_mut("fc.bias").unwrap().2[8..12].copy_from_slice(&value.to_le_bytes()));
    }
    with("bytes", &|stored| drop(stored.insert("fc.bias".into(), (Dtype::U8, vec![10], vec![0; 10]))));
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_tolerated_twin_has_the_same_names() {
    let tensor = || (Dtype::F32, vec![2], f32s(&[1.0, 2.0]));
    let finish = |names: &[&str], tolerated: bool| {
        let stored: Stored = names.iter().map(|name| (name.to_string(), tensor())).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("twin.safetensors");
        std::fs::write(&path, bytes(&stored)).unwrap();
        let file = WeightsFile::read(&path).unwrap();
        let scope = Scope::file(&file, Compute::f32(Device::Cpu));
        let _ = (&scope / "block1").parameter("bias", &[2], Init::Constant(0.0));
        if tolerated {
            scope.tolerate_twin("block1", "sub_block1");
        }
        scope.finish("cifar/resnet8", "fc.weight").is_ok()
    };
    assert!(finish(&["block1.bias"], true));
    assert!(finish(&["block1.bias", "sub_block1.bias"], true));
    assert!(!finish(&["block1.bias", "sub_block1.weight"], true));
    assert!(!finish(&["block1.bias", "sub_block1.bias"], false));
}

/// The same tensors under names with something before them.
fn prefixed(stored: &Stored, prefix: &str) -> Stored {
    stored.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect()
}

#[test]
fn names_are_taken_under_any_prefix() {
    let complete = complete();
    let pixels = Tensor::full([1, 3, 32, 32], 0.25, (Kind::Float, Device::Cpu));
    let plain =
        Vec::<f32>::try_from(tch::no_grad(|| opened(&bytes(&complete)).unwrap().logits(&pixels)).view(-1)).unwrap();
    for prefix in ["module.", "_orig_mod.", "model.", "net.", "1.", "encoder.", "model.module.", "student.backbone.0."]
    {
        let model = opened(&bytes(&prefixed(&complete, prefix))).unwrap_or_else(|error| panic!("{prefix}: {error}"));
        let logits = Vec::<f32>::try_from(tch::no_grad(|| model.logits(&pixels)).view(-1)).unwrap();
        assert_eq!(logits, plain, "{prefix}");
    }
    let mut two = prefixed(&complete, "student.");
    two.extend(prefixed(&complete, "teacher."));
    let message = message(&bytes(&two));
    assert!(
        message.contains("it holds several networks, whose names begin with `student.` and `teacher.`"),
        "{message}"
    );
}

#[test]
fn a_wrapper_that_normalizes_as_the_suite_does_is_taken_away() {
    let with = |names: [&str; 2], means: &[f32], deviations: &[f32], prefix: &str| {
        let mut stored = prefixed(&complete(), prefix);
        for (name, values) in names.into_iter().zip([means, deviations]) {
            stored.insert(name.to_owned(), (Dtype::F32, vec![1, values.len(), 1, 1], f32s(values)));
        }
        message(&bytes(&stored))
    };
    let (half, quarter) = ([0.5; 3], [0.25; 3]);
    assert_eq!(with(["mu", "sigma"], &half, &quarter, "model."), "accepted");
    assert_eq!(with(["0.mean", "0.std"], &half, &quarter, "1."), "accepted");
    assert_eq!(with(["normalize.mean", "normalize.std"], &[0.5], &[0.25], ""), "accepted");
    assert_eq!(with(["mean", "std"], &[127.5; 3], &[63.75; 3], "model."), "accepted");
    let other = with(["mu", "sigma"], &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], "model.");
    assert!(other.contains("normalize = { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }"), "{other}");
}

#[test]
fn needless_tensors_are_passed_over_and_others_named() {
    let with = |name: &str, dtype: Dtype, shape: Vec<usize>, width: usize| {
        let mut stored = complete();
        let count: usize = shape.iter().product();
        stored.insert(name.to_owned(), (dtype, shape, vec![0; count * width]));
        message(&bytes(&stored))
    };
    for (dtype, width) in [(Dtype::I8, 1), (Dtype::U8, 1), (Dtype::I16, 2), (Dtype::I32, 4), (Dtype::I64, 8)] {
        assert_eq!(with("bn1.num_batches_tracked", dtype, vec![], width), "accepted", "{dtype:?}");
        assert_eq!(with("n_averaged", dtype, vec![], width), "accepted", "{dtype:?}");
    }
    assert_eq!(with("conv1.total_ops", Dtype::F64, vec![1], 8), "accepted");
    let mask = with("mask", Dtype::BOOL, vec![3], 1);
    assert!(mask.contains("`mask` [3] (BOOL) is not part of the architecture"), "{mask}");
    let narrow = with("conv1.scale", Dtype::F8_E4M3, vec![16], 1);
    assert!(narrow.contains("`conv1.scale` [16] (F8_E4M3) is not part of the architecture"), "{narrow}");
    let classifier = with("fc.weight", Dtype::I32, vec![10, 64], 4);
    assert!(classifier.contains("`fc.weight` has dtype I32"), "{classifier}");
}

#[test]
fn a_classifier_under_another_name_is_recognised() {
    let renamed = |to: &str| {
        let rename = |(name, tensor): (String, _)| (name.replace("fc.", to), tensor);
        message(&bytes(&complete().into_iter().map(rename).collect()))
    };
    for to in ["fc.1.", "head.", "classifier.fc."] {
        let message = renamed(to);
        assert!(message.contains(&format!("`{to}weight` [10, 64] looks like it")), "{message}");
        assert!(message.contains("st.save_file"), "{message}");
    }
    // A head of two layers is no other name of one.
    let mut stored = complete();
    let (weight, bias) = (stored.remove("fc.weight").unwrap(), stored.remove("fc.bias").unwrap());
    for layer in ["fc.0", "fc.2"] {
        stored.insert(format!("{layer}.weight"), weight.clone());
        stored.insert(format!("{layer}.bias"), bias.clone());
    }
    let message = message(&bytes(&stored));
    assert!(message.contains("`fc.weight` [10, 64] is missing") && message.contains("`fc.2.weight`"), "{message}");
}

/// A model of what is stored, in a file.
fn written(path: &std::path::Path, stored: &Stored) -> ModelConfig {
    std::fs::write(path, bytes(stored)).unwrap();
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    ModelConfig::of_file("cifar/resnet8", path, normalize)
}

#[test]
fn the_header_alone_tells_the_same_as_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let check = |stored: &Stored| {
        let config = written(&path, stored);
        let complete = ModelSource::open(&config, None).and_then(|source| source.check_weights());
        let outline = ModelSource::outline(&config, None).and_then(|source| source.check_weights());
        let message = |found: Result<(), ModelError>| found.err().map(|error| error.to_string());
        (message(complete), message(outline))
    };
    let mut stored = complete();
    stored.insert("bn1.num_batches_tracked".to_owned(), (Dtype::I64, vec![], vec![0; 8]));
    assert_eq!(check(&stored), (None, None));
    stored.remove("layer2.0.conv1.weight");
    let (complete, outline) = check(&stored);
    assert!(complete.is_some());
    assert_eq!(complete, outline);
    std::fs::write(&path, [&64u64.to_le_bytes()[..], b"{\"a\": 1}"].concat()).unwrap();
    assert!(WeightsFile::outline(&path).is_err());
}

#[test]
fn validation_sees_the_values_of_a_wrapper_and_numbers_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let check = |stored: &Stored| {
        let config = written(&path, stored);
        let outline = ModelSource::outline(&config, None).and_then(|source| source.check_weights());
        let numbers = outline.and_then(|()| Ok(WeightsFile::check_numbers(&path)?));
        numbers.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let mut wrapped = complete();
    wrapped.insert("sigma".to_owned(), (Dtype::F32, vec![3], f32s(&[0.25; 3])));
    wrapped.insert("mu".to_owned(), (Dtype::F32, vec![3], f32s(&[0.5; 3])));
    assert_eq!(check(&wrapped), "");
    wrapped.insert("mu".to_owned(), (Dtype::F32, vec![3], f32s(&[0.4; 3])));
    assert!(check(&wrapped).contains("its network normalizes images itself, `mu` [0.4, 0.4, 0.4]"));
    for (dtype, last) in [(Dtype::F32, vec![0, 0, 0xc0, 0x7f]), (Dtype::F64, vec![0, 0, 0, 0, 0, 0, 0xf0, 0xff])] {
        let mut stored = complete();
        let mut bias = vec![0; 9 * last.len()];
        bias.extend(last);
        stored.insert("fc.bias".to_owned(), (dtype, vec![10], bias));
        assert!(check(&stored).contains("tensor `fc.bias` holds NaN or infinity"), "{dtype:?}");
    }
}

#[test]
fn files_that_are_not_safetensors_are_named() {
    let complete = bytes(&complete());
    let cases: [(&str, Vec<u8>); 12] = [
        ("empty", Vec::new()),
        ("cut in the header", complete[..100].to_vec()),
        ("cut in the tensors", complete[..complete.len() - 4].to_vec()),
        ("with a tail", [complete.as_slice(), b"tail"].concat()),
        ("header longer than the file", u64::MAX.to_le_bytes().to_vec()),
        ("no JSON", header("not json")),
        ("offsets beyond the end", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#)),
        ("offsets backwards", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#)),
        (
            "a shape that overflows",
            header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#),
        ),
        (
            "a shape that no tensor has",
            header(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}"#),
        ),
        (
            "overlapping tensors",
            [
                header(concat!(
                    r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
                    r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#
                )),
                vec![0; 12],
            ]
            .concat(),
        ),
        (
            "a name twice",
            [
                header(concat!(
                    r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#,
                    r#""a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                )),
                vec![0; 8],
            ]
            .concat(),
        ),
    ];
    let messages = cases.map(|(label, bytes)| format!("{label}: {}", message(&bytes)));
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn pickles_are_refused_with_the_conversion() {
    let cases: [(&str, &[u8]); 4] = [
        ("model.pth", b"PK\x03\x04\x00\x00\x08\x08 an archive"),
        ("model.weights", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19. an old pickle"),
        ("pytorch_model.bin", b""),
        ("model.safetensors", b"PK\x03\x04 an archive of that name"),
    ];
    let message = cases.map(|(file, bytes)| opened_as("cifar/resnet8", file, bytes).err().unwrap());
    insta::assert_snapshot!(message.join("\n"));
    // A length of 896 begins like a pickle.
    let mut json = r#"{"fc.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_owned();
    json.extend(std::iter::repeat_n(' ', 896 - json.len()));
    let file = [header(&json), vec![0; 4]].concat();
    assert_eq!(file[..2], [0x80, 3]);
    assert!(opened(&file).err().unwrap().contains("is missing"));
}

#[test]
fn weights_of_another_architecture_are_recognised() {
    let vit = bytes(&whole_of("cifar/vit-tiny"));
    insta::assert_snapshot!(opened_as("timm/vit_tiny_patch16_224", "vit.safetensors", &vit).err().unwrap());
}

#[test]
fn architectures_that_differ_in_no_tensor_are_all_named() {
    let like = |arch: &str, classes: i64| {
        let arch = Architecture::find(arch).unwrap();
        let model = arch.outline(crate::model::Geometry { classes, ..arch.geometry }).unwrap();
        let tensors = model.tensors();
        let named = tensors.parameters.iter().chain(&tensors.buffers);
        let found = Architecture::resembling(&named.map(|(name, tensor)| (name.clone(), tensor.size())).collect());
        found.iter().map(|found| found.name).collect::<Vec<_>>()
    };
    assert_eq!(like("timm/vit_tiny_patch16_224", 7), ["timm/vit_tiny_patch16_224", "timm/deit_tiny_patch16_224"]);
    assert_eq!(like("timm/vit_tiny_patch16_384", 7), ["timm/vit_tiny_patch16_384"]);
    assert_eq!(like("torchvision/swin_t", 1000), ["torchvision/swin_t"]);
    assert_eq!(like("cifar/resnet20", 10), ["cifar/resnet20"]);
}

/// The position embeddings of any square grid serve, and no others.
#[test]
fn position_embeddings_are_those_of_a_square_grid() {
    let complete = whole_of("cifar/vit-tiny");
    for tokens in [0, 1, 2, 49, 63, 64, 65, 81] {
        let mut stored = complete.clone();
        stored.insert("pos_embed".into(), (Dtype::F32, vec![1, tokens, 64], vec![0; tokens * 64 * 4]));
        let found = opened_as("cifar/vit-tiny", "vit.safetensors", &bytes(&stored));
        assert_eq!(found.is_ok(), [1, 49, 64, 81].contains(&tokens), "{tokens}: {:?}", found.err());
    }
}

#[test]
fn a_missing_file_is_named_with_its_cause() {
    let error = WeightsFile::read(Path::new("no/such.safetensors")).err().unwrap();
    assert_eq!(error.to_string(), "failed to read weights no/such.safetensors");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn narrow_floats_are_widened() {
    let values = [0.5f32, -1.25, 3.0];
    let stored = Stored::from([
        (
            "half".to_owned(),
            (Dtype::F16, vec![3], values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()),
        ),
        (
            "brain".to_owned(),
            (Dtype::BF16, vec![3], values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect()),
        ),
        ("double".to_owned(), (Dtype::F64, vec![3], values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect())),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narrow.safetensors");
    std::fs::write(&path, bytes(&stored)).unwrap();
    let file = WeightsFile::read(&path).unwrap();
    assert_eq!(file.parameters(), 9);
    for (name, tensor) in file.into_tensors() {
        assert_eq!((tensor.kind(), Vec::<f32>::try_from(tensor).unwrap()), (Kind::Float, values.to_vec()), "{name}");
    }
}

#[test]
fn a_model_in_half_precision_storage_computes_in_f32() {
    let mut stored = complete();
    let wide = opened(&bytes(&stored)).unwrap();
    for (dtype, _, bytes) in stored.values_mut() {
        *dtype = Dtype::F16;
        *bytes = bytes.as_chunks().0.iter().flat_map(|&v| f16::from_f32(f32::from_le_bytes(v)).to_le_bytes()).collect();
    }
    let narrow = opened(&bytes(&stored)).unwrap();
    let pixels = Tensor::full([1, 3, 32, 32], 0.25, (Kind::Float, Device::Cpu));
    let (wide, narrow) = tch::no_grad(|| (wide.logits(&pixels), narrow.logits(&pixels)));
    assert_eq!(narrow.kind(), Kind::Float);
    let (difference, scale) = ((&wide - narrow).abs().max().double_value(&[]), wide.abs().max().double_value(&[]));
    assert!(difference > 0.0 && difference < 0.01 * scale, "{difference} of {scale}");
}

/// Numbers that no honest header has, and small ones.
const ODD: &[&str] =
    &["0", "4", "8", "16", "-1", "1.5", "4294967296", "9223372036854775808", "18446744073709551615", "1e300"];

/// A number for a shape or an offset, as JSON.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![3 => (0..20u64).prop_map(|n| n.to_string()), 2 => proptest::sample::select(ODD).prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_refused_by_name(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(message(&bytes).starts_with("FOLDER/resnet8.safetensors: "), "{}", message(&bytes));
    }

    /// Headers that are well-formed JSON with any shapes, offsets and lengths, names more than once among them.
    #[test]
    fn hostile_headers_are_errors(
        tensors in proptest::collection::vec((0..3usize, 0..4usize, proptest::collection::vec(number(), 0..4), number(), number()), 1..4),
        length in proptest::option::of(any::<u64>()),
    ) {
        let entry = |(name, dtype, shape, from, to): (usize, usize, Vec<String>, String, String)| {
            let (name, dtype) = (["fc.weight", "fc.bias", "conv1.weight"][name], ["F32", "BF16", "I64", "F8_E4M3"][dtype]);
            format!(r#""{name}":{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{from},{to}]}}"#, shape.join(","))
        };
        let json = format!("{{{}}}", tensors.into_iter().map(entry).collect::<Vec<_>>().join(","));
        let mut file = [header(&json), vec![0; 16]].concat();
        if let Some(length) = length {
            file[..8].copy_from_slice(&length.to_le_bytes());
        }
        let message = message(&file);
        prop_assert!(message.contains("FOLDER/resnet8.safetensors") || message.starts_with("model `"), "{message}");
    }

    #[test]
    fn damaged_headers_never_panic(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let stored = Stored::from([
            ("fc.weight".to_owned(), (Dtype::F32, vec![2, 3], f32s(&[0.5; 6]))),
            ("fc.bias".to_owned(), (Dtype::F16, vec![2], vec![0; 4])),
        ]);
        let mut bytes = bytes(&stored);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        prop_assert!(opened(&bytes).is_err());
    }
}
