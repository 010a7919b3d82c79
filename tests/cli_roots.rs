//! `validate` with `--data-root` and `--weights-root`: data and weights that lie elsewhere than the suite says, and folders that do
//! not hold what they should.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

const SUITE: &str = r#"schema = 1
name = "s"
[data]
kind = "image-folder"
root = "gone"
resize = 32
crop = 32
[[model]]
name = "cnn"
arch = "cifar/resnet20"
weights = "gone/cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }
[boundary]
"#;

const HUGGING_FACE: &str = r#"{"model_type": "vit", "hidden_size": 768, "patch_size": 16, "image_size": 224}"#;

/// A folder with a suite.
struct Place(tempfile::TempDir);

impl Place {
    fn new(suite: &str) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("s.toml", suite);
        place
    }

    /// With data and weights in folders other than the suite's.
    fn elsewhere() -> Self {
        let place = Place::new(SUITE);
        for class in ["cat", "dog"] {
            place.write(&format!("data/{class}/1.png"), "");
            image::RgbImage::new(9, 7).save(place.path(&format!("data/{class}/1.png"))).unwrap();
        }
        place.model("weights/cnn.safetensors", "cifar10-resnet20");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A shipped model's weights as file `name`.
    fn model(&self, name: &str, shipped: &str) {
        let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(shipped).with_extension("safetensors");
        self.write(name, "");
        std::fs::copy(weights, self.path(name)).unwrap();
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn am_eval(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
        command.env_remove("LD_LIBRARY_PATH").current_dir(self.0.path()).args(arguments);
        command
    }

    fn validate(&self, arguments: &[&str]) -> Command {
        let mut command = self.am_eval(&["validate", "s.toml"]);
        command.args(arguments);
        command
    }

    /// What `command` says when it fails, on lines without their frame.
    fn says(mut command: Command, words: &[&str]) {
        let assert = command.assert().code(2);
        let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        let frame = |c: char| c.is_whitespace() || "│×├╰─▶·".contains(c);
        let lines: Vec<&str> = text.lines().map(|line| line.trim_matches(frame)).collect();
        let sentence = lines.join(" ");
        for word in words {
            assert!(sentence.contains(word), "`{word}` is not in: {sentence}");
        }
    }
}

#[test]
fn data_and_weights_are_looked_for_where_the_command_line_says() {
    let place = Place::elsewhere();
    let (data, weights) = (["--data-root", "data"], ["--weights-root", "weights"]);
    place.validate(&[data, weights].concat()).assert().success();
    Place::says(place.validate(&data), &["s.toml:11:", "no weights of model `cnn` at gone/cnn.safetensors"]);
    Place::says(place.validate(&weights), &["s.toml:5:", "no data at gone"]);
    Place::says(place.validate(&[]), &["no data at gone", "no weights of model `cnn`"]);
}

#[test]
fn a_data_root_that_holds_no_such_data_is_named() {
    let place = Place::elsewhere();
    let with = |root: &str| place.validate(&["--weights-root", "weights", "--data-root", root]);
    Place::says(with("nowhere"), &["s.toml:5:", "no data at nowhere", "--data-root"]);
    Place::says(with("s.toml"), &["the data root is a file, not a folder: s.toml"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    Place::says(with("empty"), &["s.toml:4:", "empty"]);
    place.write("notes/cat/readme.txt", "no image");
    Place::says(with("notes"), &["s.toml:4:", "notes"]);
}

#[test]
fn a_weights_root_without_the_file_is_named_and_so_is_a_near_one() {
    let place = Place::elsewhere();
    let with = |root: &str| place.validate(&["--data-root", "data", "--weights-root", root]);
    Place::says(with("nowhere"), &["no weights of model `cnn` at nowhere/cnn.safetensors"]);
    place.write("other/cnn2.safetensors", "");
    Place::says(with("other"), &["other/cnn.safetensors", "did you mean `cnn2.safetensors`"]);
    std::fs::create_dir_all(place.path("folder/cnn.safetensors")).unwrap();
    Place::says(with("folder"), &["s.toml:11:", "folder/cnn.safetensors has no config.json"]);
}

#[test]
fn a_models_folder_is_read_below_the_weights_root() {
    let suite = SUITE
        .replace("weights = \"gone/cnn.safetensors\"", "weights = \"gone/vit\"")
        .replace("arch = \"cifar/resnet20\"\n", "")
        .replace("resize = 32\ncrop = 32", "resize = 224\ncrop = 224");
    let place = Place::new(&suite);
    for class in ["cat", "dog"] {
        place.write(&format!("data/{class}/1.png"), "");
    }
    place.write("hub/vit/config.json", HUGGING_FACE);
    place.write("hub/vit/model.safetensors", "");
    let validate = |more: &[&str]| place.validate(&[&["--data-root", "data"][..], more].concat());
    // The folder is found and read: what is wrong is its file.
    Place::says(validate(&["--weights-root", "hub"]), &["hub/vit/model.safetensors", "it is empty"]);
    // Without the folder nothing tells the architecture.
    Place::says(validate(&[]), &["missing key `arch`", "there is none at gone/vit"]);
    for (field, words) in [
        ("\"hidden_act\": \"relu\"", ["has `hidden_act` \"relu\"", "\"gelu\" alone"]),
        ("\"qkv_bias\": false", ["has `qkv_bias` false", "torch.export"]),
        ("\"num_attention_heads\": 8", ["has `num_attention_heads` 8", "has 12"]),
    ] {
        place.write("hub/vit/config.json", &HUGGING_FACE.replace('}', &format!(", {field}}}")));
        Place::says(validate(&["--weights-root", "hub"]), &[&["s.toml:10:"][..], &words].concat());
    }
}

#[test]
fn roots_count_for_every_suite() {
    let place = Place::elsewhere();
    place.write("t.toml", &SUITE.replace("name = \"s\"", "name = \"t\""));
    let roots = ["--data-root", "data", "--weights-root", "weights"];
    place.validate(&[&["t.toml"][..], &roots].concat()).assert().success();
}

/// `run` looks in the same places, and ends before it computes if they are wrong.
#[cfg(feature = "torch")]
#[test]
fn run_looks_in_the_same_places() {
    let place = Place::elsewhere();
    let run = |roots: &[&str]| place.am_eval(&[&["run", "s.toml", "--dry-run"][..], roots].concat());
    Place::says(run(&["--data-root", "data"]), &["no weights of model `cnn` at gone/cnn.safetensors"]);
    Place::says(run(&["--weights-root", "weights"]), &["no data at gone"]);
    // The file is there and is not what it should be.
    place.write("weights/cnn.safetensors", "");
    Place::says(
        run(&["--data-root", "data", "--weights-root", "weights"]),
        &["weights/cnn.safetensors", "safetensors"],
    );
}
