use proptest::prelude::*;

use super::*;
use crate::data::Dataset;

const NAMES: [&str; 3] =
    ["ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000010.JPEG"];

/// A folder with images and the files given, of which `labels.txt` is the labels' and `synsets.txt` the synsets', if it is there.
fn opened(files: &[(&str, &[u8])]) -> Result<Vec<(String, u32, String)>, String> {
    let root = tempfile::tempdir().unwrap();
    let images = root.path().join("val");
    std::fs::create_dir(&images).unwrap();
    for name in NAMES {
        std::fs::write(images.join(name), b"").unwrap();
    }
    for (name, content) in files {
        std::fs::write(root.path().join(name), content).unwrap();
    }
    let synsets =
        ["synsets.txt", "synsets.mat"].map(|name| root.path().join(name)).into_iter().find(|path| path.is_file());
    let data = open(&images, &root.path().join("labels.txt"), synsets.as_deref())
        .map_err(|error| error.to_string().replace(&root.path().display().to_string(), "ROOT"))?;
    Ok((0..data.len())
        .map(|at| (data.id(at).to_string(), data.label(at), data.classes()[data.label(at) as usize].clone()))
        .collect())
}

fn labels(files: &[(&str, &[u8])]) -> Vec<(u32, String)> {
    opened(files).unwrap().into_iter().map(|(_, label, name)| (label, name)).collect()
}

fn meta() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/imagenet/meta.mat")).unwrap()
}

#[test]
fn names_and_synsets_in_any_form_give_the_place_among_imagenets() {
    let right = [(281, "tabby"), (0, "tench"), (999, "toilet tissue")].map(|(at, name)| (at, name.to_owned()));
    let forms: [&str; 4] = [
        // Kaggle's.
        "ImageId,PredictionString\nILSVRC2012_val_00000010,n15075141 1 2 3 4 n15075141 5 6 7 8\n\
         ILSVRC2012_val_00000002,n01440764 85 1 499 272\nILSVRC2012_val_00000001,n02123045 1 1 2 2\n\
         ILSVRC2012_val_00000077,n01440764 1 1 1 1\n",
        // Caffe's.
        "ILSVRC2012_val_00000001.JPEG 281\nILSVRC2012_val_00000002.JPEG 0\nILSVRC2012_val_00000010.JPEG 999\n",
        // Tiny ImageNet's.
        "ILSVRC2012_val_00000001.JPEG\tn02123045\t0\t32\t44\t62\nILSVRC2012_val_00000002.JPEG\tn01440764\t0\t0\t1\t1\n\
         ILSVRC2012_val_00000010.JPEG\tn15075141\t0\t0\t1\t1\n",
        // One synset per image.
        "n02123045\nn01440764\n\nn01440764\nn01440764\nn01440764\nn01440764\nn01440764\nn01440764\nn01440764\nn15075141\n",
    ];
    for form in forms {
        assert_eq!(labels(&[("labels.txt", form.as_bytes())]), right, "{form}");
    }
}

#[test]
fn class_ids_mean_what_the_devkit_says() {
    let ids = b"1\n2\n3\n1\n1\n1\n1\n1\n1\n3\n";
    // In the order of the synsets: n02100735 English setter, n02110185 Siberian husky, n02119789 kit fox.
    let right = [(2, "kit fox"), (0, "English setter"), (1, "Siberian husky")].map(|(at, name)| (at, name.to_owned()));
    assert_eq!(labels(&[("labels.txt", ids), ("meta.mat", &meta())]), right);
    assert_eq!(labels(&[("labels.txt", ids), ("synsets.mat", &meta())]), right);
    let texts: [&[u8]; 3] = [
        b"n02119789 1 kit_fox\nn02100735 2 English_setter\nn02110185 3 Siberian_husky\n",
        b"3 n02110185\n1 n02119789\n2 n02100735\n",
        b"n02119789\nn02100735\nn02110185\n",
    ];
    for text in texts {
        assert_eq!(labels(&[("labels.txt", ids), ("synsets.txt", text)]), right);
    }
}

#[test]
fn other_classes_are_those_of_their_list() {
    let synsets = b"n99999999\nn00000001 a thing\n";
    let truth = b"ILSVRC2012_val_00000001 n99999999\nILSVRC2012_val_00000002 0\nILSVRC2012_val_00000010 n00000001\n";
    let found = labels(&[("labels.txt", truth), ("synsets.txt", synsets)]);
    assert_eq!(found, [(1, "n99999999"), (0, "n00000001"), (0, "n00000001")].map(|(at, name)| (at, name.to_owned())));
}

#[test]
fn wrong_labels_say_what_would_be_right() {
    let error = |files: &[(&str, &[u8])]| opened(files).unwrap_err();
    let truth = |text: &'static str| [("labels.txt", text.as_bytes())];
    insta::assert_snapshot!(error(&truth("")), @"ROOT/labels.txt: has no labels");
    insta::assert_snapshot!(error(&truth("name,label\n")), @"ROOT/labels.txt: has no labels");
    insta::assert_snapshot!(error(&truth("1\n2\n3\n")), @"ROOT/labels.txt: has class ids, whose meaning is in the devkit's meta.mat: put it beside this file (ROOT/meta.mat is not there), or name it with `synsets` in [data]");
    insta::assert_snapshot!(error(&[("labels.txt", b"1\n2\n3\n"), ("meta.mat", &meta())]), @"ROOT/labels.txt: has 3 labels, but ILSVRC2012_val_00000010.JPEG is image 10; ImageNet's list has 50000");
    insta::assert_snapshot!(error(&[("labels.txt", b"1\n0\n1\n1\n1\n1\n1\n1\n1\n1\n"), ("meta.mat", &meta())]), @"ROOT/labels.txt:2: 0 is no class id; they go from 1 to 3");
    insta::assert_snapshot!(error(&[("labels.txt", b"1\none\n"), ("meta.mat", &meta())]), @"ROOT/labels.txt:2: `one` is no class id, which is a whole number from 1 on");
    insta::assert_snapshot!(error(&truth("n01440764\n5\n")), @"ROOT/labels.txt:2: is not one synset, such as n01440764, as the lines before are");
    insta::assert_snapshot!(error(&truth("n01440764\nn00000000\n")), @"ROOT/labels.txt:2: `n00000000` is none of the 1000 synsets; for other classes than ImageNet's 1000, name a file of them with `synsets` in [data]");
    insta::assert_snapshot!(error(&truth("ILSVRC2012_val_00000001 5\n")), @"ROOT/labels.txt: has no label for ILSVRC2012_val_00000002.JPEG in ROOT/val (nor for 1 more); every image in the folder needs one");
    insta::assert_snapshot!(error(&truth("ILSVRC2012_val_00000001 5\nILSVRC2012_val_00000002.JPEG\n")), @"ROOT/labels.txt:2: has no label; a line is an image's name and its synset or class index");
    insta::assert_snapshot!(error(&truth("ILSVRC2012_val_00000001 5\nILSVRC2012_val_00000001.JPEG 7\n")), @"ROOT/labels.txt:2: `ILSVRC2012_val_00000001.JPEG` stands on line 1 already");
    insta::assert_snapshot!(error(&truth("ILSVRC2012_val_00000001 1000\nILSVRC2012_val_00000002 5\nILSVRC2012_val_00000010 5\n")), @"ROOT/labels.txt:1: `1000` is neither a synset such as n01440764 nor a class index from 0 to 999");
    let alphabetical: String = IMAGENET_SYNSETS.lines().map(|line| format!("{}\n", &line[..9])).collect();
    insta::assert_snapshot!(error(&[("labels.txt", b"1\n"), ("synsets.txt", alphabetical.as_bytes())]), @"ROOT/synsets.txt: lists ImageNet's synsets in alphabetical order, which is not the order of the devkit's class ids; name the devkit's meta.mat instead, or a file of `id synset` lines");
    insta::assert_snapshot!(error(&[("labels.txt", b"1\n"), ("synsets.txt", b"n01440764\nn01440764\n")]), @"ROOT/synsets.txt: class ids 1 and 2 are both n01440764");
    insta::assert_snapshot!(error(&[("labels.txt", b"1\n"), ("synsets.txt", b"1 n01440764\nn01443537\n")]), @"ROOT/synsets.txt:2: either every line or none has a class id");
}

const IMAGENET_SYNSETS: &str = include_str!("../imagenet_classes.txt");

#[test]
fn a_folder_of_folders_is_another_kind() {
    let root = tempfile::tempdir().unwrap();
    let error = || open(root.path(), Path::new("labels.txt"), None).unwrap_err().to_string();
    assert!(error().contains("has no images; expected files ending in jpg"), "{}", error());
    std::fs::create_dir(root.path().join("n01440764")).unwrap();
    assert!(error().ends_with("has no images but folders of classes: use `kind = \"image-folder\"`"), "{}", error());
}

proptest! {
    #[test]
    fn any_labels_are_read_or_an_error(text in "([n0-9]{1,9}[ ,\t\n]){0,30}") {
        let _ = opened(&[("labels.txt", text.as_bytes())]);
        let _ = opened(&[("labels.txt", b"1\n"), ("synsets.txt", text.as_bytes())]);
    }

    #[test]
    fn any_bytes_are_labels_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(opened(&[("labels.txt", &bytes)]).is_err());
    }
}
