//! Every convolutional network has the parameters and the layers of its framework, by name and shape
//! (`tests/fixtures/models/make_cnn.py` says how `cnn.csv` is made), and says which images it cannot take.
#![cfg(feature = "torch")]

use am_eval::model::{Architecture, Geometry, LayerInfo};
use drawn_weights::{hash, state};

mod drawn_weights;

/// A line of `cnn.csv`: what PyTorch says of an architecture.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Listed {
    architecture: String,
    size: i64,
    parameters: u64,
    tensors: usize,
    state: String,
    layers: usize,
    activations: String,
}

fn listing() -> Vec<Listed> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/cnn.csv");
    csv::Reader::from_path(path).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
}

fn lines<S: ToString>(shapes: impl Iterator<Item = (String, Vec<S>)>) -> String {
    let text = |shape: Vec<S>| shape.iter().map(S::to_string).collect::<Vec<_>>().join("x");
    let mut lines: Vec<String> = shapes.map(|(name, shape)| format!("{name} {}", text(shape))).collect();
    lines.sort();
    lines.join("\n")
}

/// In the framework's order of dimensions.
fn shape(info: LayerInfo) -> (String, Vec<i64>) {
    let shape = match info.shape[..] {
        [channels, height, width] if info.channels_inner => vec![height, width, channels],
        _ => info.shape,
    };
    (info.name.to_string(), shape)
}

#[test]
fn names_and_shapes_are_the_frameworks() {
    let listing = listing();
    for theirs in &listing {
        let architecture = Architecture::find(&theirs.architecture).unwrap();
        let classes = architecture.geometry.classes;
        let model = architecture.outline(Geometry::rgb(theirs.size, classes)).unwrap();
        let (tensors, layers) = (state(&model), model.layers());
        let (count, layer_count) = (tensors.len(), layers.len());
        let (tensors, layers) = (lines(tensors.into_iter()), lines(layers.into_iter().map(shape)));
        let ours = Listed {
            architecture: theirs.architecture.clone(),
            size: theirs.size,
            parameters: model.parameters,
            tensors: count,
            state: format!("{:016x}", hash(&tensors)),
            layers: layer_count,
            activations: format!("{:016x}", hash(&layers)),
        };
        assert_eq!(&ours, theirs, "\n{tensors}\n\n{layers}");
    }
    let listed: Vec<&str> = listing.iter().map(|line| line.architecture.as_str()).collect();
    let convolutional = |name: &str| !name.contains("vit") && !name.contains("swin") && !name.contains("deit");
    for architecture in Architecture::all().filter(|architecture| convolutional(architecture.name)) {
        assert!(listed.contains(&architecture.name), "{} is not compared with its framework", architecture.name);
    }
}

#[test]
fn the_smallest_images_are_those_that_the_networks_can_take() {
    for (name, least) in [
        ("torchvision/resnet18", 1),
        ("cifar/resnet8", 1),
        ("cifar/preact_resnet18", 1),
        ("torchvision/vgg11", 32),
        ("torchvision/squeezenet1_0", 21),
        ("torchvision/squeezenet1_1", 17),
        ("torchvision/densenet121", 29),
        ("torchvision/mobilenet_v2", 1),
        ("torchvision/convnext_tiny", 32),
    ] {
        let architecture = Architecture::find(name).unwrap();
        let model = architecture.outline(Geometry::rgb(least, 5)).unwrap();
        assert_eq!(model.layers().pop().unwrap().shape, [5], "{name}");
        let message = architecture.outline(Geometry::rgb(least - 1, 5)).err().unwrap().to_string();
        assert!(message.contains(&format!("needs images of at least {least}x{least}")), "{name}: {message}");
    }
}

#[test]
fn images_may_be_grey_and_oblong() {
    for name in ["torchvision/resnet18", "cifar/wide_resnet-28-10", "torchvision/vgg11_bn", "torchvision/squeezenet1_1"]
        .into_iter()
        .chain(["torchvision/densenet121", "torchvision/mobilenet_v2", "torchvision/convnext_tiny", "cifar/resnet18"])
    {
        let geometry = Geometry { channels: 1, height: 40, width: 56, classes: 7 };
        let model = Architecture::find(name).unwrap().outline(geometry).unwrap();
        assert_eq!(model.layers().pop().unwrap().shape, [7], "{name}");
    }
}
