//! Models that look robust and are not: none of them passes without a sign on the first screen, in `summary.csv`, in the gate and in
//! `summary.md`; and the plain model that they are made from passes without any. Each is traced into a TorchScript file from a
//! shipped network, with the one change that its name tells.
#![cfg(feature = "torch")]

use std::path::{Path, PathBuf};

use am_eval::model::{Compute, Model, ModelSource};
use am_eval::suite::{ModelConfig, Normalize};
use assert_cmd::Command;
use tch::{CModule, Device, Kind, Tensor};
use tempfile::TempDir;

/// Attacked far beyond the plain model's boundary, so that all its samples flip, and between the levels of 8 bits.
const SUITE: &str = r#"schema = 1
name = "deceptive"
seed = 3

[run]
device = "cpu"

[data]
kind = "synthetic"
split = "test"
samples = 20

[[model]]
name = "NAME"
arch = "torchscript"
weights = "NAME.pt"
normalize = { mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }

[[attack]]
name = "margin"
kind = "class-logit"
loss = "margin"
norm = "linf"
epsilons = [0.06]
steps = 10

[[gate]]
metric = "robust_accuracy"
min = 0.0
"#;

fn plain() -> Model {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/synthetic-cnn.safetensors");
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let config = ModelConfig::of_file("cifar/resnet8", &weights, normalize);
    ModelSource::open(&config, Some([32, 32])).unwrap().build(Compute::f32(Device::Cpu)).unwrap()
}

/// A folder with the script `name.pt` and its suite.
struct Bench {
    folder: TempDir,
    name: &'static str,
}

impl Bench {
    fn new(name: &'static str, answer: impl Fn(&dyn Fn(&Tensor) -> Tensor, &Tensor) -> Tensor) -> Self {
        let bench = Bench { folder: tempfile::tempdir().unwrap(), name };
        let network = plain();
        let logits = |pixels: &Tensor| network.logits(pixels);
        let pixels = Tensor::full([2, 3, 32, 32], 0.5, (Kind::Float, Device::Cpu));
        let mut trace = |inputs: &[Tensor]| vec![answer(&logits, &inputs[0])];
        let script = CModule::create_by_tracing("Deceptive", "forward", &[pixels], &mut trace).unwrap();
        script.save(bench.path(&format!("{name}.pt"))).unwrap();
        std::fs::write(bench.path("suite.toml"), SUITE.replace("NAME", name)).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exit code, and what is printed.
    fn run(&self, more: &[&str]) -> (i32, String) {
        let mut command = Command::cargo_bin("am-eval").unwrap();
        let output = command
            .current_dir(self.folder.path())
            .args(["run", "suite.toml", "--no-progress", "--out", "out"])
            .args(more)
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), text)
    }

    fn output(&self, name: &str) -> String {
        let run = std::fs::read_dir(self.path("out")).unwrap().next().unwrap().unwrap().path();
        std::fs::read_to_string(run.join(name)).unwrap()
    }

    /// A column of `summary.csv` in the first row of the attack.
    fn column(&self, name: &str) -> String {
        self.columns(name).swap_remove(0)
    }

    /// A column of `summary.csv` in the rows of the attack.
    fn columns(&self, name: &str) -> Vec<String> {
        let table = self.output("summary.csv");
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let place = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
        let rows = reader.records().map(Result::unwrap).filter(|row| &row[3] == "class-logit");
        rows.map(|row| row[place].to_owned()).collect()
    }

    /// Runs and asserts that the sign `code` is in every output; `words` are those of first screens.
    fn assert_flagged(&self, code: &str, words: &str) {
        let (exit, text) = self.run(&[]);
        assert_eq!(exit, 0, "{}: {text}", self.name);
        let health = self.column("health");
        assert!(health.contains(code), "{}: `{health}` lacks {code}\n{text}", self.name);
        let (screen, gate) = text.split_once("\ngate: ").unwrap_or_else(|| panic!("{}: no gate in {text}", self.name));
        assert!(screen.contains(&format!("warning: {words}")), "{}: {screen}", self.name);
        assert!(gate.contains(code), "{}: {gate}", self.name);
        assert!(!gate.contains("\npass "), "{}: a floor passes cleanly: {gate}", self.name);
        for file in ["summary.md", "gate.json"] {
            let text = self.output(file).replace('\\', "");
            assert!(text.contains(code), "{}: {file} is silent: {text}", self.name);
        }
        let page = self.output("report.html");
        let (first_screen, _) = page.split_once("id=\"belief\"").unwrap();
        assert!(first_screen.contains("<span class=\"chip warn\" title"), "{}: no chip", self.name);
        assert!(first_screen.contains(&format!("<b>{words}")), "{}: {words} is not on the first screen", self.name);
        assert!(!page.contains("no suspicious sign"), "{}", self.name);
    }

    /// Asserts that the model is refused, or that its numbers are in doubt in `summary.csv` and in the gate.
    fn assert_not_believed(&self) {
        let (exit, text) = self.run(&[]);
        if exit == 2 {
            return;
        }
        assert_eq!(exit, 0, "{}: {text}", self.name);
        assert!(!self.column("health").is_empty(), "{}: {text}", self.name);
        let (screen, gate) = text.split_once("\ngate: ").unwrap_or_else(|| panic!("{}: no gate in {text}", self.name));
        assert!(screen.contains("warning: ") && !gate.contains("\npass "), "{}: {text}", self.name);
    }

    /// Asserts that the model is refused before any attack, with `words`.
    fn assert_refused(&self, words: &str) {
        let (exit, text) = self.run(&[]);
        assert_eq!(exit, 2, "{}: {text}", self.name);
        assert!(text.contains(words), "{}: {text}", self.name);
        assert_eq!(self.run(&["--dry-run"]).0, 2);
    }

    fn robust(&self) -> f64 {
        self.column("robust_accuracy").parse().unwrap()
    }
}

/// Signs in -1, 1 of the size of the pixels, drawn anew in each pass.
fn coins(pixels: &Tensor) -> Tensor {
    pixels.rand_like().ge(0.5).to_kind(Kind::Float) * 2.0 - 1.0
}

fn quantized(pixels: &Tensor, levels: f64) -> Tensor {
    (pixels * levels).round() / levels
}

#[test]
fn the_plain_model_has_no_sign() {
    let bench = Bench::new("plain", |logits, pixels| logits(pixels));
    let (exit, text) = bench.run(&[]);
    assert_eq!(exit, 0, "{text}");
    assert_eq!((bench.robust(), bench.column("health").as_str()), (0.0, ""), "{text}");
    let text = text.replace("warning: TorchScript files are programs", "");
    assert!(!text.contains("warning") && text.contains("\npass "), "{text}");
    assert!(bench.output("report.html").contains("no suspicious sign"));
}

#[test]
fn logits_of_any_scale_give_the_same_flips() {
    let robust = |name: &'static str, scale: f64, offset: f64| {
        let bench = Bench::new(name, move |logits, pixels| logits(pixels) * scale + offset);
        let suite = SUITE.replace("NAME", name).replace("[0.06]", "[0.02, 0.06]");
        std::fs::write(bench.path("suite.toml"), suite).unwrap();
        let (exit, text) = bench.run(&[]);
        assert_eq!(exit, 0, "{name}: {text}");
        bench.columns("robust_accuracy")
    };
    let plain = robust("plain", 1.0, 0.0);
    assert_eq!(plain[1], "0");
    let scales = [("tiny", 1e-12, 0.0), ("small", 1e-6, 0.0), ("large", 1e6, 0.0), ("huge", 1e20, 0.0)];
    let offsets = [("shifted", 1.0, 1e4), ("lowered", 1.0, -3e4), ("both", 1e3, 1e6)];
    for (name, scale, offset) in scales.into_iter().chain(offsets) {
        assert_eq!(robust(name, scale, offset), plain, "{name}");
    }
}

#[test]
fn an_offset_that_swallows_the_logits_is_told() {
    Bench::new("swallowed", |logits, pixels| logits(pixels) + 3e7).assert_flagged("undecided", "undecided");
}

#[test]
fn other_ways_to_look_robust_are_told_or_refused() {
    let mean = |tensor: &Tensor| tensor.mean_dim([0i64].as_slice(), true, Kind::Float);
    let benches = [
        Bench::new("coarse", |logits, pixels| logits(&quantized(pixels, 15.0))),
        Bench::new("fine", |logits, pixels| logits(&quantized(pixels, 63.0)) - logits(pixels) * 1e-2),
        Bench::new("tanh", |logits, pixels| (logits(pixels) * 1e3).tanh()),
        Bench::new("sigmoid", |logits, pixels| (logits(pixels) * 200.0).sigmoid()),
        Bench::new("rounded", |logits, pixels| logits(pixels).round()),
        Bench::new("signs", |logits, pixels| logits(pixels).sign()),
        Bench::new("shaken", |logits, pixels| logits(&(pixels + coins(pixels) * 0.1))),
        Bench::new("dimmed", |logits, pixels| {
            let first = pixels.narrow(1, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1);
            logits(&(pixels * (1.0 + coins(&first) * 0.3)))
        }),
        Bench::new("trembling", |logits, pixels| {
            let answer = logits(pixels);
            let noise = answer.randn_like();
            answer + noise * 1e-2
        }),
        Bench::new("centred", move |logits, pixels| logits(pixels) - mean(&logits(pixels))),
        Bench::new("infinite", |logits, pixels| {
            let off = (quantized(pixels, 255.0) - pixels).abs().flatten(1, -1).amax([1i64].as_slice(), true).gt(1e-5);
            logits(pixels) + 1.0 / (1.0 - off.to_kind(Kind::Float)) - 1.0
        }),
        Bench::new("frozen", |logits, pixels| logits(pixels).detach() + logits(pixels) * 0.0),
    ];
    benches.iter().for_each(Bench::assert_not_believed);
}

#[test]
fn a_misled_gradient_is_told() {
    // The gradient of the small smooth term points away from every flip.
    let bench = Bench::new("misled", |logits, pixels| logits(&quantized(pixels, 31.0)) - logits(pixels) * 1e-3);
    bench.assert_flagged("gradient-free", "gradient-free search finds more");
}

#[test]
fn a_saturated_softmax_is_told() {
    let bench = Bench::new("softmax", |logits, pixels| (logits(pixels) * 1e3).softmax(-1, Kind::Float));
    bench.assert_flagged("zero-gradient", "zero gradients");
    assert!(bench.column("health").contains("probabilities"));
}

#[test]
fn probabilities_are_attacked_through_their_logarithm() {
    // Sure to one part in ten million, where the gradient of a softmax is nothing.
    let bench = Bench::new("probabilities", |logits, pixels| (logits(pixels) * 4.0).softmax(-1, Kind::Float));
    let (exit, text) = bench.run(&[]);
    assert_eq!((exit, bench.robust()), (0, 0.0), "{text}");
    assert_eq!(bench.column("health"), "probabilities");
    assert!(text.contains("note: probabilities instead of logits"), "{text}");
}

#[test]
fn random_output_is_told_and_averaged_on_demand() {
    let bench = Bench::new("random", |logits, pixels| {
        let answer = logits(pixels);
        let noise = answer.randn_like();
        answer + noise * 3.0
    });
    bench.assert_flagged("random-model", "random model");
    let suite = SUITE.replace("NAME", "random").replace("device = \"cpu\"", "device = \"cpu\"\neot = 4");
    std::fs::write(bench.path("suite.toml"), suite).unwrap();
    std::fs::remove_dir_all(bench.path("out")).unwrap();
    let (exit, text) = bench.run(&[]);
    assert_eq!(exit, 0, "{text}");
    assert!(bench.column("health").contains("averaged-model:4") && !bench.column("health").contains("random-model"));
    // The same again: a random model's passes are seeded.
    let table = bench.output("samples.csv");
    assert_eq!(bench.run(&["--fresh"]).0, 0);
    assert_eq!(bench.output("samples.csv"), table);
}

#[test]
fn a_model_that_turns_one_answer_in_five_is_random_and_not_blamed_on_its_batch() {
    let bench = Bench::new("fickle", |logits, pixels| {
        let turned = pixels.rand_like().flatten(1, -1).narrow(1, 0, 1).lt(0.2).to_kind(Kind::Float);
        logits(pixels) * (1.0 - turned * 2.0)
    });
    bench.assert_flagged("random-model", "random model");
}

#[test]
fn dropout_in_train_mode_is_told() {
    let bench = Bench::new("dropout", |logits, pixels| logits(&pixels.dropout(0.2, true)));
    bench.assert_flagged("random-model", "random model");
}

#[test]
fn a_step_function_is_told() {
    let bench = Bench::new("steps", |logits, pixels| (logits(pixels) * 64.0).floor() / 64.0);
    bench.assert_flagged("zero-gradient", "zero gradients");
}

#[test]
fn nan_under_attack_is_not_robust_and_told() {
    let bench = Bench::new("nan", |logits, pixels| {
        let off = (quantized(pixels, 255.0) - pixels).abs().flatten(1, -1).amax([1i64].as_slice(), true).gt(1e-5);
        logits(pixels) + off.to_kind(Kind::Float) * 0.0 / (1.0 - off.to_kind(Kind::Float))
    });
    bench.assert_flagged("non-finite", "not finite");
    assert_eq!(bench.robust(), 0.0);
}

#[test]
fn a_constant_is_told() {
    let bench =
        Bench::new("constant", |logits, pixels| logits(pixels) * 0.0 + Tensor::arange(10, (Kind::Float, Device::Cpu)));
    bench.assert_flagged("constant-prediction", "constant prediction");
}

#[test]
fn a_model_without_gradient_is_refused() {
    Bench::new("detached", |logits, pixels| logits(&pixels.detach()))
        .assert_refused("gives no gradient with respect to");
}

#[test]
fn predictions_that_depend_on_the_batch_are_refused() {
    let bench = Bench::new("batch", |logits, pixels| {
        let mean = pixels.mean_dim([0i64, 2, 3].as_slice(), true, Kind::Float);
        logits(&(pixels - mean + 0.5))
    });
    bench.assert_refused("depend on the other images of the batch");
}
