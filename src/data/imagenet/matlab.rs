//! The class ids of the devkit's `meta.mat`: the part of MATLAB's level 5 format that a struct array of numbers and texts needs
//! ("MAT-File Format", The MathWorks).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::data::DataError;
use crate::data::decode::read;

/// Bytes of the header: text, version, byte order.
const HEADER: usize = 128;
/// Most bytes that a compressed variable may unpack to; the devkit's has about one million.
const LARGEST: u64 = 1 << 28;

// Types of data elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;

/// The class of a struct array.
const STRUCT: u8 = 2;

/// Synsets (`WNID`) by class id (`ILSVRC2012_ID`), from the struct array `synsets`.
///
/// # Errors
/// If the file is damaged or is no such file.
pub(super) fn class_ids(path: &Path) -> Result<BTreeMap<u32, String>, DataError> {
    let bytes = read(path)?;
    let wrong = |problem: &str| DataError::content(path, format!("is not the devkit's meta.mat: {problem}"));
    // Version 1 and the letters MI, in the byte order of whoever wrote it.
    if bytes.get(124..HEADER) != Some(&[0x00, 0x01, b'I', b'M'][..]) {
        return Err(wrong("it is no little-endian MATLAB file of level 5"));
    }
    let mut rest = &bytes[HEADER..];
    while !rest.is_empty() {
        let (kind, data) = element(&mut rest).ok_or_else(|| wrong("it is truncated"))?;
        let unpacked;
        let matrix = match kind {
            COMPRESSED => {
                let mut buffer = Vec::new();
                let unpack = ZlibDecoder::new(data).take(LARGEST).read_to_end(&mut buffer);
                unpack.map_err(|error| wrong(&format!("a variable cannot be unpacked: {error}")))?;
                unpacked = buffer;
                let mut inside: &[u8] = &unpacked;
                match element(&mut inside) {
                    Some((MATRIX, matrix)) => matrix,
                    _ => return Err(wrong("a compressed variable is no matrix")),
                }
            }
            MATRIX => data,
            _ => continue,
        };
        if let Some(found) = synsets(matrix) {
            return found.ok_or_else(|| wrong("its variable `synsets` has no ILSVRC2012_ID and WNID, or is truncated"));
        }
    }
    Err(wrong("it has no variable `synsets`"))
}

/// The next element's type and data; `rest` goes on behind it and its padding.
fn element<'b>(rest: &mut &'b [u8]) -> Option<(u32, &'b [u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let first = word(0)?;
    // Up to four bytes are packed into the tag.
    if first >> 16 != 0 {
        let size = (first >> 16) as usize;
        let data = rest.get(4..8)?.get(..size)?;
        *rest = &rest[8..];
        return Some((first & 0xFFFF, data));
    }
    let size = word(4)? as usize;
    let data = rest.get(8..)?.get(..size)?;
    let padded = if first == COMPRESSED { size } else { size.checked_next_multiple_of(8)? };
    *rest = rest.get(8 + padded..).unwrap_or(&[]);
    Some((first, data))
}

/// The ids of a matrix: none if it is not the struct array `synsets`, and none within if it is, but not as it should be.
fn synsets(mut matrix: &[u8]) -> Option<Option<BTreeMap<u32, String>>> {
    let (_, flags) = element(&mut matrix)?;
    let (_, dimensions) = element(&mut matrix)?;
    let (_, name) = element(&mut matrix)?;
    if flags.first() != Some(&STRUCT) || name != b"synsets" {
        return None;
    }
    Some(fields(matrix, dimensions))
}

fn fields(mut matrix: &[u8], dimensions: &[u8]) -> Option<BTreeMap<u32, String>> {
    let sizes = dimensions.chunks_exact(4).map(|size| size.try_into().map(u32::from_le_bytes).unwrap_or(0) as usize);
    let count = sizes.fold(1usize, usize::saturating_mul);
    let (_, length) = element(&mut matrix)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let (_, names) = element(&mut matrix)?;
    let name = |field: &[u8]| field.iter().copied().take_while(|byte| *byte != 0).collect::<Vec<u8>>();
    let names: Vec<Vec<u8>> = names.chunks_exact(length.max(1)).map(name).collect();
    let place = |name: &str| names.iter().position(|field| field == name.as_bytes());
    let (id_at, synset_at) = (place("ILSVRC2012_ID")?, place("WNID")?);
    let mut found = BTreeMap::new();
    for _ in 0..count {
        let (mut id, mut synset) = (None, None);
        for at in 0..names.len() {
            let (_, value) = element(&mut matrix)?;
            if at == id_at {
                id = numbers(value).and_then(|numbers| numbers.first().copied());
            } else if at == synset_at {
                synset = numbers(value)
                    .and_then(|letters| letters.into_iter().map(char::from_u32).collect::<Option<String>>());
            }
        }
        found.insert(id?, synset?.trim().to_owned());
    }
    Some(found)
}

/// The values of a numeric or text matrix, as whole numbers.
fn numbers(mut matrix: &[u8]) -> Option<Vec<u32>> {
    for _flags_dimensions_name in 0..3 {
        element(&mut matrix)?;
    }
    let (kind, data) = element(&mut matrix)?;
    let wide = |size: usize| data.chunks_exact(size);
    Some(match kind {
        INT8 | UINT8 | UTF8 => data.iter().map(|value| u32::from(*value)).collect(),
        INT16 | UINT16 => wide(2).map(|v| u32::from(u16::from_le_bytes([v[0], v[1]]))).collect(),
        INT32 | UINT32 => wide(4).map(|v| u32::from_le_bytes([v[0], v[1], v[2], v[3]])).collect(),
        DOUBLE => wide(8).map(|v| v.try_into().map(f64::from_le_bytes).unwrap_or(0.0) as u32).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/imagenet").join(name)).unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<BTreeMap<u32, String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.mat");
        std::fs::write(&path, bytes).unwrap();
        class_ids(&path).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "ROOT"))
    }

    #[test]
    fn files_that_scipy_wrote_are_read() {
        for name in ["meta.mat", "meta-plain.mat"] {
            let ids = read_bytes(&fixture(name)).unwrap();
            let right = [(1, "n02119789"), (2, "n02100735"), (3, "n02110185"), (1001, "n00001740")];
            assert_eq!(ids, right.map(|(id, synset)| (id, synset.to_owned())).into(), "{name}");
        }
    }

    #[test]
    fn other_files_say_so() {
        insta::assert_snapshot!(read_bytes(b"n01440764").unwrap_err(), @"ROOT/meta.mat: is not the devkit's meta.mat: it is no little-endian MATLAB file of level 5");
        insta::assert_snapshot!(read_bytes(&fixture("other.mat")).unwrap_err(), @"ROOT/meta.mat: is not the devkit's meta.mat: it has no variable `synsets`");
        for name in ["meta.mat", "meta-plain.mat"] {
            let bytes = fixture(name);
            assert!((0..bytes.len() - 8).all(|length| read_bytes(&bytes[..length]).is_err()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            plain in any::<bool>(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = fixture(if plain { "meta-plain.mat" } else { "meta.mat" });
            for (place, value) in damage {
                let place = HEADER + place.index(bytes.len() - HEADER);
                bytes[place] = value;
            }
            let _ = read_bytes(&bytes);
        }
    }
}
