//! What cannot run says why, where and what would be right, with the exit code of its kind, and keeps what is finished.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use am_eval::data::{Dataset, Synthetic};
use am_eval::record::Manifest;
use am_eval::suite::Split;

use crate::sandbox::{BLOCKS, Results, SMALL, Sandbox, assert_same, files_of, models};

/// The complaint about [`SMALL`] with one text replaced by another.
fn complaint_about(old: &str, new: &str) -> String {
    assert_eq!(SMALL.matches(old).count(), 1, "{old}");
    let sandbox = Sandbox::new(&SMALL.replace(old, new));
    let text = sandbox.complaint(&[], 2);
    assert!(!sandbox.path("runs").exists(), "nothing may be written");
    text
}

/// The complaint about weights whose bytes were changed.
fn complaint_about_weights(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let sandbox = Sandbox::new(&SMALL.replace("MODELS/", ""));
    let weights = fs::read(models().join("synthetic-cnn.safetensors")).unwrap();
    fs::write(sandbox.path("synthetic-cnn.safetensors"), change(weights)).unwrap();
    sandbox.complaint(&[], 2)
}

#[test]
fn missing_weights() {
    let sandbox = Sandbox::new(&SMALL.replace("MODELS/", ""));
    fs::write(sandbox.path("synthetic-cn.safetensors"), b"").unwrap();
    insta::assert_snapshot!(sandbox.complaint(&[], 2));
}

#[test]
fn truncated_weights() {
    insta::assert_snapshot!(complaint_about_weights(|bytes| bytes[..bytes.len() / 2].to_vec()));
}

#[test]
fn weights_with_nan() {
    let text = complaint_about_weights(|mut bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    });
    assert!(text.contains("synthetic-cnn.safetensors") && text.contains("holds NaN or infinity"), "{text}");
}

#[test]
fn weights_of_another_architecture() {
    insta::assert_snapshot!(complaint_about("cifar/resnet8", "cifar/resnet14"));
}

#[test]
fn unknown_architecture() {
    insta::assert_snapshot!(complaint_about("cifar/resnet8", "cifar/resnet9"));
}

#[test]
fn unknown_layer() {
    insta::assert_snapshot!(complaint_about("layer = \"layer2\"", "layer = \"layr2\""));
}

#[test]
fn unit_out_of_range() {
    insta::assert_snapshot!(complaint_about("units = { top = 2 }", "units = [3, 9999]"));
}

#[test]
fn class_out_of_range() {
    insta::assert_snapshot!(complaint_about("norm = \"linf\"\nepsilons", "target = 10\nnorm = \"linf\"\nepsilons"));
}

/// What `validate` says of [`SMALL`] with one text replaced by another.
fn refusal_of(old: &str, new: &str) -> String {
    assert_eq!(SMALL.matches(old).count(), 1, "{old}");
    Sandbox::new(&SMALL.replace(old, new)).refusal()
}

#[test]
fn classes_that_a_model_does_not_have_are_found_before_a_run() {
    let text = refusal_of("norm = \"linf\"\nepsilons", "target = 10\nnorm = \"linf\"\nepsilons");
    assert!(text.contains("model `cnn` does not fit: attack `logit` drives class 10, it has classes 0 to 9"), "{text}");
    assert!(text.contains("target = 10"), "{text}");
    let text = refusal_of("units = { top = 2 }", "units = [\"direction:3-12\", \"direction:4-4\", \"direction:1-2\"]");
    assert!(text.contains("there is no class 12; classes are 0 to 9"), "{text}");
    assert!(text.contains("a class less itself is no direction"), "{text}");
    assert!(text.contains("units = [\"direction:3-12\"") && !text.contains("unit direction:1-2"), "{text}");
}

#[test]
fn directions_between_classes_without_images_are_found_before_a_run() {
    let suite =
        FOLDER.replace("kind = \"class-logit\"", "kind = \"unit\"\nlayer = \"layer2\"\nunits = [\"direction:0-7\"]");
    let text = image_folder(&suite, 2, 3).refusal();
    assert!(text.contains("no reference image is of class 7; take more samples"), "{text}");
    let suite = suite.replace("direction:0-7", "direction:0");
    let text = image_folder(&suite, 1, 3).refusal();
    assert!(text.contains("no reference image is of another class"), "{text}");
}

#[test]
fn a_device_that_is_not_there() {
    let sandbox = Sandbox::small();
    let text = sandbox.complaint(&["--device", "cuda:99"], 2);
    assert!(text.contains("device cuda:99 cannot be used"), "{text}");
}

/// A suite on a folder of images.
const FOLDER: &str = r#"schema = 1
name = "folder"

[run]
device = "cpu"
block = 4

[data]
kind = "image-folder"
root = "images"

[[model]]
name = "cnn"
arch = "cifar/resnet8"
weights = "MODELS/synthetic-cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }

[[attack]]
name = "logit"
kind = "class-logit"
norm = "linf"
epsilons = ["4/255"]
steps = 3
"#;

/// A sandbox with procedural images in `classes` folders, so many in each.
fn image_folder(suite: &str, classes: usize, each: usize) -> Sandbox {
    let sandbox = Sandbox::new(suite);
    let data = Synthetic::new(Split::Test, 10 * each);
    for class in 0..classes {
        let folder = sandbox.path(&format!("images/{class:02}"));
        fs::create_dir_all(&folder).unwrap();
        for index in 0..each {
            let image = data.image(10 * index + class % 10).unwrap();
            fs::write(folder.join(format!("{index}.png")), image.to_png()).unwrap();
        }
    }
    sandbox
}

#[test]
fn an_empty_data_folder() {
    let sandbox = image_folder(FOLDER, 0, 1);
    fs::create_dir_all(sandbox.path("images")).unwrap();
    insta::assert_snapshot!(sandbox.complaint(&[], 2));
}

#[test]
fn a_corrupt_image_stops_the_run_and_keeps_its_blocks() {
    let sandbox = image_folder(FOLDER, 2, 6);
    let picture = fs::read(sandbox.path("images/01/3.png")).unwrap();
    fs::write(sandbox.path("images/01/3.png"), &picture[..picture.len() / 2]).unwrap();
    let text = sandbox.complaint(&[], 2);
    assert!(text.contains("DIR/images/01/3.png"), "{text}");
    let finished = sandbox.finished_blocks();
    assert!(finished < 3, "{finished}");

    fs::write(sandbox.path("images/01/3.png"), picture).unwrap();
    sandbox.run(&[]).assert().success();
}

#[test]
fn corrupt_images_are_skipped_and_counted_if_the_suite_says_so() {
    let sandbox = image_folder(&FOLDER.replace("root =", "on_error = \"skip\"\nroot ="), 2, 6);
    fs::write(sandbox.path("images/00/1.png"), b"not an image").unwrap();
    sandbox.run(&[]).assert().success();
    let dir = sandbox.run_dir();
    let manifest = Manifest::load(&dir.join("manifest.json")).unwrap();
    assert_eq!((manifest.samples, manifest.skipped.len()), (11, 1));
    assert!(manifest.skipped[0].starts_with("00/1.png: "), "{:?}", manifest.skipped);
    let samples = fs::read_to_string(dir.join("samples.csv")).unwrap();
    assert_eq!(samples.lines().filter(|line| !line.contains(",control-")).count(), 12);
    assert!(!samples.contains("00/1.png"));
}

#[test]
fn images_of_another_size() {
    let vit = FOLDER.replace("cifar/resnet8", "cifar/vit-c-tiny").replace("synthetic-cnn", "synthetic-vit");
    let sandbox = image_folder(&vit.replace("root =", "crop = 18\nroot ="), 2, 1);
    insta::assert_snapshot!(sandbox.complaint(&[], 2));
}

#[test]
fn more_classes_than_the_model_has() {
    insta::assert_snapshot!(image_folder(FOLDER, 11, 1).complaint(&[], 2));
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let sandbox = Sandbox::small();
    let file = sandbox.path("file");
    fs::write(&file, "in the way").unwrap();
    let text = sandbox.complaint(&["--out", file.to_str().unwrap()], 101);
    assert!(text.contains("failed to create DIR/file/small-") && text.contains("Not a directory"), "{text}");
}

/// Runs with a limit on the size of files, in units of 512 bytes: writing beyond it fails as on a full disk.
fn complaint_with_file_size(sandbox: &Sandbox, limit: u64) -> String {
    let line = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" run \"$1\" --out \"$2\"");
    let arguments: [PathBuf; 3] =
        [env!("CARGO_BIN_EXE_am-eval").into(), sandbox.path("suite.toml"), sandbox.path("runs")];
    let output = Process::new("sh").arg("-c").arg(line).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap();
    let text = sandbox.plain(&output.stderr);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("failed to write") && text.contains("File too large"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn a_full_disk_is_a_clear_error_that_keeps_finished_blocks() {
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    // Units first: their blocks are smaller than those of class logits in nine radii, which hold more pictures.
    let parts: Vec<&str> = SMALL.split("[[attack]]").collect();
    let (units, boundary) = parts[2].split_once("[boundary]").unwrap();
    let units = units.replace("top = 2", "top = 1").replace(", \"random-unit\"", "");
    let in_nine_radii = parts[1].replace(
        "[\"1/255\", ",
        "[\"0.25/255\", \"0.5/255\", \"0.75/255\", \"1/255\", \"1.5/255\", \"2/255\", \"2.5/255\", \"3/255\", ",
    );
    assert_ne!(in_nine_radii, parts[1]);
    let suite = format!("{}[[attack]]{units}[[attack]]{}[boundary]{boundary}", parts[0], in_nine_radii);
    let undisturbed = Sandbox::new(&suite);
    undisturbed.run(&[]).assert().success();
    let sizes: Vec<u64> = files_of(&undisturbed.run_dir().join("blocks")).iter().map(|path| size(path)).collect();
    let (units, logit) = (sizes[..4].iter().max().unwrap(), sizes[4]);
    let manifest = size(&undisturbed.run_dir().join("manifest.json"));
    let limit = units.max(&manifest).div_ceil(512);
    assert!(limit * 512 < logit, "a block of class logits must be larger than {limit} * 512: {sizes:?}");

    // The blocks of units fit, the first one of class logits does not.
    let sandbox = Sandbox::new(&suite);
    let text = complaint_with_file_size(&sandbox, limit);
    assert!(text.contains("/blocks/001-cnn--logit--00000.block"), "{text}");
    assert_eq!(sandbox.finished_blocks(), 4);
    assert_eq!(files_of(&sandbox.run_dir().join("blocks")).len(), 4, "nothing half-written");

    // All blocks fit, the page does not.
    let largest =
        sizes.iter().max().unwrap().max(&size(&undisturbed.run_dir().join("samples.csv"))).next_multiple_of(512);
    let text = complaint_with_file_size(&sandbox, largest / 512);
    assert!(text.contains(".png") || text.contains("report.html"), "{text}");
    assert_eq!(sandbox.finished_blocks(), BLOCKS);

    sandbox.run(&[]).assert().success();
    assert_same(&Results::read(&sandbox.run_dir()), &Results::read(&undisturbed.run_dir()));
}
