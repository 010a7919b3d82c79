//! The real binary on every kind of data, without running a network: what `validate` accepts, and how it names what is wrong.

use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use flate2::write::GzEncoder;

/// A folder with a suite whose `[data]` is given.
struct Place(tempfile::TempDir);

impl Place {
    fn new(data: &str) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/synthetic-cnn.safetensors");
        let suite = format!(
            "schema = 1\nname = \"s\"\n[data]\n{data}\n[[model]]\nname = \"cnn\"\narch = \"cifar/resnet8\"\n\
             weights = {weights:?}\nnormalize = {{ mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }}\n[boundary]\n"
        );
        place.write("s.toml", suite.as_bytes());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn image(&self, name: &str) {
        self.write(name, b"");
        let format = image::ImageFormat::from_path(self.path(name)).unwrap();
        image::RgbImage::from_pixel(9, 7, image::Rgb([1, 2, 3])).save_with_format(self.path(name), format).unwrap();
    }

    fn validate(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
        command.env_remove("LD_LIBRARY_PATH").current_dir(self.0.path()).args(["validate", "s.toml"]);
        command
    }

    fn accepts(&self) {
        self.validate().assert().success();
    }

    /// What is said of the wrong data, on lines without their frame.
    fn complaint(&self) -> String {
        let assert = self.validate().assert().code(2);
        let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        text.lines()
            .map(|line| line.trim_matches(|c: char| c.is_whitespace() || "│×├╰─▶·".contains(c)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn says(&self, words: &[&str]) {
        let message = self.complaint();
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let sizes = shape.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, shape.len() as u8].into_iter().chain(sizes).chain(values.iter().copied()).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

#[test]
fn an_image_folder_and_names_for_its_classes() {
    let place = Place::new("kind = \"image-folder\"\nroot = \"d\"\nresize = 8\ncrop = 8\nclass_names = \"imagenet\"");
    place.image("d/n01440764/a.jpeg");
    place.image("d/n15075141/b.png");
    place.accepts();
    place.image("d/n0144/c.png");
    place.says(&["s.toml:4:8", "n0144: is no class of imagenet"]);
}

#[test]
fn imagenets_validation_folder() {
    let place = Place::new(
        "kind = \"imagenet-val\"\nroot = \"val\"\nlabels = \"devkit/truth.txt\"\ncrop = 224\ncrop_pct = 0.875",
    );
    place.image("val/ILSVRC2012_val_00000001.JPEG");
    place.image("val/ILSVRC2012_val_00000002.JPEG");
    place.says(&["s.toml:6:10", "truth.txt", "devkit"]);
    place.write("devkit/truth.txt", b"1\n3\n");
    place.says(&["truth.txt", "has class ids, whose meaning is in the devkit's meta.mat"]);
    place.write("devkit/meta.mat", &fixture("imagenet/meta.mat"));
    place.accepts();
    place.write("devkit/truth.txt", b"1\n");
    place.says(&["has 1 labels, but ILSVRC2012_val_00000002.JPEG is image 2"]);
    place.write("devkit/truth.txt", b"ILSVRC2012_val_00000001 n01440764\nILSVRC2012_val_00000002 n0144\n");
    place.says(&["truth.txt:2:", "`n0144` is neither a synset"]);
}

#[test]
fn a_table() {
    let place = Place::new("kind = \"csv\"\nfile = \"t.csv\"\nroot = \"images\"\nsamples = 3");
    place.image("images/a.webp");
    place.image("images/b.bmp");
    place.write("t.csv", b"path,label\na.webp,0\nb.bmp,1\n");
    place.says(&["s.toml:7:11", "3 samples were asked for, but csv has only 2"]);
    place.write("t.csv", b"path,label\na.webp,0\nc.bmp,1\n");
    place.says(&["t.csv:3: no file", "c.bmp"]);
}

#[test]
fn idx_files() {
    let place = Place::new("kind = \"mnist\"\nroot = \"m\"\nchannels = 3\nresize = 32");
    place.write("m/MNIST/raw/t10k-images-idx3-ubyte.gz", &gzipped(&idx(&[2, 28, 28], &[7; 2 * 784])));
    place.write("m/MNIST/raw/t10k-labels-idx1-ubyte.gz", &gzipped(&idx(&[2], &[0, 9])));
    place.accepts();
    place.write("m/MNIST/raw/t10k-labels-idx1-ubyte.gz", &gzipped(&idx(&[3], &[0, 9, 1])));
    place.says(&["has 3 labels", "has 2 images"]);
    let archive = gzipped(&idx(&[2, 28, 28], &[7; 2 * 784]));
    place.write("m/MNIST/raw/t10k-images-idx3-ubyte.gz", &archive[..archive.len() - 9]);
    place.says(&["t10k-images-idx3-ubyte.gz: is truncated"]);
}

#[test]
fn cifar_100() {
    let place = Place::new("kind = \"cifar100\"\nroot = \"c\"\nclass_names = \"names.txt\"");
    place.write("names.txt", b"a\nb\n");
    place.write("c/cifar-100-binary/test.bin", &vec![0; 10_000 * 3074]);
    place.says(&["names.txt: has 2 class names, but the data has 100 classes"]);
    place.write("names.txt", (0..100).map(|class| format!("class {class}\n")).collect::<String>().as_bytes());
    place.accepts();
    place.write("c/cifar-100-binary/test.bin", &[0; 3074]);
    place.says(&["is 3074 bytes long; the whole file has 30740000"]);
}

#[test]
fn shards() {
    let place = Place::new("kind = \"webdataset\"\nroot = \"w\"\nshards = \"s-{0..1}.tar\"");
    let shard = |label: &[u8]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in [("1.jpg", fixture("preprocess/rgb.jpg")), ("1.cls", label.to_vec())] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    };
    place.write("w/s-0.tar", &shard(b"0"));
    place.says(&["s-1.tar: is no file"]);
    place.write("w/s-1.tar", &shard(b"4"));
    place.accepts();
    place.write("w/s-1.tar", &shard(b"4")[..1000]);
    place.says(&["s-1.tar: is truncated: member `1.jpg`"]);
    place.write("w/s-1.tar", &shard(b"cat"));
    place.says(&["s-1.tar: sample `1`: label `cat` is a class name, but the first label is a class index"]);
}
