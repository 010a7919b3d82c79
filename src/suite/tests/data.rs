//! Every kind of `[data]`.

use std::path::{Path, PathBuf};

use super::{FULL, parse, render};
use crate::suite::*;

/// The full suite with these keys in `[data]`.
fn with(data: &str) -> Result<DataConfig, SuiteErrors> {
    let (before, rest) = FULL.split_once("[data]\n").unwrap();
    let (_, after) = rest.split_once("[[model]]").unwrap();
    parse(&format!("{before}[data]\n{data}\n\n[[model]]{after}")).map(|suite| suite.data)
}

fn source(data: &str) -> DataSource {
    with(data).unwrap_or_else(|errors| panic!("{errors:#}")).source
}

#[test]
fn every_kind_has_its_keys_and_defaults() {
    let from = |path: &str| Path::new("suites").join(path);
    let found = source("kind = \"cifar100\"\nroot = \"c\"");
    assert!(
        matches!(found, DataSource::Cifar100 { root, split: Split::Test, labels: Cifar100Labels::Fine } if root == from("c"))
    );
    let found = source("kind = \"cifar100\"\nroot = \"c\"\nsplit = \"train\"\nlabels = \"coarse\"");
    assert!(matches!(found, DataSource::Cifar100 { split: Split::Train, labels: Cifar100Labels::Coarse, .. }));
    assert!(
        matches!(source("kind = \"mnist\"\nroot = \"m\""), DataSource::Mnist { root, split: Split::Test } if root == from("m"))
    );
    assert!(matches!(source("kind = \"fashion-mnist\"\nroot = \"m\""), DataSource::FashionMnist { .. }));
    let found = source("kind = \"idx\"\nimages = \"a\"\nlabels = \"b\"");
    assert!(matches!(found, DataSource::Idx { images, labels } if images == from("a") && labels == from("b")));
    let found = source("kind = \"imagenet-val\"\nroot = \"v\"\nlabels = \"l.txt\"\nsynsets = \"meta.mat\"");
    assert!(matches!(found, DataSource::ImagenetVal { synsets: Some(synsets), .. } if synsets == from("meta.mat")));
    let found = source("kind = \"csv\"\nfile = \"tables/t.csv\"");
    assert!(matches!(found, DataSource::Csv { file, root } if file == from("tables/t.csv") && root == from("tables")));
    let found = source("kind = \"webdataset\"\nroot = \"w\"\nshards = [\"a.tar\", \"b-{0..3}.tar\"]");
    let DataSource::Webdataset { root, shards, label_field } = found else { panic!("{found:?}") };
    assert_eq!((root, shards.len(), label_field.as_str()), (from("w"), 2, "label"));
    let found = source("kind = \"webdataset\"\nshards = \"w/b-{0..3}.tar\"\nlabel_field = \"y\"");
    assert!(
        matches!(found, DataSource::Webdataset { root, label_field, .. } if root == from("") && label_field == "y")
    );
}

#[test]
fn another_root_replaces_every_kinds_own() {
    let moved = |data: &str| {
        let mut found = source(data);
        found.move_to(Path::new("/new"));
        found
    };
    let new = |name: &str| PathBuf::from("/new").join(name);
    assert!(matches!(moved("kind = \"mnist\"\nroot = \"m\""), DataSource::Mnist { root, .. } if root == new("")));
    let found = moved("kind = \"idx\"\nimages = \"m/a\"\nlabels = \"m/b\"");
    assert!(matches!(found, DataSource::Idx { images, labels } if images == new("a") && labels == new("b")));
    let found = moved("kind = \"webdataset\"\nshards = \"../x/b-{0..3}.tar\"");
    assert!(
        matches!(found, DataSource::Webdataset { root, shards, .. } if root == new("") && shards == ["b-{0..3}.tar"])
    );
}

#[test]
fn preprocessing_and_names_are_every_kinds() {
    let found =
        with("kind = \"synthetic\"\ncrop = 224\ncrop_pct = 0.9\ninterpolation = \"nearest\"\nchannels = 1").unwrap();
    // Python: math.floor(224 / 0.9) = 248.
    let how = Preprocess {
        channels: Some(Channels::Grey),
        resize: Some(248),
        crop: Some(224),
        interpolation: Interpolation::Nearest,
    };
    assert_eq!(found.preprocess, how);
    for (share, resize) in [("0.875", 256), ("1.0", 224), ("1", 224), ("0.95", 235)] {
        let found = with(&format!("kind = \"mnist\"\nroot = \"m\"\ncrop = 224\ncrop_pct = {share}")).unwrap();
        assert_eq!(found.preprocess.resize, Some(resize), "{share}");
    }
    let names = |text: &str| with(&format!("kind = \"synthetic\"\nclass_names = \"{text}\"")).unwrap().class_names;
    assert_eq!(names("imagenet"), Some(ClassNames::Imagenet));
    assert_eq!(names("a.txt"), Some(ClassNames::File(Path::new("suites").join("a.txt"))));
}

#[test]
fn wrong_keys_say_what_would_be_right() {
    let error = |data: &str| render(&with(data).unwrap_err());
    insta::assert_snapshot!(
        [
            error("kind = \"imagenet\"\nroot = \"v\""),
            error("kind = \"imagenet-val\"\nroot = \"v\""),
            error("kind = \"csv\"\nroot = \"v\""),
            error("kind = \"webdataset\"\nroot = \"v\"\nshards = 7"),
            error("kind = \"cifar100\"\nroot = \"v\"\nlabels = \"superclass\""),
            error("kind = \"mnist\"\nroot = \"v\"\nchannels = 4\ncrop = 224\ncrop_pct = 87.5"),
        ]
        .join("\n")
    );
}

#[test]
fn missing_files_are_shown_where_they_are_named() {
    let missing = |data: &str| {
        let (before, rest) = FULL.split_once("[data]\n").unwrap();
        let (_, after) = rest.split_once("[[model]]").unwrap();
        let suite = parse(&format!("{before}[data]\n{data}\n\n[[model]]{after}")).unwrap();
        let errors = suite.check_files().unwrap_err();
        let data = errors.problems().iter().filter(|problem| !problem.message().contains("weights of model"));
        data.map(|problem| format!("{}\n  {}\n", problem.message(), problem.suggestion().unwrap_or("")))
            .collect::<String>()
    };
    insta::assert_snapshot!([
        missing("kind = \"cifar100\"\nroot = \"gone\""),
        missing("kind = \"mnist\"\nroot = \"gone\""),
        missing("kind = \"idx\"\nimages = \"gone\"\nlabels = \".\""),
        missing("kind = \"imagenet-val\"\nroot = \"gone\"\nlabels = \"gone.txt\"\nsynsets = \"gone.mat\"\nclass_names = \"gone.json\""),
        missing("kind = \"csv\"\nfile = \"gone/t.csv\""),
        missing("kind = \"webdataset\"\nroot = \"gone\""),
    ]
    .join("\n"));
}
