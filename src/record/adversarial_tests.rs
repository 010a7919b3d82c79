use super::*;
use crate::record::testing::block;

fn images(rows: &[i64]) -> AdversarialImages {
    let pixels = rows.iter().flat_map(|&row| [row as f32 / 8.0; 3 * 2 * 2]).collect();
    AdversarialImages { shape: [3, 2, 2], rows: rows.to_vec(), pixels }
}

#[test]
fn images_are_grouped_by_model_and_attack_with_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path(), "suite-1").unwrap();
    let keys = ["b-0".to_owned(), "b-1".to_owned(), "b-2".to_owned()];
    for key in &keys {
        block(key).write(&dir).unwrap();
    }
    images(&[0, 1, 3]).write(&dir, "b-0").unwrap();
    images(&[1]).write(&dir, "b-2").unwrap();
    let files = assemble_adversarial(&dir, &keys).unwrap();
    let names: Vec<_> = files.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["m--a.safetensors", "m--u.safetensors"]);

    let bytes = std::fs::read(&files[0].0).unwrap();
    assert_eq!(files[0].1, blake3::hash(&bytes).to_hex().as_str());
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let index: Vec<i64> =
        file.tensor("index").unwrap().data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    assert_eq!(index, [0, 1, 2 * 4 + 1]);
    let x = file.tensor("x").unwrap();
    assert_eq!((x.dtype(), x.shape()), (Dtype::F32, &[3, 3, 2, 2][..]));
    let x: Vec<f32> = x.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    assert_eq!(x, images(&[0, 1, 1]).pixels);
}

#[test]
fn names_that_join_to_the_same_text_have_files_of_their_own() {
    let pairs = [("a--b", "c"), ("a", "b--c"), ("a-", "b"), ("a", "-b"), ("a b", "c"), ("a_b", "c")];
    let names = pairs.map(|(model, attack)| adversarial_file(model, attack));
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    assert_eq!(adversarial_file("resnet20-adv", "least-likely"), "resnet20-adv--least-likely.safetensors");

    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path(), "suite-1").unwrap();
    for (key, (model, attack)) in ["b-0", "b-1"].into_iter().zip(pairs) {
        let mut block = block(key);
        for record in &mut block.records {
            let cell =
                crate::record::Cell { model: model.to_owned(), attack: attack.to_owned(), ..(*record.cell).clone() };
            record.cell = std::sync::Arc::new(cell);
        }
        block.write(&dir).unwrap();
        images(&[0]).write(&dir, key).unwrap();
    }
    let files = assemble_adversarial(&dir, &["b-0", "b-1"].map(str::to_owned)).unwrap();
    assert_eq!(files.len(), 2);
    assert_ne!(files[0].0, files[1].0);
}

#[test]
fn an_image_of_no_record_and_a_cut_file_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path(), "suite-1").unwrap();
    block("b").write(&dir).unwrap();
    images(&[4]).write(&dir, "b").unwrap();
    let keys = ["b".to_owned()];
    let message = assemble_adversarial(&dir, &keys).unwrap_err().to_string();
    assert!(message.contains("image 0 belongs to record 4"), "{message}");
    let path = dir.adversarial_block_path("b").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(assemble_adversarial(&dir, &keys).unwrap_err().is_damaged_block());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(assemble_adversarial(&dir, &keys).unwrap(), []);
    assert!(!dir.path().join("adversarial").exists());
}
