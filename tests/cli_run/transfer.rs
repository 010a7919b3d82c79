//! Images of one model shown to the others: `transfer.csv` follows from the saved images, and whatever disturbs a run, it comes out
//! the same.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use am_eval::engine::{Observer, Prepared, Run};
use am_eval::model::{Compute, Model, ModelSource};
use am_eval::record::{Block, Manifest, RunDir};
use am_eval::suite::{ModelConfig, Normalize, Shard, Suite, WorkUnit};
use predicates::str::contains;
use tch::{Device, Tensor};

use crate::sandbox::{Results, Sandbox, am_eval, assert_same, files_of, models, wait_for};
use crate::saved_images::{Samples, images};

/// A network, a copy of it, and one of another kind; a search that ends early in two radii, and one that uses its whole budget.
const SUITE: &str = r#"schema = 1
name = "three"
seed = 5

[run]
device = "cpu"
block = 5

[data]
kind = "synthetic"
size = 40
samples = 20

[[model]]
name = "cnn"
arch = "cifar/resnet8"
weights = "MODELS/synthetic-cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[[model]]
name = "twin"
arch = "cifar/resnet8"
weights = "MODELS/synthetic-cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[[model]]
name = "vit"
arch = "cifar/vit-c-tiny"
weights = "MODELS/synthetic-vit.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[[attack]]
name = "early"
kind = "class-logit"
norm = "linf"
epsilons = ["1/255", "8/255"]
steps = 5

[[attack]]
name = "units"
kind = "unit"
models = ["cnn"]
layer = "layer2"
units = { top = 1 }
norm = "l2"
epsilons = [0.5]
steps = 2

[[attack]]
name = "whole"
kind = "class-logit"
models = ["vit", "cnn"]
target = "least-likely"
norm = "l2"
epsilons = [2]
steps = 5
stop = "budget"

[transfer]
"#;

/// Blocks of [`SUITE`]: four for each attack and model that it runs on.
const BLOCKS: usize = 4 * (3 + 1 + 2);

/// The rows of `transfer.csv`, by column.
fn transfers(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(dir.join("transfer.csv")).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn model(name: &str) -> Model {
    let (arch, file) = if name == "vit" { ("cifar/vit-c-tiny", "vit") } else { ("cifar/resnet8", "cnn") };
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let weights = models().join(format!("synthetic-{file}.safetensors"));
    let source = ModelSource::open(&ModelConfig::of_file(arch, &weights, normalize), None).unwrap();
    source.build(Compute::f32(Device::Cpu)).unwrap()
}

#[test]
fn every_count_follows_from_the_saved_images() {
    let sandbox = Sandbox::new(SUITE);
    sandbox.run(&["--save-adversarial"]).assert().success();
    let dir = sandbox.run_dir();
    let samples = Samples::read(&dir.join("samples.csv"));
    let mut correct: HashMap<(&str, &str), bool> = HashMap::new();
    for row in 0..samples.rows.len() {
        let (model, id) = (samples.get(row, "model"), samples.get(row, "sample_id"));
        correct.insert((model, id), samples.get(row, "clean_correct") == "true");
    }
    let mut counted: BTreeMap<[String; 4], [u64; 4]> = BTreeMap::new();
    for path in files_of(&dir.join("adversarial")) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (source, attack) = name.split_once("--").unwrap();
        if attack == "units" {
            continue;
        }
        let (x, index) = images(&path);
        for victim in ["cnn", "twin", "vit"].into_iter().filter(|victim| *victim != source) {
            let logits: Tensor = tch::no_grad(|| model(victim).logits(&x));
            let predictions = Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap();
            for (prediction, &row) in predictions.iter().zip(&index) {
                // The images of controls are saved too, and shown to nobody.
                if samples.get(row, "kind") != "class-logit" || !correct[&(victim, samples.get(row, "sample_id"))] {
                    continue;
                }
                let fooled = *prediction != samples.number(row, "label") as i64;
                let flipped = samples.get(row, "flipped") == "true";
                let key = [source, victim, attack, samples.get(row, "epsilon")].map(str::to_owned);
                let counts = counted.entry(key).or_default();
                for (count, holds) in counts.iter_mut().zip([true, flipped, flipped && fooled, fooled]) {
                    *count += u64::from(holds);
                }
            }
        }
    }
    let claimed: BTreeMap<[String; 4], [u64; 4]> = transfers(&dir)
        .iter()
        .map(|row| {
            let key = ["source", "victim", "attack", "epsilon"].map(|column| row[column].clone());
            (key, ["n_both_correct", "n", "fooled", "fooled_all"].map(|column| row[column].parse().unwrap()))
        })
        .collect();
    assert_eq!(claimed, counted);
    // Two victims of three sources in two radii, and of two sources in one.
    assert_eq!(claimed.len(), 2 * (3 * 2 + 2));

    let mut to_copies = 0.0;
    for row in transfers(&dir) {
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        let twins = [&row["source"], &row["victim"]].iter().all(|name| *name != "vit");
        assert_eq!(number("transfer_rate"), number("fooled") / number("n"));
        assert!(number("transfer_rate_lo") <= number("transfer_rate") && number("n") <= number("n_both_correct"));
        assert!(number("noise_rate_hi") <= 1.0 && number("noise_rate_all_lo") >= 0.0);
        if twins {
            assert_eq!(row["fooled"], row["n"], "to a copy every flip transfers: {row:?}");
            assert_eq!(row["fooled_all"], row["n"], "and nothing else: {row:?}");
            to_copies += number("n");
        }
    }
    assert!(to_copies > 20.0, "{to_copies} flips are too few to prove anything");
    let target = |attack: &str| transfers(&dir).iter().find(|row| row["attack"] == attack).unwrap()["target"].clone();
    assert_eq!([target("early"), target("whole")], ["untargeted", "least-likely"]);
}

#[test]
fn a_run_leaves_the_table_its_charts_and_the_same_again() {
    let sandbox = Sandbox::new(SUITE);
    sandbox.run(&[]).assert().success();
    let (dir, undisturbed) = (sandbox.run_dir(), Results::read(&sandbox.run_dir()));
    assert!(undisturbed.0.contains_key("transfer.csv"));
    let charts: Vec<&String> = undisturbed.0.keys().filter(|name| name.starts_with("transfer-")).collect();
    assert_eq!(charts, ["transfer-early-linf.png", "transfer-whole-l2.png"]);
    let hash = blake3::hash(&undisturbed.0["transfer.csv"]).to_hex().to_string();
    assert_eq!(Manifest::load(&dir.join("manifest.json")).unwrap().outputs.get("transfer.csv"), Some(&hash));
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("<section id=\"transfer\"") && page.contains(&hash));

    fs::write(dir.join("transfer.csv"), "source\n").unwrap();
    am_eval().arg("report").arg(&dir).assert().success();
    assert_same(&Results::read(&dir), &undisturbed);
    assert!(fs::read_to_string(dir.join("report.html")).unwrap() == page);

    // Killed, and with a damaged block, it comes out the same.
    let killed = Sandbox::new(SUITE);
    for blocks in [1, 7, 18] {
        let mut child = killed.start();
        if wait_for(&mut child, || killed.finished_blocks() >= blocks) {
            child.kill().unwrap();
        }
        child.wait().unwrap();
    }
    let block = files_of(&killed.run_dir().join("blocks")).remove(0);
    let bytes = fs::read(&block).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"transfers\":"), "it holds transfers");
    fs::write(&block, &bytes[..bytes.len() - 1]).unwrap();
    killed.run(&[]).assert().success();
    assert_same(&Results::read(&killed.run_dir()), &undisturbed);

    // So do shards, the last first, each with the models that it needs. With as many threads as the sandbox gives the binary: the
    // rounding of sums depends on it.
    tch::set_num_threads(1);
    let sharded = Sandbox::new(SUITE);
    sharded.run(&["--dry-run"]).assert().success().stdout(contains("  transfer.csv\n"));
    let prepared = Prepared::new(Suite::load(sharded.path("suite.toml")).unwrap(), None).unwrap();
    let folder = sharded.path("runs").join(&prepared.run);
    let dir = RunDir::create(&folder, &prepared.run).unwrap();
    for index in [3, 1, 2] {
        let mut manifest = prepared.manifest(Vec::new());
        Run::new(&prepared, &dir, false).execute(Shard::new(index, 3).unwrap(), &mut manifest, &mut Silent).unwrap();
        manifest.save(&dir.manifest_path()).unwrap();
    }
    assert_eq!(sharded.finished_blocks(), BLOCKS);
    am_eval().arg("report").arg(&folder).assert().success();
    assert_same(&Results::read(&folder), &undisturbed);
}

struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: usize, _: usize) {}
    fn block_started(&mut self, _: &WorkUnit, _: &Prepared) {}
    fn block_finished(&mut self, _: &WorkUnit, _: &Block) {}
    fn warn(&mut self, text: &str) {
        panic!("{text}");
    }
}

#[test]
fn watching_victims_changes_no_record() {
    let table = |suite: &str| {
        let sandbox = Sandbox::new(suite);
        sandbox.run(&[]).assert().success();
        let name = sandbox.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(sandbox.run_dir().join("samples.csv")).unwrap();
        (sandbox.run_dir().join("transfer.csv").exists(), text.replace(&name, "RUN"), name)
    };
    let (has_transfers, with, name) = table(SUITE);
    let (not_shown, without, other_name) = table(&SUITE.replace("[transfer]\n", ""));
    assert!(has_transfers && !not_shown && name != other_name);
    assert!(with == without, "the records differ");
}

#[test]
fn victims_with_other_classes_are_refused_where_the_suite_asks_for_them() {
    let sandbox = Sandbox::new(&SUITE.replacen("MODELS/synthetic-cnn", "wider", 1));
    let weights = Tensor::read_safetensors(models().join("synthetic-cnn.safetensors")).unwrap();
    // One class more: the last one again.
    let widened: Vec<(String, Tensor)> = weights
        .into_iter()
        .map(|(name, tensor)| match name.starts_with("fc.") {
            true => (name, Tensor::cat(&[&tensor, &tensor.narrow(0, 9, 1)], 0)),
            false => (name, tensor),
        })
        .collect();
    Tensor::write_safetensors(&widened, sandbox.path("wider.safetensors")).unwrap();
    insta::assert_snapshot!(sandbox.complaint(&[], 2));
}
