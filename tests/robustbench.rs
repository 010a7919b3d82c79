//! The commands of `docs/robustbench.md`, on a small checkpoint that PyTorch saves under `module.`, and on a few images.
//! `AM_EVAL_TEST_PYTHON` names a Python with torch and safetensors; without them the test says that it is skipped.
#![cfg(feature = "torch")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const PAGE: &str = include_str!("../docs/robustbench.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a training script saves: the state of a network in `DataParallel`, among other things.
const CHECKPOINT: &str = r#"
import sys, torch
from safetensors.torch import load_file
state = {"module." + name: tensor for name, tensor in load_file(sys.argv[1]).items()}
state["module.bn1.num_batches_tracked"] = torch.tensor(1200)
torch.save({"epoch": 200, "state_dict": state, "optimizer": {"lr": 0.1, "momentum": [torch.zeros(3)]}}, sys.argv[2])
"#;

fn python() -> String {
    std::env::var("AM_EVAL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// The commands of the page, in their order.
fn commands() -> Vec<&'static str> {
    let (_, block) = PAGE.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0.lines().collect()
}

/// Runs a line of the page in `folder` and returns what it prints.
fn shell(line: &str, folder: &Path) -> String {
    let line = line
        .replace(".venv/bin/python", &python())
        .replace("target/release/am-eval", env!("CARGO_BIN_EXE_am-eval"))
        .replace("--limit 100", "--limit 4");
    let mut command = Command::new("sh");
    for name in ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"] {
        command.env_remove(name);
    }
    let output = command.arg("-c").arg(&line).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{stderr}");
    stderr
}

#[test]
fn the_walk_is_short() {
    let commands = commands();
    assert!(commands.len() < 10, "{commands:?}");
    for file in ["suites/robustbench.toml", "examples/convert.py"] {
        assert!(PAGE.contains(file) && Path::new(ROOT).join(file).is_file(), "{file}");
    }
}

#[test]
fn the_walk_leads_from_a_checkpoint_to_its_line() {
    let tried = Command::new(python()).args(["-c", "import torch, safetensors.torch, numpy"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: {} has not all of torch, safetensors, numpy; set AM_EVAL_TEST_PYTHON", python());
    }
    let sandbox = tempfile::tempdir().unwrap();
    let folder = sandbox.path();
    for name in ["checkpoints", "models", "suites", "examples"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    std::fs::copy(format!("{ROOT}/examples/convert.py"), folder.join("examples/convert.py")).unwrap();
    // A small network and made-up images stand for the checkpoint's own.
    let suite = std::fs::read_to_string(format!("{ROOT}/suites/robustbench.toml")).unwrap();
    let (head, rest) = suite.split_once("[data]\n").unwrap();
    let (_, rest) = rest.split_once("[[model]]").unwrap();
    let rest = rest.replace("cifar/preact_resnet18", "cifar/resnet8").replace(
        "{ mean = [0.4914, 0.4822, 0.4465], std = [0.2471, 0.2435, 0.2616] }",
        "{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }",
    );
    let suite = format!("{head}[data]\nkind = \"synthetic\"\nsplit = \"test\"\nsize = 40\n\n[[model]]{rest}");
    std::fs::write(folder.join("suites/robustbench.toml"), suite).unwrap();
    let weights = format!("{ROOT}/models/synthetic-cnn.safetensors");
    let made = Command::new(python())
        .args(["-c", CHECKPOINT, &weights])
        .arg(folder.join("checkpoints/model.pt"))
        .status()
        .unwrap();
    assert!(made.success());

    let there = |line: &&&str| {
        !["git clone", "make ", "python3 -m venv", "mkdir -p data"].iter().any(|start| line.starts_with(start))
    };
    let commands = commands();
    let outputs: Vec<String> = commands.iter().filter(there).map(|line| shell(line, folder)).collect();
    assert_eq!(outputs.len(), 4, "convert, validate, run, export");
    assert!(outputs[0].contains("under `state_dict`, without the prefix `module.`"), "{}", outputs[0]);
    let line = std::fs::read(folder.join("leaderboard/synthetic/Linf/checkpoint.json")).unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    let share = |field: &str| line[field].as_str().unwrap().parse::<f64>().unwrap();
    assert!(share("autoattack_acc") <= share("clean_acc") && share("external") <= share("autoattack_acc"), "{line}");
    assert_eq!((line["eps"].as_str(), line["architecture"].as_str()), (Some("8/255"), Some("cifar/resnet8")));
    // The converted weights are the original ones: the clean accuracy is that of the shipped model.
    assert!(share("clean_acc") >= 75.0, "{line}");
    let run = std::fs::read_dir(folder.join("reports")).unwrap().next().unwrap().unwrap().path();
    assert!(run.join("report.html").is_file());
}
