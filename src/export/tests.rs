//! Exports of made-up runs: every form holds the same images.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};

use super::*;
use crate::record::testing::{block, cell, flipped, record, unit_cell};
use crate::record::{AdversarialImages, Block, CellKind, Manifest, Record, RunDir, RunStatus};
use crate::report::fixture;

/// Three samples of a class-logit attack (the second flips), one of a control.
fn finished(shape: [usize; 3], with_images: bool) -> (tempfile::TempDir, RunDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path().join("run"), "suite-1").unwrap();
    let attack = Arc::new(cell(8.0 / 255.0));
    let noise = Arc::new(unit_cell(CellKind::ControlNoise, "draw:0", 8.0 / 255.0));
    let records: Vec<Record> =
        vec![record(&attack, 0), flipped(record(&attack, 1)), record(&attack, 2), record(&noise, 0)];
    let size: usize = shape.iter().product();
    // The first sample was not attacked.
    let images = AdversarialImages {
        shape,
        rows: vec![1, 2, 3],
        pixels: (0..3 * size).map(|at| (at % 256) as f32 / 255.0).collect(),
    };
    if with_images {
        images.write(&dir, "b--00000").unwrap();
    }
    Block { records, distances: Vec::new(), examples: Vec::new(), ..block("b--00000") }.write(&dir).unwrap();
    let mut manifest = fixture::manifest("quickstart", &["m"]);
    manifest.run = "suite-1".to_owned();
    manifest.blocks_total = 1;
    crate::outputs::write_outputs(&dir, &mut manifest, with_images).unwrap();
    assert_eq!(manifest.status, RunStatus::Complete);
    (folder, dir, manifest)
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), IMAGES_COLUMNS);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn pictures_lie_where_the_table_says_and_hold_the_values() {
    let (folder, dir, manifest) = finished([3, 4, 5], true);
    let out = folder.path().join("out");
    let choice = Choice::default();
    let exported = write_images(&dir, &manifest, &choice, ImagesForm::Png, &out).unwrap();
    assert_eq!(exported, Exported { images: 2, files: 3 });
    let table = rows(&out.join("images.csv"));
    assert_eq!(table[0][0], "m--a--linf-8_255/0000001.png");
    assert_eq!((table[0][1].as_str(), table[0][14].as_str(), table[1][14].as_str()), ("1", "true", "false"));
    let image = image::open(out.join(&table[1][0])).unwrap().into_rgb8();
    assert_eq!(image.dimensions(), (5, 4));
    for (x, y, pixel) in image.enumerate_pixels() {
        let place = |channel: u32| (60 + channel * 20 + y * 5 + x) % 256;
        assert_eq!(pixel.0.map(u32::from), [place(0), place(1), place(2)], "({x}, {y})");
    }
    // Every class has its folder, so that ImageFolder's numbers are those of the run.
    let folders = folder.path().join("folders");
    write_images(&dir, &manifest, &choice, ImagesForm::ImageFolder, &folders).unwrap();
    let group = folders.join("m--a--linf-8_255");
    assert_eq!(fs::read_dir(&group).unwrap().count(), manifest.classes.len());
    assert!(group.join("0001/0000002.png").is_file());
}

#[test]
fn tensors_have_the_same_images_in_the_order_of_the_table() {
    let (folder, dir, manifest) = finished([1, 2, 2], true);
    let (safe, npy) = (folder.path().join("safe"), folder.path().join("npy"));
    let choice = Choice { controls: true, ..Choice::default() };
    write_images(&dir, &manifest, &choice, ImagesForm::Safetensors, &safe).unwrap();
    write_images(&dir, &manifest, &choice, ImagesForm::Npy, &npy).unwrap();
    let bytes = fs::read(safe.join("m--a--linf-8_255.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (x, y, row) = (file.tensor("x_adv").unwrap(), file.tensor("y").unwrap(), file.tensor("row").unwrap());
    assert_eq!((x.dtype(), x.shape()), (Dtype::F32, &[2, 1, 2, 2][..]));
    assert_eq!((y.dtype(), row.data()), (Dtype::I64, &[1i64.to_le_bytes(), 2i64.to_le_bytes()].concat()[..]));
    let values: Vec<u8> = (0..8).flat_map(|at| (at as f32 / 255.0).to_le_bytes()).collect();
    assert_eq!(x.data(), values);
    assert!(safe.join("m--u--linf-8_255.safetensors").is_file(), "the control's own");
    let array = fs::read(npy.join("m--a--linf-8_255/x_adv.npy")).unwrap();
    assert_eq!(&array[..8], b"\x93NUMPY\x01\x00");
    let header = usize::from(u16::from_le_bytes([array[8], array[9]])) + 10;
    assert_eq!(header % 64, 0);
    assert!(String::from_utf8_lossy(&array[10..header]).contains("'shape': (2, 1, 2, 2, )"));
    assert_eq!(&array[header..], values);
}

#[test]
fn what_is_not_there_is_said_and_nothing_is_written() {
    let (folder, dir, manifest) = finished([3, 2, 2], false);
    let out = folder.path().join("out");
    let error = write_images(&dir, &manifest, &Choice::default(), ImagesForm::Png, &out).unwrap_err().to_string();
    assert!(error.contains("made without --save-adversarial"), "{error}");
    let (folder, dir, manifest) = finished([3, 2, 2], true);
    let other = Choice { attacks: vec!["other".to_owned()], ..Choice::default() };
    let error = write_images(&dir, &manifest, &other, ImagesForm::Png, &out).unwrap_err();
    assert!(matches!(error, ExportError::Nothing(_)) && !out.exists());
    let full = folder.path().join("run");
    let error = write_images(&dir, &manifest, &Choice::default(), ImagesForm::Png, &full).unwrap_err();
    assert!(matches!(error, ExportError::NotEmpty(_)), "{error}");
    let (folder, dir, manifest) = finished([2, 2, 2], true);
    let error =
        write_images(&dir, &manifest, &Choice::default(), ImagesForm::Png, &folder.path().join("o")).unwrap_err();
    assert!(error.to_string().contains("1 or 3 channels"), "{error}");
}

#[test]
fn robustbench_has_the_fields_of_its_own_files_and_claims_no_autoattack() {
    let (folder, dir, manifest) = finished([3, 2, 2], true);
    let out = folder.path().join("rb");
    let files = write_robustbench(&dir, &manifest, &out).unwrap();
    let place = format!("{}/Linf/m.json", manifest.dataset);
    assert_eq!(files, [out.join(place)]);
    let entry: serde_json::Value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!((entry["eps"].as_str(), entry["clean_acc"].as_str()), (Some("8/255"), Some("100.00")));
    assert_eq!(entry["external"], "66.67", "one of three flips");
    assert_eq!(entry["autoattack_acc"], serde_json::Value::Null);
    assert!(entry["footnote"].as_str().unwrap().contains("no attack of kind \"standard\""));
}
