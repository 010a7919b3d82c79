//! `am-eval train`: reproducible, resumable, with a card beside the weights.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};

use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

use crate::sandbox::{am_eval, end, signal, wait_for};

const RECIPE: &str = r#"# Tiny, for tests.
arch = "cifar/resnet8"
out = "../tiny.safetensors"
seed = 3
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[data]
kind = "synthetic"
train = 384
test = 40

[train]
epochs = 2
batch = 32
optimizer = "adamw"
lr = 2e-3
weight_decay = 0.05
schedule = "cosine"
flip = true
crop = 2

[adversarial]
epsilon_255 = 4.0
step_255 = 5.0
"#;

struct Workshop(TempDir);

impl Workshop {
    fn new(recipe: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("recipes")).unwrap();
        fs::write(folder.path().join("recipes/tiny.toml"), recipe).unwrap();
        Workshop(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self, more: &[&str]) -> assert_cmd::Command {
        let mut command = am_eval();
        command.arg("train").arg(self.path("recipes/tiny.toml")).args(["--device", "cpu"]).args(more);
        command
    }

    fn start(&self) -> Child {
        let mut process = Process::new(env!("CARGO_BIN_EXE_am-eval"));
        process.arg("train").arg(self.path("recipes/tiny.toml")).args(["--device", "cpu"]);
        process.env("OMP_NUM_THREADS", "1").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

#[test]
fn interrupted_training_ends_in_the_same_weights() {
    let undisturbed = Workshop::new(RECIPE);
    let wrote = contains("tiny.safetensors").and(contains("tiny.md"));
    undisturbed.train(&[]).assert().success().stdout(wrote).stderr(contains("epoch 2/2: loss "));
    assert!(!undisturbed.path("tiny.checkpoint").exists());

    let interrupted = Workshop::new(RECIPE);
    let checkpoint = || interrupted.path("tiny.checkpoint").exists();
    let mut child = interrupted.start();
    assert!(wait_for(&mut child, checkpoint));
    signal(&child, "INT");
    let (code, message) = end(child);
    assert_eq!(code, Some(5), "{message}");
    assert!(message.contains("interrupted after epoch 1; the same command goes on from ") && checkpoint(), "{message}");
    assert!(!interrupted.path("tiny.safetensors").exists());

    // Killed without warning on top of it.
    let mut child = interrupted.start();
    wait_for(&mut child, false_after_a_moment);
    child.kill().unwrap();
    child.wait().unwrap();

    interrupted.train(&[]).assert().success().stderr(contains("epoch 1/2").not());
    assert!(interrupted.read("tiny.safetensors") == undisturbed.read("tiny.safetensors"), "the weights differ");
    assert_eq!(interrupted.read("tiny.md"), undisturbed.read("tiny.md"));
    let left: Vec<_> = fs::read_dir(interrupted.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");

    the_card_says_what_the_weights_are(&undisturbed);
}

fn false_after_a_moment() -> bool {
    std::thread::sleep(std::time::Duration::from_millis(300));
    true
}

fn the_card_says_what_the_weights_are(workshop: &Workshop) {
    let card = String::from_utf8(workshop.read("tiny.md")).unwrap();
    let hash = blake3::hash(&workshop.read("tiny.safetensors")).to_hex().to_string();
    for part in [
        "# tiny\n",
        &hash,
        "384 to train on, 40 held out",
        "2 epochs in batches of 32, fast adversarial training",
        "am-eval train recipes/tiny.toml",
        RECIPE,
    ] {
        assert!(card.contains(part), "`{part}` is missing in {card}");
    }
    let rate = |split: &str| {
        let line = card.lines().find(|line| line.starts_with(&format!("- **{split}**: "))).unwrap();
        let number = line.split_once("**: ").unwrap().1.split_once(" %").unwrap().0;
        number.parse::<f64>().unwrap()
    };
    assert!(rate("Robust accuracy") <= rate("Held-out accuracy"), "{card}");
    assert!((0.0..=100.0).contains(&rate("Held-out accuracy")));

    fs::remove_file(workshop.path("tiny.md")).unwrap();
    let weights = contains("tiny.safetensors");
    workshop.train(&["--card-only"]).assert().success().stdout(contains("tiny.md").and(weights.not()));
    assert_eq!(String::from_utf8(workshop.read("tiny.md")).unwrap(), card);
}

#[test]
fn a_stop_before_the_first_epoch_is_over_says_so() {
    let workshop = Workshop::new(&RECIPE.replace("train = 384", "train = 6400"));
    let mut child = workshop.start();
    wait_for(&mut child, false_after_a_moment);
    signal(&child, "TERM");
    let (code, message) = end(child);
    if code.is_some() {
        assert_eq!(code, Some(5), "{message}");
        assert!(message.contains("before the first epoch was over; the same command starts anew"), "{message}");
    }
    assert!(!workshop.path("tiny.safetensors").exists() && !workshop.path("tiny.md").exists());
}

#[test]
fn wrong_recipes_are_named_with_their_place() {
    let complaint = |recipe: &str, more: &[&str]| {
        let workshop = Workshop::new(recipe);
        let output = workshop.train(more).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).replace(workshop.path("").to_str().unwrap(), "DIR/");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        text
    };
    let text = complaint(&RECIPE.replace("cifar/resnet8", "cifar/resnet9"), &[]);
    assert!(text.contains("unknown architecture `cifar/resnet9`") && text.contains("`cifar/resnet8`"), "{text}");
    let text = complaint(&RECIPE.replace("epochs = 2", "epocs = 2"), &[]);
    assert!(text.contains("DIR/recipes/tiny.toml: ") && text.contains("unknown field `epocs`"), "{text}");
    assert!(text.contains("line 13, column 1"), "{text}");
    let text = complaint("arch = \"cifar", &[]);
    assert!(text.contains("DIR/recipes/tiny.toml: ") && text.contains("line 1"), "{text}");
    let text = complaint(&RECIPE.replace("lr = 2e-3", "lr = -1.0"), &[]);
    assert!(text.contains("`lr` must be positive"), "{text}");
    let text = complaint(RECIPE, &["--card-only"]);
    assert!(text.contains("failed to read weights DIR/recipes/../tiny.safetensors"), "{text}");
    am_eval().args(["train", "no/such/recipe.toml"]).assert().code(2).stderr(contains("no/such/recipe.toml"));
}
