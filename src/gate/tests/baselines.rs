//! The file of a baseline: reads back what was saved, and refuses everything else.

use std::path::Path;

use proptest::prelude::*;

use super::baseline::{BaselineError, load, parse, save};
use super::*;
use crate::summary::HealthSign;

fn sample() -> Snapshot {
    let distance = |sample: usize| match sample % 3 {
        0 => Distance::At(0.012_345 * sample as f64),
        1 => Distance::Censored,
        _ => Distance::Missing,
    };
    let mut snapshot = with_distances(run(20, [3, 4, 17]), distance);
    snapshot.cells[0].health = vec![HealthSign::ZeroGradient(2), HealthSign::GradientMasking];
    snapshot.models[0].correct = (0..19).collect();
    snapshot.samples[5] = "a \"strange\"\nid/ü".into();
    snapshot
}

fn saved(snapshot: &Snapshot) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baseline.json");
    save(snapshot, &path).unwrap();
    assert_eq!(load(&path).unwrap(), *snapshot);
    std::fs::read(path).unwrap()
}

fn read(bytes: &[u8]) -> Result<Snapshot, BaselineError> {
    parse(bytes, Path::new("b.json"))
}

#[test]
fn what_was_saved_is_read_back_and_bytes_do_not_change() {
    let bytes = saved(&sample());
    assert_eq!(bytes, saved(&read(&bytes).unwrap()));
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn an_edited_number_or_bit_is_found() {
    let text = String::from_utf8(saved(&sample())).unwrap();
    for (old, new) in [
        ("\"seed\": 17", "\"seed\": 18"),
        ("\"flipped\":\"180002\"", "\"flipped\":\"180000\""),
        ("\"hash\": \"", "\"hash\": \"0"),
        ("\"am-eval-baseline\": 2,", "\"am-eval-baseline\": 2,\n\"more\": 2,"),
    ] {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        let error = read(text.replace(old, new).as_bytes()).unwrap_err();
        assert!(matches!(error, BaselineError::Changed { .. }), "{new}: {error}");
        assert!(error.to_string().contains("am-eval baseline save"), "{error}");
    }
    // White space is not content: version control may change line ends.
    assert!(read(text.replace('\n', "\r\n").as_bytes()).is_ok());
}

/// A baseline of an older version is compared by ids, and one sentence says how to renew it.
#[test]
fn an_older_baseline_is_still_read() {
    let text = String::from_utf8(saved(&old(30, 0..3))).unwrap();
    let older = read(text.replace("\"am-eval-baseline\": 2", "\"am-eval-baseline\": 1").as_bytes()).unwrap();
    assert!(older.provenance.data_hash.is_empty());
    let outcome = judged(&run(30, 0..3), Some(&older), &rules([no_drop(0.1)]));
    assert_eq!((outcome.mismatches.len(), outcome.conclusion), (0, Conclusion::Passed));
    assert_eq!(outcome.drift.iter().filter(|line| line.contains("am-eval baseline save RUN FILE")).count(), 1);
}

#[test]
fn newer_cut_off_and_other_files_are_told_apart() {
    let bytes = saved(&sample());
    let text = String::from_utf8(bytes.clone()).unwrap();
    let newer = text.replace("\"am-eval-baseline\": 2", "\"am-eval-baseline\": 3");
    assert!(matches!(read(newer.as_bytes()), Err(BaselineError::Newer { found: 3, .. })));
    let zeroth = text.replace("\"am-eval-baseline\": 2", "\"am-eval-baseline\": 0");
    assert!(matches!(read(zeroth.as_bytes()), Err(BaselineError::NotOne { .. })));
    let cut = read(&bytes[..bytes.len() / 2]).unwrap_err().to_string();
    assert!(cut.contains("cut off"), "{cut}");
    for other in ["", "[]", "{}", "null", "{\"am-eval-baseline\": \"1\"}", "{\"am-eval-baseline\": 1}", "\u{0}"] {
        assert!(matches!(read(other.as_bytes()), Err(BaselineError::NotOne { .. })), "{other}");
    }
    assert!(matches!(load(Path::new(".")), Err(BaselineError::NotOne { .. })));
    assert!(matches!(load(Path::new("no/such.json")), Err(BaselineError::Store(_))));
}

/// A file whose hash fits but whose content contradicts itself.
#[test]
fn a_content_that_contradicts_itself_is_refused() {
    let text = String::from_utf8(saved(&sample())).unwrap();
    let contradictions = [
        ("\"flipped\":\"180002\"", "\"flipped\":\"18000200000001\""),
        ("\"flipped\":\"180002\"", "\"flipped\":\"18000x\""),
        ("\"flipped\":\"180002\"", "\"flipped\":\"18000\""),
        ("\"samples\": [\"0\",\"1\"", "\"samples\": [\"0\",\"0\""),
        ("[0.0,null,", "[-1.0,null,"),
        ("[0.0,null,", "[null,"),
        ("\"model\":\"m\",\"n\"", "\"model\":\"x\",\"n\""),
        ("\"method\":\"path\"", "\"method\":7"),
    ];
    for (old, new) in contradictions {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        let mut file: serde_json::Value = serde_json::from_str(&text.replace(old, new)).unwrap();
        file["hash"] = blake3::hash(file["content"].to_string().as_bytes()).to_hex().as_str().into();
        let error = read(file.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, BaselineError::NotOne { .. }), "{new}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn another_byte_never_passes_unseen(at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>()) {
        let snapshot = sample();
        let mut bytes = saved(&snapshot);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        if let Ok(mut read) = read(&bytes) {
            // The first form has hashes of the data that no other is compared with.
            if String::from_utf8_lossy(&bytes).contains("\"am-eval-baseline\": 1,") {
                read.provenance.data_hash.clone_from(&snapshot.provenance.data_hash);
            }
            prop_assert_eq!(read, snapshot, "only white space may differ");
        }
    }

    #[test]
    fn any_snapshot_reads_back(
        correct in prop::collection::btree_set(0u32..70, 0..70), flips in prop::collection::btree_set(0u32..70, 0..70),
        distances in prop::collection::vec(prop::option::of(0.0f64..1e9), 70)
    ) {
        let at = |sample: usize| distances[sample].map_or(Distance::Censored, Distance::At);
        let mut snapshot = with_distances(run(70, flips), at);
        snapshot.models[0].correct = correct.into_iter().collect();
        saved(&snapshot);
    }
}
