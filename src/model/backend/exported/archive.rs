//! Zip archives whose entries are stored without compression, as PyTorch writes them. Every size is checked against the file before it
//! is used.

use std::collections::BTreeMap;
use std::ops::Range;

/// The entries of an archive in memory, by name, without the folder that all of them lie in.
pub struct Archive<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    data: Range<usize>,
    checksum: u32,
    compressed: bool,
}

/// Signature and length of the record at an archive's end.
const END: (&[u8], usize) = (b"PK\x05\x06", 22);
/// The same for archives with large offsets, and for the record that tells where that one is.
const LARGE_END: (&[u8], usize) = (b"PK\x06\x06", 56);
const LARGE_LOCATOR: (&[u8], usize) = (b"PK\x06\x07", 20);
/// The same for entries of the directory, and for the headers that stand before the entries themselves.
const LISTED: (&[u8], usize) = (b"PK\x01\x02", 46);
const LOCAL: (&[u8], usize) = (b"PK\x03\x04", 30);
/// The longest comment that may follow an archive's end.
const COMMENT: usize = 1 << 16;
/// In a field of 32 bits: the value stands elsewhere.
const ELSEWHERE: u64 = 0xffff_ffff;

impl<'a> Archive<'a> {
    /// Reads the directory.
    ///
    /// # Errors
    /// If it is damaged, or an entry lies outside of the file or on another.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let cut = || "it is no zip archive, or its end is cut off: copy or export it again".to_owned();
        let (mut at, count) = directory(bytes).ok_or_else(cut)?;
        let mut entries = BTreeMap::new();
        let mut total = 0usize;
        for _ in 0..count {
            let (name, entry, next) =
                listed(bytes, at).ok_or("the directory of its zip archive is damaged: copy or export it again")??;
            total = total.saturating_add(entry.data.len());
            if total > bytes.len() {
                return Err(format!("the entries of its zip archive lie on one another, up to `{name}`"));
            }
            if entries.insert(name.clone(), entry).is_some() {
                return Err(format!("its zip archive has two entries `{name}`"));
            }
            at = next;
        }
        Ok(Archive { bytes, entries: without_folder(entries) })
    }

    /// The names of the entries.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is such an entry.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The bytes of an entry, checked.
    ///
    /// # Errors
    /// If there is no such entry, it is compressed, or its bytes are not those that were written.
    pub fn entry(&self, name: &str) -> Result<&'a [u8], String> {
        let entry = self.entries.get(name).ok_or_else(|| format!("the archive has no `{name}`"))?;
        if entry.compressed {
            return Err(format!(
                "entry `{name}` of its zip archive is compressed; PyTorch stores entries as they are: export it again, or pack it anew with `zip -0`"
            ));
        }
        let data = &self.bytes[entry.data.clone()];
        let mut checksum = flate2::Crc::new();
        checksum.update(data);
        if checksum.sum() != entry.checksum {
            return Err(format!("entry `{name}` is damaged: its checksum is not the one that was written"));
        }
        Ok(data)
    }
}

/// Drops the folder that all entries lie in, if there is one.
fn without_folder(entries: BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    let first = entries.keys().next().and_then(|name| name.split_once('/')).map(|(folder, _)| format!("{folder}/"));
    match first.filter(|folder| entries.keys().all(|name| name.starts_with(folder))) {
        Some(folder) => entries.into_iter().map(|(name, entry)| (name[folder.len()..].to_owned(), entry)).collect(),
        None => entries,
    }
}

/// A record with this signature and length at a place.
fn record<'b>(bytes: &'b [u8], at: usize, (signature, length): (&[u8], usize)) -> Option<&'b [u8]> {
    bytes.get(at..at.checked_add(length)?).filter(|record| record.starts_with(signature))
}

fn number<const N: usize>(record: &[u8], at: usize) -> Option<u64> {
    let field = record.get(at..at + N)?;
    Some(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Where the directory begins, and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    let last = bytes.len().checked_sub(END.1)?;
    let at = (last.saturating_sub(COMMENT)..=last).rev().find(|&at| record(bytes, at, END).is_some())?;
    let end = record(bytes, at, END)?;
    let (count, start) = (number::<2>(end, 10)?, number::<4>(end, 16)?);
    if start != ELSEWHERE && count != 0xffff {
        return Some((usize::try_from(start).ok()?, count));
    }
    let locator = record(bytes, at.checked_sub(LARGE_LOCATOR.1)?, LARGE_LOCATOR)?;
    let large = record(bytes, usize::try_from(number::<8>(locator, 8)?).ok()?, LARGE_END)?;
    Some((usize::try_from(number::<8>(large, 48)?).ok()?, number::<8>(large, 32)?))
}

type Listed = (String, Entry, usize);

/// The entry that the directory lists at a place, and where the next one is listed. Nothing if the directory is damaged.
fn listed(bytes: &[u8], at: usize) -> Option<Result<Listed, String>> {
    let head = record(bytes, at, LISTED)?;
    let [named, extra, comment] =
        [number::<2>(head, 28)?, number::<2>(head, 30)?, number::<2>(head, 32)?].map(|n| n as usize);
    let name_at = at + LISTED.1;
    let name = String::from_utf8_lossy(bytes.get(name_at..name_at + named)?).into_owned();
    let fields = bytes.get(name_at + named..name_at + named + extra)?;
    let next = name_at + named + extra + comment;
    let (method, checksum) = (number::<2>(head, 10)?, number::<4>(head, 16)? as u32);
    let [packed, size, offset] =
        large([number::<4>(head, 20)?, number::<4>(head, 24)?, number::<4>(head, 42)?], fields)?;
    let local_at = usize::try_from(offset).ok()?;
    let local = record(bytes, local_at, LOCAL)?;
    let data_at = local_at + LOCAL.1 + number::<2>(local, 26)? as usize + number::<2>(local, 28)? as usize;
    let end = data_at.checked_add(usize::try_from(packed).ok()?)?;
    if end > bytes.len() {
        return Some(Err(format!("entry `{name}` of its zip archive is cut off")));
    }
    Some(Ok((name, Entry { data: data_at..end, checksum, compressed: method != 0 || packed != size }, next)))
}

/// Packed size, size and offset, of which those that need 64 bits stand in an extra field.
fn large([packed, size, offset]: [u64; 3], mut fields: &[u8]) -> Option<[u64; 3]> {
    if [packed, size, offset].iter().all(|&value| value != ELSEWHERE) {
        return Some([packed, size, offset]);
    }
    while fields.len() >= 4 {
        let (tag, length) = (number::<2>(fields, 0)?, number::<2>(fields, 2)? as usize);
        let field = fields.get(4..4 + length)?;
        if tag == 1 {
            let mut at = 0;
            let mut next = |short: u64| {
                if short != ELSEWHERE {
                    return Some(short);
                }
                at += 8;
                number::<8>(field, at - 8)
            };
            // In the field the size stands before the packed size.
            let size = next(size)?;
            let packed = next(packed)?;
            return Some([packed, size, next(offset)?]);
        }
        fields = &fields[4 + length..];
    }
    None
}
