use super::*;

fn manifest() -> Manifest {
    let text = r#"{
        "format": 1, "run": "tiny-0123", "status": "incomplete", "suite_name": "tiny", "suite_source": "schema = 1\n",
        "suite_resolved": {"attacks": [
            {"name": "a", "goal": {"kind": "class-logit", "target": "least-likely"}},
            {"name": "b", "goal": {"kind": "class-logit", "target": {"class": 3}}},
            {"name": "c", "goal": {"kind": "unit", "layer": "layer1"}}],
            "boundary": {"max_radius": 3.5}},
        "dataset": "synthetic", "classes": ["disc", "bar"], "samples": 2, "skipped": [], "data_hash": "00",
        "models": [], "seed": 17, "device": "cpu", "versions": {"am-eval": "0.1.0"}, "command": ["am-eval", "run"],
        "blocks_total": 4, "blocks_done": 1, "seconds": 0.1, "unconfirmed_hits": 0, "outputs": {}
    }"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_manifest_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.json");
    manifest().save(&path).unwrap();
    assert_eq!(Manifest::load(&path).unwrap(), manifest());
}

#[test]
fn what_the_tables_leave_out_comes_from_the_suite() {
    let rules = manifest().target_rules();
    assert_eq!(rules, BTreeMap::from([("a", "least-likely"), ("b", "class:3")].map(|(a, b)| (a.into(), b.into()))));
    assert_eq!(manifest().searched_radius(), 3.5);
}

#[test]
fn messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.json");
    let mut messages = Vec::new();
    for text in ["{\"format\": 2, \"new\": true}", "{\"format\": 1, \"run\": 3}", "", "[1]"] {
        std::fs::write(&path, text).unwrap();
        let message = Manifest::load(&path).unwrap_err().to_string();
        messages.push(message.replace(&folder.path().display().to_string(), "[folder]"));
    }
    insta::assert_snapshot!(messages.join("\n"));
}
