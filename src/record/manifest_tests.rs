use super::*;

const SUITE: &str = r#"schema = 1
name = "tiny"
seed = 17
[data]
kind = "synthetic"
[[model]]
name = "m"
arch = "cifar/resnet8"
weights = "m.safetensors"
normalize = { mean = [0.5], std = [0.5] }
[[attack]]
name = "a"
kind = "class-logit"
target = "least-likely"
norm = "linf"
epsilons = ["8/255"]
steps = 4
[[attack]]
name = "b"
kind = "class-logit"
target = 3
norm = "linf"
epsilons = ["8/255"]
steps = 4
[[attack]]
name = "c"
kind = "unit"
layer = "layer1"
units = [3, "4@1,2"]
norm = "l2"
epsilons = [0.5]
steps = 4
[boundary]
norm = "l2"
max_radius = 3.5
[[gate]]
metric = "clean_accuracy"
min = 0.5
[[waiver]]
reason = "known"
owner = "ana"
expires = "2030-01-01"
"#;

fn manifest() -> Manifest {
    let suite = Suite::parse("tiny.toml", SUITE).unwrap();
    Manifest {
        format: MANIFEST_FORMAT,
        run: "tiny-0123".to_owned(),
        status: RunStatus::Incomplete,
        suite_name: "tiny".to_owned(),
        suite_source: SUITE.to_owned(),
        suite,
        dataset: "synthetic".to_owned(),
        classes: vec!["disc".to_owned(), "bar".to_owned()],
        samples: 2,
        skipped: Vec::new(),
        data_hash: "00".to_owned(),
        models: Vec::new(),
        seed: 17,
        device: "cpu".to_owned(),
        repeats: true,
        versions: BTreeMap::from([("am-eval".to_owned(), "0.1.0".to_owned())]),
        command: vec!["am-eval".to_owned()],
        blocks_total: 4,
        blocks_done: 1,
        seconds: 0.1,
        origin: None,
        unconfirmed_hits: 0,
        evidence: Vec::new(),
        outputs: BTreeMap::new(),
        blocks: BTreeMap::new(),
    }
}

#[test]
fn a_manifest_reads_back_with_its_suite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.json");
    manifest().save(&path).unwrap();
    let read = Manifest::load(&path).unwrap();
    assert_eq!(read.suite.attacks, manifest().suite.attacks);
    assert_eq!((&read.suite.gates, &read.suite.waivers), (&manifest().suite.gates, &manifest().suite.waivers));
    assert_eq!(read.suite.run_key_material(), manifest().suite.run_key_material());
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(manifest()).unwrap());
}

#[test]
fn what_the_tables_leave_out_comes_from_the_suite() {
    let rules = manifest().target_rules();
    assert_eq!(rules, BTreeMap::from([("a".to_owned(), Target::LeastLikely), ("b".to_owned(), Target::Class(3))]));
    assert_eq!(manifest().searched_radius(), 3.5);
    assert_eq!(manifest().attack_names(), ["a", "b", "c"]);
}

/// Runs made before manifests had seals are read; a seal that is there counts whatever the form says.
#[test]
fn older_manifests_are_read_and_changed_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.json");
    let old = Manifest { format: ManifestFormat::new(1), ..manifest() };
    std::fs::write(&path, serde_json::to_vec_pretty(&old).unwrap()).unwrap();
    assert_eq!(Manifest::load(&path).unwrap().format, ManifestFormat::new(1));
    manifest().save(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for (word, other) in
        [("\"format\": 2", "\"format\": 1"), ("\"blocks_total\": 4", "\"blocks_total\": 1"), ("  ", "   ")]
    {
        std::fs::write(&path, text.replacen(word, other, 1)).unwrap();
        assert!(matches!(Manifest::load(&path), Err(StoreError::ChangedManifest { .. })), "{word}");
    }
}

#[test]
fn messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.json");
    let mut messages = Vec::new();
    for text in ["{\"format\": 9, \"new\": true}", "{\"format\": 1, \"run\": 3}", "{\"format\": 2}", "", "[1]"] {
        std::fs::write(&path, text).unwrap();
        let message = Manifest::load(&path).unwrap_err().to_string();
        messages.push(message.replace(&folder.path().display().to_string(), "[folder]"));
    }
    insta::assert_snapshot!(messages.join("\n"));
}
