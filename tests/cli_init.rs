//! `init` of the real binary, for several kinds of folders: what is written validates at once, or says what is missing.

mod support;

use std::path::{Path, PathBuf};

use predicates::prelude::*;
use predicates::str::contains;
use support::am_eval;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder with a model and images.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// A file of the repository.
    fn copy(&self, from: &str, to: &str) -> &Self {
        std::fs::copy(Path::new(ROOT).join(from), self.path(to)).unwrap();
        self
    }

    /// A picture of one colour.
    fn image(&self, name: &str, width: u32, height: u32) -> &Self {
        image::RgbImage::from_pixel(width, height, image::Rgb([90, 40, 200])).save(self.path(name)).unwrap();
        self
    }

    /// Two classes of two pictures each.
    fn classes(&self, folder: &str, width: u32, height: u32) -> &Self {
        for name in ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"] {
            self.image(&format!("{folder}/{name}"), width, height);
        }
        self
    }

    fn init(&self) -> assert_cmd::Command {
        let mut command = am_eval();
        command.arg("init").arg(self.0.path());
        command
    }

    fn suite(&self) -> String {
        std::fs::read_to_string(self.path("suite.toml")).unwrap()
    }

    /// Written, and good by itself.
    fn validates(&self) -> String {
        self.init().assert().success().stdout(contains("it validates"));
        am_eval()
            .arg("validate")
            .arg(self.path("suite.toml"))
            .assert()
            .success()
            .stdout(contains("ok, 1 model, 1 attack"));
        self.suite()
    }
}

/// An IDX file of bytes with these sizes.
fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

#[test]
fn a_program_and_class_folders() {
    let place = Place::new();
    place.copy("tests/fixtures/graphs/resnet.onnx", "net.onnx").classes("pictures/test", 32, 32);
    place.classes("pictures/train", 32, 32);
    let suite = place.validates();
    for line in ["kind = \"image-folder\"", "root = \"pictures/test\"", "arch = \"onnx\"", "weights = \"net.onnx\""] {
        assert!(suite.contains(line), "{line}: {suite}");
    }
    assert!(suite.contains("data that would do too: pictures/train"), "{suite}");
    assert!(!suite.contains("resize"), "32 pixels are what they are: {suite}");
}

#[test]
fn pictures_of_many_sizes_are_brought_to_one() {
    let place = Place::new();
    place.copy("tests/fixtures/graphs/resnet.onnx", "net.onnx").classes("images", 80, 70).image(
        "images/dog/5.png",
        120,
        90,
    );
    let suite = place.validates();
    // With networks it is known that this one takes images of 32 pixels.
    let size = if cfg!(feature = "torch") { "resize = 37\ncrop = 32" } else { "resize = 256\ncrop = 224" };
    assert!(suite.contains(size), "{suite}");
}

#[test]
fn a_table_of_paths_and_labels() {
    let place = Place::new();
    place.copy("tests/fixtures/graphs/resnet.onnx", "models/net.onnx").image("images/a.png", 48, 48).image(
        "images/b.png",
        48,
        48,
    );
    place.write("list.csv", b"path,label\na.png,0\nb.png,1\n").write("other.csv", b"x,y\n1,2\n");
    let suite = place.validates();
    assert!(suite.contains("file = \"list.csv\"\nroot = \"images\""), "{suite}");
    // Small images stay as they are, unless it is known that the network takes others.
    assert_eq!(suite.contains("resize = 37\ncrop = 32"), cfg!(feature = "torch"), "{suite}");
}

#[test]
fn grey_digits_get_their_own_radii_and_normalization() {
    let place = Place::new();
    place.copy("tests/fixtures/graphs/resnet.onnx", "net.onnx");
    place.write("MNIST/raw/t10k-images-idx3-ubyte", &idx(&[4, 28, 28], &[9; 4 * 784]));
    place.write("MNIST/raw/t10k-labels-idx1-ubyte", &idx(&[4], &[0, 1, 2, 3]));
    let output = place.init().output().unwrap();
    let suite = place.suite();
    assert!(suite.contains("kind = \"mnist\"") && suite.contains("epsilons = [0.1, 0.2, 0.3]"), "{suite}");
    // With networks, this one takes no grey images, and that is said.
    if cfg!(not(feature = "torch")) {
        assert!(output.status.success() && suite.contains("mean = [0.1307]"), "{suite}");
    }
}

#[test]
fn checkpoints_that_need_conversion_are_named_with_the_way() {
    let place = Place::new();
    place.copy("tests/fixtures/checkpoints/plain.pth", "plain.pth").classes("images", 32, 32);
    let expected =
        contains("plain.pth: ").and(contains("safetensors")).and(contains("fill in:")).and(contains("[[model]]"));
    place.init().assert().code(4).stdout(expected);
    let suite = place.suite();
    assert!(suite.contains("# Fill in before it runs:") && suite.contains("# [[model]]"), "{suite}");
    assert!(suite.contains("kind = \"image-folder\""), "what is known is there: {suite}");
}

#[test]
fn an_empty_folder_and_pictures_without_labels_say_what_is_missing() {
    let place = Place::new();
    place
        .init()
        .assert()
        .code(4)
        .stdout(contains("[data]: no labelled images").and(contains("[[model]]: no file of weights")));
    std::fs::remove_file(place.path("suite.toml")).unwrap();
    place.image("loose/a.png", 8, 8).image("loose/b.png", 8, 8);
    place
        .init()
        .assert()
        .code(4)
        .stdout(contains("loose: 2 images without labels; part them into one folder for each class"));
}

#[test]
fn nothing_is_overwritten() {
    let place = Place::new();
    place.write("suite.toml", b"mine");
    place.init().assert().code(2).stderr(contains("suite.toml is there already"));
    assert_eq!(place.suite(), "mine");
    let other = place.path("other.toml");
    place.init().arg("--out").arg(&other).assert().code(4);
    assert!(other.is_file());
    place.init().arg("--out").arg(&other).assert().code(2);
    let mut none = am_eval();
    none.args(["init", "no/such/folder"]).assert().code(2).stderr(contains("no/such/folder is no folder"));
}

#[cfg(feature = "torch")]
#[test]
fn weights_are_known_by_their_tensors() {
    let place = Place::new();
    place.copy("models/cifar10-resnet20.safetensors", "weights/best.safetensors").classes("data", 32, 32);
    place.copy("tests/fixtures/graphs/parts.safetensors", "weights/other.safetensors");
    place.init().assert().success().stdout(contains("model: weights/best.safetensors as cifar/resnet20"));
    let suite = place.suite();
    assert!(
        suite.contains("arch = \"cifar/resnet20\"") && suite.contains("mean = [0.4914, 0.4822, 0.4465]"),
        "{suite}"
    );
    assert!(suite.contains("other.safetensors: its tensors are those of no architecture"), "{suite}");
    am_eval().arg("validate").arg(place.path("suite.toml")).assert().success();
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_networks_weights_are_named() {
    let place = Place::new();
    place.copy("models/cifar10-resnet20.safetensors", "best.safetensors").classes("data", 32, 32);
    place.init().assert().code(4).stdout(contains("best.safetensors: this build has no networks"));
}
