use std::collections::BTreeMap;

use super::*;
use crate::record::testing::{any_record, block};
use crate::record::{DISTANCES_COLUMNS, DistancesReader, SAMPLES_COLUMNS, SamplesReader};
use crate::suite::Target;
use proptest::prelude::*;

fn rules() -> BTreeMap<String, Target> {
    BTreeMap::from([("a".to_owned(), Target::Untargeted)])
}

#[test]
fn columns_are_those_of_the_contract() {
    insta::assert_snapshot!(format!("{}\n{}", SAMPLES_COLUMNS.join(", "), DISTANCES_COLUMNS.join(", ")));
}

#[test]
fn tables_hold_the_blocks_in_the_given_order() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path(), "suite-1").unwrap();
    for key in ["b-0", "b-1"] {
        block(key).write(&dir).unwrap();
    }
    let mut visited = Vec::new();
    let keys = ["b-1".to_owned(), "b-0".to_owned()];
    let assembled = assemble_tables(&dir, &keys, |block| visited.push(block.key.clone())).unwrap();
    assert_eq!(visited, keys);
    assert_eq!((assembled.samples, assembled.distances), (8, 4));
    let samples = std::fs::read_to_string(dir.samples_path()).unwrap();
    assert_eq!(assembled.samples_hash, blake3::hash(samples.as_bytes()).to_hex().as_str());
    insta::assert_snapshot!(format!("{samples}\n{}", std::fs::read_to_string(dir.distances_path()).unwrap()));

    let records: Result<Vec<_>, _> = SamplesReader::open(&dir.samples_path(), rules()).unwrap().collect();
    assert_eq!(records.unwrap(), [block("").records, block("").records].concat());
    let distances: Result<Vec<_>, _> = DistancesReader::open(&dir.distances_path(), 1.0).unwrap().collect();
    assert_eq!(distances.unwrap(), [block("").distances, block("").distances].concat());
}

#[test]
fn files_of_before_a_column_was_added_are_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path(), "suite-1").unwrap();
    block("b").write(&dir).unwrap();
    assemble_tables(&dir, &["b".to_owned()], |_| ()).unwrap();
    let current = std::fs::read_to_string(dir.samples_path()).unwrap();
    let without = |columns: usize| {
        let line = |line: &str| line.rsplitn(columns + 1, ',').last().unwrap_or_default().to_owned() + "\n";
        current.lines().map(line).collect::<String>()
    };
    let read = |text: &str| {
        std::fs::write(dir.samples_path(), text).unwrap();
        SamplesReader::open(&dir.samples_path(), rules()).and_then(|reader| reader.collect::<Result<Vec<_>, _>>())
    };
    // Compositions came with their column, and nearest flips with theirs; all others have been there from the first version on.
    for lacking in [1, 2] {
        assert_eq!(read(&without(lacking)).unwrap(), block("").records);
    }
    let message = read(&without(3)).unwrap_err().to_string();
    assert!(message.contains("missing columns: status"), "{message}");
    let uneven = without(2).replacen(",ok\n", "\n", 1);
    assert!(read(&uneven).is_err(), "{uneven}");
}

#[test]
fn messages() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path(), "suite-1").unwrap();
    block("b").write(&dir).unwrap();
    assemble_tables(&dir, &["b".to_owned()], |_| ()).unwrap();
    let good = std::fs::read_to_string(dir.samples_path()).unwrap();
    let changes = [
        ("sample_id,", ""),
        ("run,", "run,more,"),
        ("model,dataset", "dataset,model"),
        (",true,a,", ",maybe,a,"),
        (",true,a,", ",false,a,"),
        (",linf,0.1,", ",l3,0.1,"),
        (",ok,,\n", ",fine,,\n"),
        (",0.9,0.6,", ",high,0.6,"),
        (",0.1,", ",-0.1,"),
        (",skipped-misclassified,,\n", ",,\n"),
        ("skipped-misclassified", "skipped,misclassified"),
    ];
    let mut messages = Vec::new();
    for (from, to) in changes {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        std::fs::write(dir.samples_path(), changed).unwrap();
        let read =
            SamplesReader::open(&dir.samples_path(), rules()).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        messages.push(read.unwrap_err().to_string().replace(&folder.path().display().to_string(), "[folder]"));
    }
    let error = assemble_tables(&dir, &["b".to_owned(), "c".to_owned()], |_| ()).unwrap_err();
    messages.push(error.to_string().replace(&folder.path().display().to_string(), "[folder]"));
    insta::assert_snapshot!(messages.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_records_read_back(records in proptest::collection::vec(any_record(), 0..12)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.csv");
        let mut writer = SamplesWriter::create(&path, "r").unwrap();
        records.iter().try_for_each(|record| writer.write(record)).unwrap();
        writer.finish().unwrap();
        let back: Result<Vec<_>, _> = SamplesReader::open(&path, rules()).unwrap().collect();
        prop_assert_eq!(back.unwrap(), records);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), with_header in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.csv");
        let header = if with_header { SAMPLES_COLUMNS.join(",") + "\n" } else { String::new() };
        std::fs::write(&path, [header.into_bytes(), bytes].concat()).unwrap();
        if let Ok(reader) = SamplesReader::open(&path, rules()) {
            let _ = reader.take(1000).count();
        }
    }
}
