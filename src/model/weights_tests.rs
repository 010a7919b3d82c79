//! Files that are not the weights of the architecture, or not whole, are refused by name.

use half::{bf16, f16};
use proptest::prelude::*;
use safetensors::serialize;
use safetensors::tensor::TensorView;

use super::*;
use crate::model::{Architecture, Model, ModelError, ModelSource};
use crate::suite::{ModelConfig, Normalize};

type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn fresh() -> Model {
    let (arch, normalize) =
        (Architecture::find("cifar/resnet8").unwrap(), Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] });
    Model::fresh(arch, 0, Compute::f32(Device::Cpu), &normalize, arch.geometry).unwrap()
}

/// The tensors of a fresh ResNet-8.
fn whole() -> Stored {
    let model = fresh();
    let tensors = model.tensors();
    let each = tensors.parameters.iter().chain(&tensors.buffers).map(|(name, tensor)| {
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap();
        (name.clone(), (Dtype::F32, shape, f32s(&values)))
    });
    each.collect()
}

fn bytes(stored: &Stored) -> Vec<u8> {
    let views = stored
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    serialize(views, None).unwrap()
}

/// The model built from a file with these bytes, or what is said, without the folder's name.
fn opened(bytes: &[u8]) -> Result<Model, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet8.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let source = ModelSource::open(&ModelConfig::of_file("cifar/resnet8", &path, normalize), None);
    let built = source.and_then(|source| source.build(Compute::f32(Device::Cpu)));
    built.map_err(|error: ModelError| error.to_string().replace(&folder.path().display().to_string(), "FOLDER"))
}

fn said(bytes: &[u8]) -> String {
    opened(bytes).err().unwrap_or_else(|| "accepted".to_owned())
}

#[test]
fn differences_from_the_architecture_are_named() {
    let mut messages = Vec::new();
    let mut with = |what: &str, change: &dyn Fn(&mut Stored)| {
        let mut stored = whole();
        change(&mut stored);
        messages.push(format!("{what}: {}", said(&bytes(&stored))));
    };
    with("unchanged", &|_| {});
    with("missing", &|stored| drop(stored.remove("layer2.0.conv1.weight")));
    with("extra", &|stored| drop(stored.insert("head.weight".into(), (Dtype::F32, vec![1], f32s(&[1.0])))));
    with("mis-shaped", &|stored| stored.get_mut("conv1.weight").unwrap().1 = vec![16, 27]);
    with("another network", &|stored| {
        *stored = [("fc.weight".to_owned(), (Dtype::F32, vec![2, 3], f32s(&[0.0; 6])))].into();
    });
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
        scope.finish("twins").is_ok()
    };
    assert!(finish(&["block1.bias"], true));
    assert!(finish(&["block1.bias", "sub_block1.bias"], true));
    assert!(!finish(&["block1.bias", "sub_block1.weight"], true));
    assert!(!finish(&["block1.bias", "sub_block1.bias"], false));
}

#[test]
fn files_that_are_not_safetensors_are_named() {
    let whole = bytes(&whole());
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("cut in the header", whole[..100].to_vec()),
        ("cut in the tensors", whole[..whole.len() - 4].to_vec()),
        ("with a tail", [whole.as_slice(), b"tail"].concat()),
        ("header longer than the file", u64::MAX.to_le_bytes().to_vec()),
        ("no JSON", header("not json")),
        ("offsets beyond the end", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#)),
        ("offsets backwards", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#)),
        (
            "a shape that overflows",
            header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#),
        ),
    ];
    let messages = cases.map(|(what, bytes)| format!("{what}: {}", said(&bytes)));
    insta::assert_snapshot!(messages.join("\n"));
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
    let mut stored = whole();
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_refused_by_name(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(said(&bytes).starts_with("FOLDER/resnet8.safetensors: "), "{}", said(&bytes));
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
