use proptest::prelude::*;

use super::*;
use crate::record::testing::{any_record, any_transfer, block, block_with_transfers};

fn run_dir() -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(folder.path().join("run"), "suite-1").unwrap();
    (folder, dir)
}

#[test]
fn a_block_reads_back() {
    let (_folder, dir) = run_dir();
    let block = block("b-0");
    block.write(&dir).unwrap();
    assert_eq!(dir.block("b-0").unwrap().unwrap(), block);
    assert_eq!(dir.block_keys().unwrap(), ["b-0"]);
    assert_eq!(dir.block("b-1").unwrap(), None);
    assert_eq!((block.forwards(), block.backwards()), (4 * 11 + 2 * 36, 4 * 10 + 2 * 20));
    let block = block_with_transfers("b-2");
    block.write(&dir).unwrap();
    assert_eq!(dir.block("b-2").unwrap().unwrap(), block);
    assert_eq!(block.forwards(), 4 * 11 + 2 * 36 + 2 * 2);
}

#[test]
fn every_block_says_its_form_so_that_older_versions_know_that_they_cannot_read_it() {
    let header = |block: &Block| {
        let bytes = block.encode("suite-1").unwrap();
        String::from_utf8(first_line(&bytes).unwrap().to_vec()).unwrap()
    };
    let plain = header(&block("b"));
    assert!(plain.starts_with("{\"format\":5,") && !plain.contains("transfers"), "{plain}");
    assert!(header(&block_with_transfers("b")).starts_with("{\"format\":5,"));
}

#[test]
fn a_block_of_before_a_column_was_added_is_still_read() {
    let block = block("b");
    let bytes = block.encode("suite-1").unwrap();
    let line = first_line(&bytes).unwrap();
    let mut header: Header = serde_json::from_slice(line).unwrap();
    let body = &bytes[line.len() + 1..];
    let (cells, rest) = body.split_at(header.bytes[0]);
    let (records, rest) = rest.split_at(header.bytes[1]);
    let text = std::str::from_utf8(records).unwrap();
    let older: String = text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect();
    header.bytes[1] = older.len();
    let file = [&json(&header).unwrap()[..], cells, older.as_bytes(), rest].concat();
    assert_eq!(decode_rehashed(&file).unwrap(), block);
    assert!(decode_rehashed(&file[..file.len() - 1]).is_err());
}

#[test]
fn every_truncation_and_every_changed_byte_is_found() {
    let bytes = block_with_transfers("b").encode("suite-1").unwrap();
    assert!(decode(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    let (good, run) = decode(&bytes).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        if let Ok(read) = decode(&changed) {
            assert_eq!(read, (good.clone(), run.clone()), "byte {at} changed the block unseen");
        }
    }
}

#[test]
fn messages() {
    let (folder, dir) = run_dir();
    let path = dir.block_path("b").unwrap();
    let bytes = block("b").encode("suite-1").unwrap();
    let mut longer = bytes.clone();
    longer.push(b'x');
    let newer = String::from_utf8_lossy(&bytes).replacen("\"format\":4", "\"format\":3", 1).into_bytes();
    let mut messages = Vec::new();
    let damaged = [
        bytes[..40].to_vec(),
        bytes[..bytes.len() - 1].to_vec(),
        longer,
        newer,
        block("other").encode("suite-1").unwrap(),
        block("b").encode("suite-2").unwrap(),
        Vec::new(),
    ];
    for bytes in damaged {
        std::fs::write(&path, bytes).unwrap();
        let error = dir.block("b").unwrap_err();
        messages.push(error.to_string().replace(&folder.path().display().to_string(), "[folder]"));
    }
    insta::assert_snapshot!(messages.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_records_read_back(
        records in proptest::collection::vec(any_record(), 0..20),
        transfers in proptest::collection::vec(any_transfer(), 0..8),
    ) {
        let block = Block { key: "b".to_owned(), records, transfers, ..Block::default() };
        prop_assert_eq!(decode(&block.encode("r").unwrap()).unwrap(), (block, "r".to_owned()));
    }

    #[test]
    fn any_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
    ) {
        let file = block_with_transfers("b").encode("r").unwrap();
        let _ = decode(&bytes);
        let _ = newer_format(&bytes);
        let mut spliced = file[..cut.index(file.len())].to_vec();
        spliced.extend(&bytes);
        let _ = decode(&spliced);
        // Past the hash: the sections themselves are nonsense.
        let mut header: Header = serde_json::from_slice(first_line(&file).unwrap()).unwrap();
        let mut body = file[first_line(&file).unwrap().len() + 1..].to_vec();
        let at = at.index(body.len());
        for (place, byte) in body[at..].iter_mut().zip(&bytes) {
            *place = *byte;
        }
        header.blake3 = hash(&header, &body).unwrap();
        let mut signed = json(&header).unwrap();
        signed.extend(body);
        let _ = decode(&signed);
    }
}
